"""``tools/extract_features.py``: what it writes, skips and resumes; with the encoder of a tiny
recognizer."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mmaction.registry import DATASETS

from sola_plugin.commands.extraction.encoding import (
    SnippetSampling,
    build_recognizer_encoder,
    encode_video,
)
from sola_plugin.commands.extraction.extract import extract_features, find_videos, passed_over
from sola_plugin.datasets.annotations.conversion import convert_annotations
from sola_plugin.datasets.annotations.formats.csv_tables import read_durations
from sola_plugin.locking import hold_lock
from sola_plugin.segments import snippet_centers
from tests.conftest import ROOT
from tests.make_videos import cut, set_frame_times, write_video
from tests.processes import environment, reserved_port
from tests.tiny_recognizers import write_recognizer

TOOL = ROOT / 'tools/extract_features.py'
#: An encoder that is importable from the working directory; it stops at its third batch when told
#: so.
BRIGHTNESS = """
import os, time

class Brightness:
    calls = 0

    def __call__(self, snippets):
        self.calls += 1
        if 'STOP_AT_THIRD' in os.environ and self.calls == 3:
            time.sleep(600)
        return snippets[..., 0].flatten(1).float().mean(1, keepdim=True)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Working directory with an encoder and four videos, of which the last has an action at 1 s to
    2 s."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PYTHONPATH', environment()['PYTHONPATH'])
    (tmp_path / 'brightness_encoder.py').write_text(BRIGHTNESS)
    (tmp_path / 'videos/more').mkdir(parents=True)
    for index, name in enumerate(('more/v_a.b', 'v_1', 'v_2')):
        write_video(tmp_path / f'videos/{name}.mp4', [50 + 10 * index] * (30 + 10 * index), fps=10)
    write_video(tmp_path / 'videos/v_3.avi', [20] * 10 + [200] * 10 + [20] * 40, fps=10)
    return tmp_path


@pytest.fixture
def tool(folder, monkeypatch, capfd):
    """Runs the tool in this process; gives exit code, output and errors."""

    def run(*arguments: object, encoder=('--encoder', 'brightness_encoder:Brightness')) -> tuple:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments), *encoder])
        code = 0
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as stop:
            code = stop.code
        return code, *capfd.readouterr()

    return run


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def files_of(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob('*') if path.is_file()
    }


def test_folder_of_features(tool, folder):
    code, printed, errors = tool('videos', 'out', '--length', 4, '--stride', 2)
    assert (code, errors) == (0, '')
    assert 'out: features of 4 videos, features.json, durations.txt' in printed
    assert 'for the dataset: feature_stride=0.2, feature_offset=0.1' in printed
    durations = {'v_1': 4, 'v_2': 5, 'v_3': 6, 'v_a.b': 3}
    assert read_durations(folder / 'out/durations.txt') == {
        video: dict(duration=seconds, fps=10) for video, seconds in durations.items()
    }
    written = read_json(folder / 'out/features.json')
    assert written['videos'].pop('v_a.b') == dict(
        file='v_a.b.mp4',
        bytes=(folder / 'videos/more/v_a.b.mp4').stat().st_size,
        duration=3.0,
        fps=10,
        snippets=14,
        channels=1,
        feature_stride=0.2,
        feature_offset=0.1,
    )
    del written['videos']
    assert written == dict(
        encoder='brightness_encoder:Brightness',
        weights_sha256=None,
        frames=None,
        snippet_length=4,
        snippet_stride=2,
        fps=None,
        dtype='float32',
        amp=False,
        feature_stride=0.2,
        feature_offset=0.1,
        channels=1,
        failed={},
    )
    features = np.load(folder / 'out/v_3.npy')
    assert features.dtype == np.float32 and features.shape == (29, 1)


@pytest.mark.parametrize('fps', [10, 25])
def test_the_dataset_sees_the_action_where_it_is(tool, folder, fps):
    """From a video to an item of the dataset, with what ``features.json`` says."""
    tool('videos/v_3.avi', 'out', '--length', 4, '--stride', 2, '--fps', fps)
    written = read_json(folder / 'out/features.json')
    (folder / 'annotations.csv').write_text('video,start,end,label\nv_3,1,2,flash\n')
    convert_annotations(
        [Path('annotations.csv')],
        Path('annotations.json'),
        'activitynet',
        durations=Path('out/durations.txt'),
    )
    dataset = DATASETS.build(
        dict(
            type='TALFeatureDataset',
            ann_file='annotations.json',
            data_prefix=dict(features='out'),
            feat_dim=written['channels'],
        )
    )
    item = dataset[0]
    start, end = item['data_samples'].feature_span
    centers = snippet_centers((start, end), item['inputs'].shape[1])
    bright = centers[item['inputs'][0].numpy() > 110]
    box = item['data_samples'].gt_instances.gt_bbox[0].numpy() * (end - start) + start
    assert box == pytest.approx([1, 2])
    assert [bright[0], bright[-1]] == pytest.approx(box, abs=1.01 * written['feature_stride'])


