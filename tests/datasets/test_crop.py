"""Random windows of training videos."""

from __future__ import annotations

import numpy as np
import pytest
from mmaction.registry import TRANSFORMS

from sola_plugin.datasets import CropFeatures


def make_results(length: int = 40, segments=((4.0, 10.0), (20.0, 24.0), (30.0, 38.0))) -> dict:
    """A video whose snippet ``i`` has the feature ``i``, from 5 s on, half a second a snippet."""
    boxes = np.array(segments, dtype=np.float64).reshape(-1, 2)
    return dict(
        raw_feature=np.arange(length, dtype=np.float32)[None],
        gt_bbox=boxes / length,
        gt_labels=np.arange(len(boxes)),
        feature_span=(5.0, 5.0 + length / 2),
    )


def seconds(results: dict) -> np.ndarray:
    start, end = results['feature_span']
    return start + results['gt_bbox'] * (end - start)


@pytest.fixture(autouse=True)
def _seed():
    np.random.seed(0)


def test_features_span_and_segments_stay_together():
    whole = seconds(make_results())
    starts = set()
    for _ in range(300):
        results = CropFeatures(12, min_coverage=0.5)(make_results())
        features, span = results['raw_feature'][0], results['feature_span']
        assert features.tolist() == list(range(int(features[0]), int(features[0]) + 12))
        assert span == pytest.approx((5 + features[0] / 2, 5 + features[-1] / 2 + 0.5))
        expected, labels = [], []
        for label, (start, end) in enumerate(whole):
            inside = [max(start, span[0]), min(end, span[1])]
            if inside[1] - inside[0] >= (end - start) / 2:
                expected.append(inside)
                labels.append(label)
        assert labels and results['gt_labels'].tolist() == labels
        np.testing.assert_allclose(seconds(results), expected)
        starts.add(int(features[0]))
    # From 8 on half of the first action is gone, and up to 9 the second is not half there.
    assert starts == set(range(29)) - {8, 9}


def test_scale_of_short_videos():
    lengths = {
        CropFeatures(100, scale=(0.9, 1.0))(make_results())['raw_feature'].shape[1]
        for _ in range(200)
    }
    assert lengths == {36, 37, 38, 39, 40}
    results = CropFeatures(40)(make_results())
    np.testing.assert_array_equal(results['gt_bbox'], make_results()['gt_bbox'])
    assert (
        CropFeatures(100, scale=(0.1, 1.0))(make_results(1, ((0, 1),)))['raw_feature'].shape[1] == 1
    )


@pytest.mark.parametrize('segments', [(), ((0.0, 40.0),)])
def test_video_without_a_window_that_holds_an_action(segments):
    results = CropFeatures(12, min_coverage=0.9)(make_results(segments=segments))
    assert results['raw_feature'].shape == (1, 12)
    assert results['gt_bbox'].shape == (0, 2) and results['gt_labels'].shape == (0,)


def test_is_registered_and_says_what_it_is():
    transform = TRANSFORMS.build(dict(type='CropFeatures', max_length=7))
    assert repr(transform) == (
        'CropFeatures(max_length=7, scale=None, min_coverage=0.5, margin=(0.0, 0.0))'
    )


@pytest.mark.parametrize(
    'options',
    [
        dict(max_length=0),
        dict(max_length=5, min_coverage=0),
        dict(max_length=5, scale=(0.9, 0.5)),
        dict(max_length=5, scale=(0.9, 1.1)),
        dict(max_length=5, margin=(-1, 0)),
        dict(max_length=5, margin=(1,)),
    ],
)
def test_bad_arguments(options):
    with pytest.raises(ValueError, match='expected'):
        CropFeatures(**options)
