"""Decoding, the time grid, and snippets; on files made with OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sola_plugin.datasets.video import (
    SnippetSampling,
    Video,
    VideoError,
    frame_rate,
    read_snippets,
    resample,
    windows,
)
from tests.make_videos import SIZE, cut, set_frame_times, write_video


@pytest.fixture
def video(tmp_path):
    """40 frames at 20 frames a second that grow brighter."""
    return write_video(tmp_path / 'v_1.mp4', np.linspace(20, 120, 40), fps=20)


def all_frames(path) -> np.ndarray:
    """Every frame, by OpenCV alone."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    return np.stack(frames)


def test_frames_are_rgb_upright_and_in_time(video):
    ends, frames = zip(*(opened := Video(video)).frames())
    assert opened.fps == 20 and opened.duration == pytest.approx(2.0)
    np.testing.assert_allclose(ends, np.arange(1, 41) / 20)
    assert frames[0].shape == (*SIZE, 3) and frames[0].dtype == np.uint8
    red, green, blue = frames[0][4, 4].astype(int)
    assert blue > 150 > 60 > max(red, green)  # the top is blue
    assert frames[-1][-4, -4, 0] > frames[-1][-4, 4, 0] + 50  # the right is bright
    np.testing.assert_array_equal(np.stack(frames), all_frames(video))


def test_variable_frame_rate(video):
    set_frame_times(video, [(10, 0.05), (10, 0.2), (20, 0.025)])
    ends = [end for end, _ in Video(video).frames()]
    np.testing.assert_allclose(
        ends[:-1], np.cumsum([0.05] * 10 + [0.2] * 10 + [0.025] * 19), atol=1e-6
    )
    grid = list(read_snippets(Video(video), SnippetSampling(1, 1, fps=20)))
    expected = all_frames(video)[[*range(10), *np.repeat(range(10, 20), 4), *range(21, 40, 2)]]
    np.testing.assert_array_equal(np.concatenate(grid)[:60], expected)


def test_snippets_at_the_own_rate_are_the_frames(video):
    frames = all_frames(video)
    snippets = list(read_snippets(Video(video), SnippetSampling(6, 4)))
    np.testing.assert_array_equal(snippets, [frames[i : i + 6] for i in range(0, 35, 4)])


@pytest.mark.parametrize(
    ('fps', 'taken'),
    [(10, range(1, 40, 2)), (5, range(2, 40, 4)), (40, np.repeat(range(40), 2)), (20, range(40))],
)
def test_resampled_videos(video, fps, taken):
    """Of two frames that border on a centre the later one is taken, whatever the rounding."""
    got = np.concatenate(list(read_snippets(Video(video), SnippetSampling(1, 1, fps=fps))))
    np.testing.assert_array_equal(got, all_frames(video)[list(taken)])


@pytest.mark.parametrize('seed', range(5))
def test_resample_takes_what_is_shown_at_the_centre(seed):
    rng = np.random.default_rng(seed)
    ends, fps = np.cumsum(rng.uniform(0.001, 0.2, 50)), rng.uniform(3, 60)
    centers = (np.arange(int(ends[-1] * fps) + 2) + 0.5) / fps
    expected = [
        next(i for i, end in enumerate(ends) if center < end)
        for center in centers
        if center < ends[-1]
    ]
    assert list(resample(zip(ends, range(50)), fps)) == expected


@pytest.mark.parametrize(
    ('count', 'length', 'stride'), [(20, 5, 2), (20, 5, 5), (20, 3, 7), (4, 5, 1), (5, 5, 9)]
)
def test_windows(count, length, stride):
    expected = [list(range(i, i + length)) for i in range(0, count - length + 1, stride)]
    assert list(windows(range(count), length, stride)) == expected


def test_the_centre_of_a_cell_is_the_centre_of_its_snippet():
    sampling = SnippetSampling(16, 6)
    stride, offset = sampling.time_axis(fps=24)
    for index in range(5):
        frames = np.arange(index * 6, index * 6 + 16)
        assert offset + (index + 0.5) * stride == pytest.approx(((frames + 0.5) / 24).mean())