def test_recognizer_and_half_precision(tool, folder):
    config, checkpoint = write_recognizer(folder, 'I3D')
    recognizer = ('--recognizer', str(config), str(checkpoint))
    assert (
        tool('videos', 'out', '--dtype', 'float16', '--batch-size', 3, encoder=recognizer)[0] == 0
    )
    written = read_json(folder / 'out/features.json')
    assert (written['recognizer'], written['checkpoint']) == (str(config), 'I3D.pth')
    # What it was trained on, and a quarter of that.
    assert (written['snippet_length'], written['snippet_stride']) == (12, 3)
    assert [step['type'] for step in written['frames']] == ['Resize', 'CenterCrop']
    features = np.load(folder / 'out/v_1.npy')
    assert features.dtype == np.float16 and features.shape == (10, 64)
    encoder = build_recognizer_encoder(config, checkpoint)
    expected = encode_video('videos/v_1.mp4', encoder, SnippetSampling(12, 3))
    np.testing.assert_allclose(features.T, expected.features, rtol=2e-3, atol=1e-3)
    assert (
        tool('videos', 'out', '--dtype', 'float16', encoder=recognizer)[0] == 0
    )  # the same settings
    write_recognizer(folder, 'I3D')[1].write_bytes(b'')
    code = tool('videos', 'out', encoder=recognizer)[0]
    assert code.startswith('error: cannot read the checkpoint')


def test_own_view_of_the_frames(tool, folder):
    tool('videos/v_1.mp4', 'out', '--short-side', 24, '--crop', 16)
    assert read_json(folder / 'out/features.json')['frames'] == [
        dict(type='Resize', scale=[-1, 24]),
        dict(type='CenterCrop', crop_size=16),
    ]


def test_unusable_videos_are_skipped_and_the_others_lose_nothing(tool, folder):
    (folder / 'videos/empty.mp4').write_bytes(b'')
    (folder / 'videos/text.mkv').write_text('no video' * 100)
    write_video(folder / 'videos/one.mp4', [100], fps=10)
    cut(write_video(folder / 'videos/cut.mp4', [100] * 30, fps=10), 0.5)
    cut(write_video(folder / 'videos/ends.avi', [100] * 60, fps=10), 0.5)
    (folder / 'videos/notes.txt').write_text('is not looked at')
    code, printed, errors = tool('videos', 'out', '--length', 4)
    assert code == 3 and 'features of 4 videos' in printed
    *lines, note = errors.splitlines()
    assert note.startswith('note: videos: 1 files are passed over') and "'notes.txt'" in note
    for line, (name, reason) in zip(
        lines,
        [
            ('cut.mp4', 'OpenCV cannot open'),
            ('empty.mp4', 'got 0 bytes'),
            ('ends.avi', 'decoding ends after'),
            ('one.mp4', 'at least 4 frames for one snippet'),
            ('text.mkv', 'got 800 bytes'),
        ],
        strict=True,
    ):
        assert line.startswith(f'skipped videos/{name}: ') and reason in line
    written = read_json(folder / 'out/features.json')
    assert list(written['videos']) == ['v_1', 'v_2', 'v_3', 'v_a.b']
    assert list(written['failed']) == ['cut', 'empty', 'ends', 'one', 'text']
    # A later run tries them again and keeps the others.
    before = files_of(folder / 'out')
    write_video(folder / 'videos/empty.mp4', [100] * 30, fps=10)
    code, printed, errors = tool('videos', 'out', '--length', 4, '--allow-short')
    assert code == 3 and 'features of 6 videos' in printed and len(errors.splitlines()) == 4
    after = files_of(folder / 'out')
    assert {name for name in before if before[name] != after[name]} == {
        'features.json',
        'durations.txt',
    }


def test_a_broken_link_is_a_video_that_is_missing(tool, folder):
    (folder / 'videos/lost.MTS').symlink_to('nowhere.mts')
    code, printed, errors = tool('videos', 'out', '--length', 4)
    assert code == 3 and 'features of 4 videos' in printed
    assert errors == 'skipped videos/lost.MTS: expected a video file, got none\n'


def test_a_video_whose_name_leaves_no_room_for_its_record_is_skipped(tool, folder):
    name = 'v' * 251  # .npy and .mp4 fit into 255 bytes, .json does not
    (folder / 'videos/v_1.mp4').rename(folder / f'videos/{name}.mp4')
    code, printed, errors = tool('videos', 'out', '--length', 4)
    assert code == 3 and 'features of 3 videos' in printed
    (line,) = errors.splitlines()
    assert line.startswith(
        f"skipped '{name}': no file in out/.extraction/videos can have this name"
    )
    assert list(read_json(folder / 'out/features.json')['failed']) == [name]


