"""Actions at the ends of features and crops, as in the published training of ActionFormer.

The references are slow loops in the units of the public code (happyharrycn/actionformer_release,
``libs/datasets``): grid positions ``(frame - n / 2) / s`` of snippets of n frames, a new one every
s frames, where snippet ``i`` lies at ``i`` and not, as here, at ``i + 0.5``.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from sola_plugin.datasets import CropFeatures, LoadFeatures
from sola_plugin.heads.shared.random_crop import RandomCrop

#: THUMOS14: frames a second, frames of a snippet, frames from one snippet to the next.
FPS, N, S = 30, 16, 4


class Store:
    """Features of one video whose snippet ``i`` has the feature ``i``."""

    def __init__(self, total: int) -> None:
        self.total = total

    def load(self, name: str) -> np.ndarray:
        return np.arange(self.total, dtype=np.float32)[None]

    def window(self, name: str, start: int, length: int) -> np.ndarray:
        return self.load(name)[:, start : start + length]

    def length(self, name: str) -> int:
        return self.total


def info(total: int, segments, stride: float = S / FPS, offset: float = (N - S) / 2 / FPS) -> dict:
    return dict(
        feature_store=Store(total),
        video_name='v',
        duration=1e4,
        feature_span=None,
        feature_stride=stride,
        feature_offset=offset,
        gt_segments=segments,
        gt_classes=list(range(len(segments))),
    )


def to_grid(segments) -> list[tuple[float, float]]:
    return [tuple((second * FPS - N / 2) / S for second in segment) for segment in segments]


def from_grid(boxes: np.ndarray, length: int) -> np.ndarray:
    """Fractions of a window in grid positions of it."""
    return boxes * length - 0.5


@pytest.fixture(autouse=True)
def _seed():
    np.random.seed(0)


def slow_crop(segments, start: int, length: int, min_share: float = 0.5):
    """What is left of grid segments in a window, and their numbers."""
    outside = 0.5 * N / S
    for number, (left, right) in enumerate(segments):
        cut = max(left, start - outside), min(right, start + length + outside)
        if max(cut[1] - cut[0], 0) / abs(right - left) >= min_share:
            yield number, (cut[0] - start, cut[1] - start)


def random_segments(rng, seconds: float) -> list[list[float]]:
    starts = np.sort(rng.uniform(-0.02, 0.9, 6)) * seconds
    return [[start, start + width] for start, width in zip(starts, rng.uniform(0.3, 9, 6))]


@pytest.mark.parametrize('max_length', [60, 400])
@pytest.mark.parametrize('seed', range(20))
def test_a_crop_of_thumos14(seed, max_length):
    total = 150
    segments = random_segments(np.random.default_rng(seed), total * S / FPS)
    transform = CropFeatures(
        max_length, scale=(0.9, 1.0), margin=(N / S / 2 - 0.5, N / S / 2 + 0.5)
    )
    results = transform(LoadFeatures(margin=None)(info(total, segments)))
    features = results['raw_feature'][0]
    start, length = int(features[0]), len(features)
    if length < total:
        expected = dict(slow_crop(to_grid(segments), start, length))
    else:  # the public code returns a video that is not cropped as it is
        expected = dict(enumerate(to_grid(segments)))
    got = dict(zip(results['gt_labels'].tolist(), from_grid(results['gt_bbox'], length).tolist()))
    # Those that do not touch the features train no point, and are not kept here.
    got_or_outside = [
        number for number, (left, right) in expected.items() if right > -0.5 and left < length - 0.5
    ]
    assert list(got) == got_or_outside
    for number, segment in got.items():
        assert segment == pytest.approx(expected[number], abs=1e-6)


def test_boundaries_of_cut_actions_are_outside_of_the_window():
    """1.5 cells at the start and 2.5 at the end, where the clips of 16 frames reach."""
    video = info(100, [[0.2, 100 * S / FPS + 0.2]])
    transform = CropFeatures(40, min_coverage=0.1, margin=(1.5, 2.5))
    boxes = {
        tuple((transform(LoadFeatures()(video))['gt_bbox'][0] * 40).round(6)) for _ in range(200)
    }
    assert (-1.5, 42.5) in boxes
    # At the ends of the features there is nothing more.
    assert boxes <= {(max(-1.5, -a), min(42.5, 100 - a)) for a in range(61)}


def slow_activitynet(segments, total: int, frames_per_cell: float, fps: float, cells: int):
    """Grid segments of the resized features, those that are mostly inside of them."""
    end = cells + 0.5
    for number, segment in enumerate(segments):
        left, right = ((s * fps - 0.5 * frames_per_cell) / frames_per_cell for s in segment)
        if left < end and (min(right, end) - left) / (right - left) >= 0.5:
            yield number, (min(left, end), min(right, end))


@pytest.mark.parametrize('seed', range(20))
def test_activitynet(seed):
    """Actions less than half inside the features are dropped; the crop is behind the resizing."""
    total, cells, fps = 80, 192, 15
    rng = np.random.default_rng(seed)
    seconds = total * 16 / fps
    starts = rng.uniform(0, 1.0, 5) * seconds
    segments = [[start, start + width] for start, width in zip(starts, rng.uniform(1, 40, 5))]
    segments.append([1.0, 2.0])
    load = LoadFeatures(margin=(0.0, 1 / cells), min_coverage=0.5)
    results = load(info(total, segments, 16 / fps, 0.0))
    per_cell = total * 16 / cells
    expected = dict(slow_activitynet(segments, total, per_cell, fps, cells))
    got = dict(zip(results['gt_labels'].tolist(), from_grid(results['gt_bbox'], cells).tolist()))
    assert got.keys() == {n for n, (left, _) in expected.items() if left < cells - 0.5}
    for number, segment in got.items():
        assert segment == pytest.approx(expected[number], abs=1e-6)

    sample = ActionDataSample(metainfo=dict(video_name='v'))
    sample.gt_instances = InstanceData(
        gt_bbox=torch.from_numpy(results['gt_bbox']),
        gt_labels=torch.from_numpy(results['gt_labels']),
    )
    crop = RandomCrop(scale=(0.9, 1.0), min_coverage=0.5, margin=(0.0, 1.0))
    (window,), (of_window,) = crop([torch.arange(cells)[None]], [sample])
    start, length = int(window[0, 0]), window.shape[1]
    assert window[0].tolist() == list(range(start, start + length)) and length >= 173
    cropped = {}
    for number, (left, right) in expected.items():
        cut = max(left, start - 0.5), min(right, start + length + 0.5)
        if length == cells or (cut[1] - cut[0]) / (right - left) >= 0.5:
            cropped[number] = (cut[0] - start, cut[1] - start)
    truth = of_window.gt_instances
    boxes = from_grid(truth.gt_bbox.numpy(), length).tolist()
    assert truth.gt_labels.tolist() == [n for n in got if n in cropped]
    for number, box in zip(truth.gt_labels.tolist(), boxes):
        assert box == pytest.approx(cropped[number], abs=1e-6)
    assert of_window.metainfo['video_name'] == 'v'
    assert len(sample.gt_instances) == len(results['gt_bbox'])


def test_lengths_of_the_crop():
    sample = ActionDataSample()
    sample.gt_instances = InstanceData(gt_bbox=torch.zeros(0, 2).double())
    crop = RandomCrop((0.9, 1.0))
    lengths = {crop([torch.zeros(3, 40)], [sample])[0][0].shape[1] for _ in range(200)}
    assert lengths == {36, 37, 38, 39, 40}


def test_half_inside_is_the_limit():
    segments = [[0.0, 4.0], [8.0, 12.0], [7.9, 12.1], [8.1, 11.8]]
    load = LoadFeatures(min_coverage=0.5)
    results = load(info(10, segments, stride=1.0, offset=0.0))
    assert results['gt_labels'].tolist() == [0, 1, 2, 3]
    results = load(info(10, [[8.0, 12.1], [9.9, 11.0], [-3, 1]], stride=1.0, offset=0.0))
    assert results['gt_labels'].tolist() == []
    plain = LoadFeatures()(info(10, [[8.0, 12.1], [9.9, 11.0], [11, 12]], stride=1.0, offset=0.0))
    np.testing.assert_allclose(plain['gt_bbox'], [[0.8, 1], [0.99, 1]])
    whole = LoadFeatures(margin=None)(info(10, [[8.0, 12.1], [-3, 1]], stride=1.0, offset=0.0))
    np.testing.assert_allclose(whole['gt_bbox'], [[0.8, 1.21], [-0.3, 0.1]])


def test_a_window_of_the_features():
    results = LoadFeatures()(
        dict(info(20, [[3, 9], [11, 12]], stride=0.5, offset=1.0), feature_window=(6, 8))
    )
    assert results['raw_feature'].tolist() == [list(range(6, 14))]
    assert results['feature_span'] == (4.0, 8.0)
    np.testing.assert_allclose(results['gt_bbox'], [[0, 1]])


@pytest.mark.parametrize('options', [dict(margin=(0, -1)), dict(min_coverage=1.5), dict(margin=3)])
def test_bad_arguments_of_loading(options):
    with pytest.raises((ValueError, TypeError)):
        LoadFeatures(**options)


def test_says_what_it_is():
    assert repr(LoadFeatures()) == 'LoadFeatures(margin=(0.0, 0.0), min_coverage=0.0)'
