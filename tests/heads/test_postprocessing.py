"""Post-processing against mmaction2's loops."""

from __future__ import annotations

import numpy as np
import pytest
from mmaction.models.localizers.utils import soft_nms as stock_soft_nms

from sola_plugin.heads.shared.proposals import (
    boundary_peaks,
    covered_span,
    proposals_from_maps,
    proposals_in_seconds,
)
from sola_plugin.heads.shared.suppression import soft_nms


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('top_k', [1, 20, 500])
def test_soft_nms_equals_mmaction2(seed, top_k):
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 120))
    proposals = np.concatenate([np.sort(rng.random((number, 2)), 1), rng.random((number, 1))], 1)
    if seed % 2:  # ties and duplicates
        proposals = np.round(np.concatenate([proposals, proposals]), 1)
        proposals = proposals[proposals[:, 1] > proposals[:, 0]]
    expected = stock_soft_nms(proposals, 0.4, 0.5, 0.9, top_k)
    (got,) = soft_nms([proposals], 0.4, 0.5, 0.9, top_k)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
    assert len(got) == min(len(proposals), top_k + 1)


def test_soft_nms_of_several_videos_is_that_of_each():
    rng = np.random.default_rng(0)
    videos = [
        np.concatenate([np.sort(rng.random((number, 2)), 1), rng.random((number, 1))], 1)
        for number in (40, 0, 7, 90)
    ]
    together = soft_nms(videos, 0.4, 0.5, 0.9, 20)
    assert [len(proposals) for proposals in together] == [21, 0, 7, 21]
    for video, proposals in zip(videos, together):
        np.testing.assert_array_equal(soft_nms([video], 0.4, 0.5, 0.9, 20)[0], proposals)


def test_soft_nms_of_nothing():
    assert soft_nms([np.zeros((0, 3))], 0.4, 0.5, 0.9, 10)[0].shape == (0, 3)
    assert soft_nms([], 0.4, 0.5, 0.9, 10) == []


def test_boundary_peaks_by_their_definition():
    scores = np.array([0.9, 0.1, 0.2, 0.1, 0.46, 0.5, 0.4, 0.3])
    assert boundary_peaks(scores).tolist() == [False, False, True, False, True, True, False, False]


@pytest.mark.parametrize('rows', [4, 9])
def test_proposals_by_plain_loops(rows):
    rng, size = np.random.default_rng(0), 9
    start, end = rng.random((2, size)).astype(np.float32)
    confidence = rng.random((2, rows, size)).astype(np.float32)
    starts, ends = boundary_peaks(start), boundary_peaks(end)
    starts[0] = ends[-1] = True
    expected = [
        [
            s / size,
            (s + d + 1) / size,
            start[s] * end[s + d + 1] * confidence[1, d, s] * confidence[0, d, s],
        ]
        for d in range(rows)
        for s in range(size)
        if s + d + 1 < size and starts[s] and ends[s + d + 1]
    ]
    np.testing.assert_allclose(proposals_from_maps(start, end, confidence), expected, rtol=1e-6)


def test_seconds_follow_the_span_and_stay_in_the_video():
    proposals = np.array([[0.0, 0.5, 0.2], [0.5, 1.0, 0.9], [-0.1, 0.25, 0.5]])
    result = proposals_in_seconds(proposals, (1.0, 21.0), 20.0, top_k=2)
    assert result == [dict(score=0.9, segment=[11.0, 20.0]), dict(score=0.5, segment=[1.0, 6.0])]


def test_covered_span():
    assert covered_span(dict(feature_span=(0.5, 10.0), duration=9.0), 16) == ((0.5, 10.0), 9.0)
    span, duration = covered_span(dict(duration_frame=1000, duration_second=50.0), 16)
    assert span == (0.0, duration) and duration == pytest.approx(992 / 1000 * 50)
    with pytest.raises(KeyError, match=r"'v_x' lacks \['duration_second'\]: add them to meta_keys"):
        covered_span(dict(video_name='v_x', duration_frame=1000), 16)