def test_frames_are_read_when_they_are_needed(video):
    read = []
    snippets = read_snippets(
        Video(video), SnippetSampling(8, 2), lambda frame: read.append(1) or frame[::2]
    )
    assert next(snippets).shape == (8, SIZE[0] // 2, SIZE[1], 3) and len(read) == 8
    next(snippets)
    assert len(read) == 10
    assert len(list(snippets)) == 15 and len(read) == 40  # each frame once, though snippets overlap


def test_one_frame(tmp_path):
    path = write_video(tmp_path / 'one.mp4', [100])
    assert len(list(read_snippets(Video(path), SnippetSampling(1, 1)))) == 1
    assert list(read_snippets(Video(path), SnippetSampling(2, 1))) == []


@pytest.mark.parametrize(
    ('fault', 'message'),
    [
        (lambda path: path.unlink(), 'v_1.mp4: expected a video file, got none'),
        (
            lambda path: path.write_bytes(b''),
            'v_1.mp4: expected a video, got 0 bytes that OpenCV cannot open',
        ),
        (
            lambda path: path.write_bytes(b'no video' * 500),
            'got 4000 bytes that OpenCV cannot open',
        ),
        (
            lambda path: cut(path, 0.6),
            'OpenCV cannot open: the file is empty, truncated or no video',
        ),
    ],
)
def test_files_that_cannot_be_opened(video, fault, message, capfd):
    fault(video)
    with pytest.raises(VideoError, match=message):
        Video(video)
    assert capfd.readouterr().err == ''  # FFmpeg and OpenCV are silent


def test_truncated_and_allowed(tmp_path):
    path = cut(write_video(tmp_path / 'v.avi', [50] * 90), 0.5)
    with pytest.raises(VideoError, match=r'v.avi: decoding ends after 1.\d s of the 3.0 s'):
        list(Video(path).frames())
    video = Video(path, allow_short=True)
    assert 30 < len(list(video.frames())) == round(30 * video.duration) < 60


def test_a_header_that_says_too_little_counts_for_nothing(video):
    opened = Video(video)
    opened._num_frames = 3
    assert len(list(opened.frames())) == 40 and opened.duration == pytest.approx(2)


def test_header_without_a_frame_rate(tmp_path):
    path = write_video(tmp_path / 'screen.mp4', [50] * 60, fps=1000)
    assert Video(path).fps is None
    with pytest.raises(
        VideoError, match='screen.mp4: the header gives no frame rate that can be true'
    ):
        frame_rate(Video(path), SnippetSampling(4, 2))
    assert (
        len(list(read_snippets(Video(path), SnippetSampling(1, 1, fps=100)))) == 6
    )  # times are real


def fake(video, frames) -> Video:
    """A video that decodes to given times (s) and frames."""
    opened = Video(video, allow_short=True)
    opened._decode = lambda: iter(frames)
    return opened


def test_times_that_stand_still_are_made_up(video):
    image = np.zeros((2, 2, 3), np.uint8)
    ends = [end for end, _ in fake(video, [(stamp, image) for stamp in (5, 5, 5, 5.5)]).frames()]
    assert ends == pytest.approx([0.05, 0.1, 0.5, 0.55])


def test_frames_that_cannot_be_used(video):
    small, large = np.zeros((2, 2, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(VideoError, match=r'v_1.mp4: the size .* changes from \(2, 2\) to \(4, 4\)'):
        list(fake(video, [(0, small), (0.05, large)]).frames())
    with pytest.raises(VideoError, match='v_1.mp4: no frame can be decoded: .* lacks its codec'):
        list(fake(video, []).frames())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((0, 1), 'length is 0 and stride is 1 frames'),
        ((16, 0), 'stride is 0 frames'),
        ((16, 8, 0), 'fps is 0, expected'),
        ((16, 8, float('nan')), 'fps is nan'),
    ],
)
def test_bad_sampling(arguments, message):
    with pytest.raises(ValueError, match=message):
        SnippetSampling(*arguments)