@pytest.mark.slow
def test_a_killed_run_goes_on(tool, folder):
    arguments = ('videos', 'out', '--length', 4)
    process = subprocess.Popen(
        [
            sys.executable,
            TOOL,
            *map(str, arguments),
            '--encoder',
            'brightness_encoder:Brightness',
            '--batch-size',
            '99',
        ],
        env={**os.environ, 'STOP_AT_THIRD': '1'},
    )
    while len(list(folder.glob('out/.extraction/videos/*.json'))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob('out/*.npy')}
    assert len(kept) == 2 and not (folder / 'out/features.json').exists()
    assert tool(*arguments)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    tool('videos', 'whole', '--length', 4)
    assert files_of(folder / 'out') == files_of(folder / 'whole')


def test_one_at_a_time(tool, folder):
    with hold_lock(folder / 'out'):
        code, _, errors = tool('videos', folder / 'out', '--length', 4)
    assert code == 1 or str(code).startswith('error: ')
    said = f'{code}{errors}'
    assert f'{folder}/out: process {os.getpid()} on ' in said and 'is writing to it' in said
    assert not (folder / 'out').exists()
    assert tool('videos', folder / 'out', '--length', 4)[0] == 0
    assert not list(folder.glob('.*'))


def test_what_a_kill_left_is_removed(tool, folder):
    (folder / 'out/.extraction/videos').mkdir(parents=True)
    for name in ('.v_1.npy.x.tmp', '.extraction/videos/.v_1.json.x.tmp'):
        (folder / 'out' / name).write_bytes(b'half')
    assert tool('videos', 'out', '--length', 4)[0] == 0
    assert not list(folder.rglob('*.tmp'))


