"""Long videos window by window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from sola_plugin.heads import Localizer
from sola_plugin.heads.shared.map_head import MapHead
from sola_plugin.heads.shared.sliding_windows import SlidingWindows
from tests.conftest import CHANNELS, TINY_BMN
from tests.heads.test_actionformer import CLASSES, SOLA
from tests.heads.test_actionformer import build as build_actionformer

NMS = dict(soft_nms_low_threshold=0.0, soft_nms_high_threshold=0.0)


def make_sample(length: int, segments, name: str = 'v_0') -> ActionDataSample:
    """A video of half a second a snippet, from 3 s on; segments in snippets."""
    sample = ActionDataSample(
        metainfo=dict(
            video_name=name, feature_span=(3.0, 3.0 + length / 2), duration=2.5 + length / 2
        )
    )
    boxes = torch.tensor(segments, dtype=torch.float64).reshape(-1, 2) / length
    sample.gt_instances = InstanceData(gt_bbox=boxes, gt_labels=torch.arange(len(boxes)))
    return sample


class HighSnippets(MapHead, Localizer):
    """Proposes every snippet of a window whose feature is positive, with the feature as the
    score."""

    soft_nms_alpha, soft_nms_low_threshold, soft_nms_high_threshold = 0.01, 0.0, 0.0
    post_process_top_k, feature_extraction_interval = 20, 16

    def __init__(self, **windows) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.add_map_neck(None, 1, 8, None, windows)

    def candidates(self, inputs, cores=None):
        self.sizes.append(len(inputs))
        return [
            np.array(
                [
                    [i / 8, (i + 1) / 8, float(video[0, i])]
                    for i in torch.nonzero(video[0]).flatten().tolist()
                ]
            ).reshape(-1, 3)
            for video in inputs
        ]


@pytest.mark.parametrize(
    ('total', 'starts'), [(8, [0]), (9, [0, 1]), (12, [0, 4]), (21, [0, 4, 8, 12, 13]), (5, [0])]
)
def test_windows_cover_the_video(total, starts):
    video, cutter = torch.arange(1.0, total + 1)[None], SlidingWindows(8, 4)
    windows = cutter.windows(total)
    assert [window.start for window in windows] == starts
    for (start, stop, _), features in zip(windows, cutter.cut(video, windows), strict=True):
        expected = list(range(start + 1, min(start + 8, total) + 1))
        assert stop == start + 8 and features[0].tolist() == expected + [0] * (8 - len(expected))


@pytest.mark.parametrize('fixed', [True, False])
@pytest.mark.parametrize('total', [1, 5, 8, 9, 12, 21, 64])
@pytest.mark.parametrize('stride', [1, 4, 5, 8])
def test_cores_cover_the_video_once(fixed, total, stride):
    windows = SlidingWindows(8, stride, fixed).windows(total)
    seconds = [
        snippet
        for window in windows
        for snippet in range(window.start + window.core[0], window.start + window.core[1])
    ]
    assert seconds == list(range(total))
    for start, stop, (first, last) in windows:
        assert 0 <= first < last <= min(stop, total) - start and stop - start <= 8
        assert fixed or start % stride == 0 and stop <= total
    # A core keeps away from the borders of its window, but not from those of the video.
    margin = (8 - stride) // 2
    assert all(window.core[0] >= margin for window in windows[1:])
    assert all(window.stop - window.start - window.core[1] >= margin for window in windows[:-1])


def test_proposals_of_overlapping_windows_come_once():
    video = torch.zeros(1, 21)
    video[0, 3], video[0, 10], video[0, 19] = 0.5, 0.9, 0.7
    model = HighSnippets(stride=4, batch_size=2)
    result, other = model(
        [video, video[:, :6]], [make_sample(21, []), make_sample(6, [], 'v_1')], 'predict'
    )
    best = [p for p in result['proposal_list'] if p['score'] > 1e-6]
    assert [p['score'] for p in best] == pytest.approx([0.9, 0.7, 0.5])
    assert [p['segment'] for p in best] == [[8.0, 8.5], [12.5, 13.0], [4.5, 5.0]]
    assert other == dict(video_name='v_1', proposal_list=[dict(score=0.5, segment=[4.5, 5.0])])
    assert model.sizes == [2, 2, 1, 1]


def test_truth_of_the_windows():
    sample = make_sample(20, [[1, 3], [6, 10], [0, 18], [14, 19]])
    videos, samples = SlidingWindows(8, 4, min_coverage=0.9).training_windows(
        [torch.zeros(1, 20)], [sample]
    )
    # [6, 10] is whole in the window from 4 only, and no window holds 0.9 of [0, 18].
    assert [s.gt_instances.gt_labels.tolist() for s in samples] == [[0], [1], [3]]
    boxes = [s.gt_instances.gt_bbox[0].tolist() for s in samples]
    assert boxes == [pytest.approx(b) for b in ([1 / 8, 3 / 8], [2 / 8, 6 / 8], [2 / 8, 7 / 8])]
    assert len(videos) == 3 and len(sample.gt_instances) == 4


def test_cut_actions_and_no_actions():
    windows = SlidingWindows(8, 4, min_coverage=0.5)
    _, samples = windows.training_windows([torch.zeros(1, 12)], [make_sample(12, [[6, 12]])])
    assert [s.gt_instances.gt_bbox[0].tolist() for s in samples] == [
        pytest.approx([2 / 8, 1])
    ]  # a third is in the first window
    videos, samples = windows.training_windows([torch.zeros(1, 12)], [make_sample(12, [])])
    assert len(videos) == len(samples) == 1 and not len(samples[0].gt_instances)


def test_bmn_on_a_video_of_one_window_is_bmn():
    torch.manual_seed(0)
    plain = MODELS.build({**TINY_BMN, **NMS}).eval()
    model = MODELS.build({**TINY_BMN, **NMS, 'windows': dict(stride=10)}).eval()
    model.load_state_dict(plain.state_dict())
    video, sample = torch.randn(CHANNELS, 20), make_sample(20, [[2, 9]])
    for a, b in zip(plain([video]), model([video])):
        assert torch.equal(a, b)
    losses = []
    for bmn in (plain, model):
        torch.manual_seed(1)  # the loss draws cells
        losses.append(bmn([video], [sample], 'loss')['loss'])
    assert torch.equal(*losses)
    with torch.no_grad():
        (expected,) = plain([video], [sample], 'predict')
        (got,) = model([video], [sample], 'predict')
    assert len(expected['proposal_list']) == len(got['proposal_list']) == 20
    assert got == expected


def test_the_neck_sees_the_whole_video():
    torch.manual_seed(0)
    model = MODELS.build(
        {**TINY_BMN, 'windows': dict(stride=10), 'neck': dict(type='TemporalSmoothing')}
    )
    video = torch.randn(CHANNELS, 45)
    features = model.extract_features([video], None)
    torch.testing.assert_close(features[0], model.neck(video[None])[0])
    maps = model([video], None, 'tensor')
    assert maps[0].shape[0] == 4  # windows from 0, 10, 20 and 25
    sample = make_sample(45, [[4, 12], [30, 41]])
    with torch.no_grad():
        (result,) = model([video], [sample], 'predict')
    segments = np.array([p['segment'] for p in result['proposal_list']])
    assert segments.min() >= 3 and segments.max() <= 25 and segments[:, 1].max() > 18
    loss = model([video], [sample], 'loss')['loss']
    loss.backward()
    assert loss.isfinite()


@pytest.mark.parametrize('stride', [0, 9])
def test_bad_stride(stride):
    with pytest.raises(
        ValueError, match=f'stride={stride} must be between 1 and the length of a window, 8'
    ):
        SlidingWindows(8, stride)


@pytest.mark.parametrize('options', [dict(top_k=0), dict(batch_size=0)])
def test_bad_limits(options):
    with pytest.raises(ValueError, match='top_k and batch_size of at least 1'):
        SlidingWindows(8, 4, **options)


def test_a_window_gives_its_best_proposals():
    windows = SlidingWindows(8, 4, top_k=2)
    found = np.array([[0.0, 0.5, 0.1], [0.25, 0.5, 0.3], [0.5, 1.0, 0.2]])
    placed = windows.place(found, windows.windows(16)[1], 16)
    np.testing.assert_allclose(placed, [[6 / 16, 8 / 16, 0.3], [8 / 16, 12 / 16, 0.2]])


def test_nothing_is_proposed_behind_a_short_video():
    windows = SlidingWindows(8, 4)
    found = np.array([[0.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.75, 1.0, 0.2]])
    placed = windows.place(found, windows.windows(6)[0], 6)
    np.testing.assert_allclose(placed, [[4 / 6, 1.0, 0.3], [0.0, 4 / 6, 0.1]])


class CountingArray:
    """Features ``(C, T)`` that are made when they are read, and note what was asked for."""

    def __init__(self, channels: int, length: int) -> None:
        self.shape = (channels, length)
        self.reads: list[tuple[int, int]] = []

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        channels, snippets = index
        assert channels == slice(None) and 0 <= snippets.start < snippets.stop <= self.shape[1]
        self.reads.append((snippets.start, snippets.stop))
        time = np.arange(snippets.start, snippets.stop)
        return np.sin(time / 7 + np.arange(self.shape[0])[:, None]).astype(np.float32) * 3


@pytest.mark.parametrize(
    ('build', 'most'),
    [
        (
            lambda **neck: MODELS.build(
                {**TINY_BMN, **NMS, 'windows': dict(stride=10, batch_size=4), **neck}
            ),
            3 * 10 + 20 + 2,
        ),
        pytest.param(
            lambda **neck: build_actionformer(windows=dict(length=128), **neck),
            128 + 2,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_long_video_is_read_window_by_window(build, most):
    """An hour at 0.32 s: what is read, so what is held, does not depend on the length of the
    video."""
    model = build(neck=SOLA).eval()
    video = CountingArray(CHANNELS, 11250)
    sample = make_sample(11250, [])
    (result,) = model([video], [sample], 'predict')
    assert max(stop - start for start, stop in video.reads) == most
    assert sum(stop - start for start, stop in video.reads) < 2.2 * 11250
    assert min(video.reads)[0] == 0 and max(video.reads)[1] == 11250
    assert len(result['proposal_list']) == 20
    # The same as from memory.
    (whole,) = model([torch.from_numpy(video[:, 0:11250])], [sample], 'predict')
    assert result == whole


@pytest.mark.parametrize(
    'neck', [None, SOLA, dict(type='TemporalSmoothing'), dict(type='Standardization')]
)
@pytest.mark.parametrize('options', [dict(), dict(classes=None)])
def test_actionformer_in_windows_is_actionformer(neck, options):
    """All points are those of the whole video, up to rounding, and so are the detections."""
    whole, cut = (
        build_actionformer(neck=neck, windows=windows, **options).double()
        for windows in (None, dict(length=96, batch_size=2))
    )
    if neck == SOLA:
        torch.nn.init.ones_(whole.neck.alpha)
    cut.load_state_dict(whole.state_dict())
    assert cut.windows.length - cut.windows.stride >= 2 * cut.receptive_radius
    inputs, samples = [torch.randn(CHANNELS, 301).double()], [make_sample(301, [])]
    expected, found = (
        model(inputs, samples, 'predict')[0]['proposal_list'] for model in (whole, cut)
    )
    assert len(found) == len(expected) == 20
    for a, b in zip(found, expected):
        assert a['score'] == pytest.approx(b['score'], abs=1e-5) and a.get('label') == b.get(
            'label'
        )
        assert a['segment'] == pytest.approx(b['segment'], abs=1e-4)
    points = []
    for model in (whole, cut):
        model.detections = lambda candidates, data_samples: candidates
        points.append(model(inputs, samples, 'predict')[0])
    assert len(points[0]) == len(points[1]) > 400
    points = [rows[np.lexsort([rows[:, 3], *rows[:, :2].round(5).T])] for rows in points]
    np.testing.assert_allclose(points[1], points[0], atol=1e-7)


def test_one_snippet_less_of_overlap_changes_actionformer():
    """The receptive radius is no larger than it must be."""
    model = build_actionformer()
    video = torch.randn(CHANNELS, 4 * model.receptive_radius)
    middle = 2 * model.receptive_radius // 4 * 4  # a snippet with a point of the last level
    point = (
        model.pyramid(video[None], torch.ones(1, video.shape[1], dtype=torch.bool))[-1][0].shape[2]
        * middle
        // video.shape[1]
    )
    for distance, changes in ((model.receptive_radius, True), (model.receptive_radius + 1, False)):
        other = video.clone()
        other[:, middle - distance] += 100.0
        with torch.no_grad():
            a, b = (model([v])[0][0, -len(video[0]) // 4 :][point] for v in (video, other))
        assert torch.equal(a, b) != changes


def test_global_attention_has_no_reach():
    model = build_actionformer(
        windows=dict(length=64),
        pyramid=dict(
            channels=16, num_levels=3, num_heads=2, windows=[5, 5, None], num_stem_blocks=1
        ),
    )
    assert model.receptive_radius is None and model.windows.stride == 32


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(windows=dict(length=40)),
            'length=40 are too short: a point depends on 28 .* at least 60',
        ),
        (dict(windows=dict(length=80, stride=6)), 'stride=6: expected a multiple of 4'),
        (dict(windows=dict(length=80, stride=84)), 'stride=84 must be between 1 and .* 80'),
        (
            dict(windows=dict(length=80), temporal_dim=16),
            'windows=.* and temporal_dim=16 exclude each other',
        ),
    ],
)
def test_bad_windows_of_actionformer(options, message):
    with pytest.raises(ValueError, match=message):
        build_actionformer(**options)


def test_actionformer_trains_on_whole_videos():
    video, sample = torch.randn(CHANNELS, 200), make_sample(200, [[4, 30], [90, 140]])
    sample.gt_instances.gt_labels = torch.tensor([0, 1])
    plain, cut = (
        build_actionformer(classes=CLASSES, windows=windows)([video], [sample], 'loss')
        for windows in (None, dict(length=96))
    )
    assert plain == cut


def test_a_neck_that_does_not_say_how_far_it_looks_gets_the_whole_video():
    model = build_actionformer(
        neck=dict(type='TemporalSmoothing', kernel_size=5), windows=dict(length=96)
    )
    video, sample = torch.randn(CHANNELS, 301), make_sample(301, [])
    (expected,) = model([video], [sample], 'predict')
    del model.neck.receptive_radius
    (found,) = model([video], [sample], 'predict')
    for a, b in zip(found['proposal_list'], expected['proposal_list'], strict=True):
        assert a['score'] == pytest.approx(b['score'], abs=1e-6)


def test_features_of_other_channels():
    model = build_actionformer(windows=dict(length=96))
    with pytest.raises(
        ValueError, match=r"features of 'v_0' are \(3, 50\), the localizer expects \(16, T\)"
    ):
        model([CountingArray(3, 50)], [make_sample(50, [])], 'predict')