@pytest.mark.slow
def test_two_ranks_share_the_work(tool, folder):
    """Two processes in the environment that torchrun makes."""
    (folder / 'videos/empty.mp4').write_bytes(b'')
    with reserved_port() as port:
        group = dict(
            os.environ,
            TORCHELASTIC_RUN_ID='test',
            WORLD_SIZE='2',
            MASTER_ADDR='localhost',
            MASTER_PORT=str(port),
        )
        options = ('--length', '4', '--fps', '15')
        ranks = [
            subprocess.Popen(
                [
                    sys.executable,
                    TOOL,
                    'videos',
                    'ranks',
                    *options,
                    '--encoder',
                    'brightness_encoder:Brightness',
                ],
                env=dict(group, RANK=str(rank), LOCAL_RANK=str(rank)),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]
        (printed, errors), others = (rank.communicate() for rank in ranks)
    assert [rank.returncode for rank in ranks] == [3, 3] and others[0] == ''
    assert 'features of 4 videos' in printed and 'skipped videos/empty.mp4' in errors
    assert tool('videos', 'alone', *options)[0] == 3
    assert files_of(folder / 'ranks') == files_of(folder / 'alone')


def test_each_rank_takes_every_other_video(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(
        'sola_plugin.commands.extraction.extract.divide_among_ranks', lambda: (1, 2)
    )
    monkeypatch.setattr(
        'sola_plugin.commands.extraction.extract.encode_video',
        lambda path, *rest, **options: (
            seen.append(path.name),
            encode_video(path, *rest, **options),
        )[1],
    )
    extract_features(
        find_videos('videos'), 'out', lambda s: s.float().mean((1, 2, 3)), SnippetSampling(4, 2)
    )
    by_size = sorted(
        (path for path in Path('videos').rglob('*.*')), key=lambda path: -path.stat().st_size
    )
    assert seen == [path.name for path in by_size[1::2]]


def test_other_settings_are_refused(tool, folder):
    tool('videos/v_1.mp4', 'out', '--length', 4)
    code, _, _ = tool('videos', 'out', '--length', 6, '--dtype', 'float16')
    assert code == (
        'error: out holds features of other settings: snippet_length 4, now 6; '
        "dtype 'float32', now 'float16'. Write to another folder, or delete this one"
    )


def test_features_of_another_origin_are_left_alone(tool, folder):
    (folder / 'out').mkdir()
    (folder / 'out/v_1.npy').write_bytes(b'mine')
    code = tool('videos', 'out', '--length', 4)[0]
    assert (
        code == 'error: out holds .npy files that this tool did not write: write to another folder'
    )
    assert files_of(folder / 'out') == {'v_1.npy': b'mine'}


def test_features_outlive_their_video(tool, folder):
    (folder / 'list.txt').write_text('videos/v_1.mp4\n')
    tool('list.txt', 'out', '--length', 4)
    (folder / 'videos/v_1.mp4').unlink()
    code, printed, _ = tool('list.txt', 'out', '--length', 4)
    assert code == 0 and 'features of 1 videos' in printed


def test_a_replaced_video_is_encoded_again(tool, folder):
    tool('videos/v_1.mp4', 'out', '--length', 4)
    write_video(folder / 'videos/v_1.mp4', [100] * 20, fps=10)
    tool('videos/v_1.mp4', 'out', '--length', 4)
    assert len(np.load(folder / 'out/v_1.npy')) == 17
    (folder / 'videos/v_1.mp4').write_bytes(b'')
    assert tool('videos/v_1.mp4', 'out', '--length', 4)[0] == 3
    assert (
        not (folder / 'out/v_1.npy').exists()
        and read_json(folder / 'out/features.json')['videos'] == {}
    )


def test_different_frame_rates(tool, folder, monkeypatch):
    write_video(folder / 'videos/v_25.mp4', [100] * 60, fps=25)
    warnings = []
    monkeypatch.setattr(
        'sola_plugin.commands.extraction.folder.print_log', lambda text, *_: warnings.append(text)
    )
    code, printed, _ = tool('videos', 'out', '--length', 4)
    assert (
        code == 0
        and 'no one feature_stride fits all videos: see features.json, or take --fps' in printed
    )
    (warning,) = warnings  # at once, and only once
    assert 'has another frame rate than the videos before it' in warning
    written = read_json(folder / 'out/features.json')
    assert written['feature_stride'] is None and written['videos']['v_25']['feature_stride'] == 0.04
    assert 'for the dataset: ' in tool('videos', 'common', '--length', 4, '--fps', 12.5)[1]
    assert read_json(folder / 'common/features.json')['feature_stride'] == 0.08


def test_a_variable_rate_keeps_its_duration(tool, folder):
    set_frame_times(folder / 'videos/v_1.mp4', [(20, 0.2), (20, 0.05)])
    tool('videos/v_1.mp4', 'out', '--length', 4, '--fps', 20)
    assert read_durations(folder / 'out/durations.txt')['v_1']['duration'] == pytest.approx(
        5, abs=0.1
    )


def test_values_beyond_float16(tool, folder):
    (folder / 'large_encoder.py').write_text(
        'def large():\n    return lambda snippets: snippets.float().mean((1, 2, 3)) * 1e4\n'
    )
    code, _, errors = tool(
        'videos/v_1.mp4', 'out', '--dtype', 'float16', encoder=('--encoder', 'large_encoder:large')
    )
    assert code == 3 and 'are too large for float16: write float32' in errors


def test_lists_of_videos(tool, folder):
    (folder / 'list.txt').write_text('videos/v_1.mp4\n\nvideos/lost.mp4\n')
    code, printed, errors = tool('list.txt', 'out', '--length', 4)
    assert code == 3 and 'features of 1 videos' in printed
    assert errors == 'skipped videos/lost.mp4: expected a video file, got none\n'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nowhere'], 'nowhere: expected a folder of videos, a video or a .txt list, got nothing'),
        (['videos/none'], r'videos/none: expected videos \(.mp4 .*got none'),
        (
            ['videos/twice'],
            "expected one video for the id 'v', got videos/twice/v.avi and videos/twice/v.mp4",
        ),
        (['videos', '--length', '0'], 'length is 0'),
        (['videos', '--batch-size', '0'], '--batch-size is 0, expected at least 1'),
        (['videos', '--fps', '-1'], 'fps is -1'),
        (['videos', '--crop', '8'], '--crop needs --short-side'),
    ],
)
def test_bad_input(tool, folder, arguments, message):
    (folder / 'videos/none').mkdir()
    (folder / 'videos/twice').mkdir()
    for end in ('mp4', 'avi'):
        (folder / f'videos/twice/v.{end}').write_bytes(b'')
    if 'twice' not in arguments[0]:
        (folder / 'videos/twice/v.avi').unlink()
    code = tool(arguments[0], 'out', *arguments[1:])[0]
    # Text as the code: sys.exit prints it and ends with 1.
    assert code.startswith('error: ') and re.search(message, code)
    assert not (folder / 'out').exists()


def test_files_of_a_folder_that_are_passed_over_are_named(tmp_path):
    (tmp_path / 'sub').mkdir()
    for name in ('a.mp4', 'sub/b.MTS', 'c.mp5', 'sub/notes', '.hidden'):
        (tmp_path / name).write_bytes(b'')
    assert sorted(find_videos(tmp_path)) == ['a', 'b']
    message = passed_over(tmp_path)
    assert message.startswith(f'{tmp_path}: 2 files are passed over')
    assert "'c.mp5', 'sub/notes'" in message and 'hidden' not in message
    for name in ('c.mp5', 'sub/notes'):
        (tmp_path / name).unlink()
    assert passed_over(tmp_path) == passed_over(tmp_path / 'a.mp4') == ''
