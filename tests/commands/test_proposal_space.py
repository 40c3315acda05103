"""What localizers can reach: against the proposals that they really make, and point by point."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from sola_plugin.commands.checks.proposal_space import (
    Extent,
    MapProposals,
    PointProposals,
    map_proposal_space,
    proposal_space,
)
from sola_plugin.evaluation import segment_iou
from sola_plugin.heads import TEM
from tests.conftest import CHANNELS, TINY_BMN

STRIDE, OFFSET = 0.5, 1.0

#: Proposes every cell; nothing is suppressed.
GTAD = dict(
    type='GTAD',
    temporal_dim=8,
    max_duration=5,
    feat_dim=CHANNELS,
    hidden_dim_1d=16,
    hidden_dim_2d=4,
    hidden_dim_3d=8,
    num_samples=4,
    num_context_samples=2,
    groups=4,
    boundary_candidates=False,
    soft_nms_low_threshold=1.0,
    soft_nms_high_threshold=1.0,
    post_process_top_k=10**6,
)


def extent_of(length: int, cut: float = 0.0) -> Extent:
    """Features of ``length`` snippets; the video ends ``cut`` seconds before them."""
    end = OFFSET + length * STRIDE
    return Extent((OFFSET, end), end - cut, length)


def proposals(model, extent: Extent) -> np.ndarray:
    """What the model proposes for random features."""
    torch.manual_seed(0)
    sample = ActionDataSample(
        metainfo=dict(video_name='v', feature_span=extent.span, duration=extent.duration)
    )
    with torch.no_grad():
        (result,) = model([torch.randn(CHANNELS, extent.num_snippets)], [sample], 'predict')
    return np.array([proposal['segment'] for proposal in result['proposal_list']])


def random_segments(extent: Extent, seed: int, count: int = 60) -> np.ndarray:
    times = np.random.default_rng(seed).random((count, 2)) * (extent.duration + 2) - 1
    return np.sort(times, axis=1)


@pytest.mark.parametrize('cut', [0.0, 1.3])
@pytest.mark.parametrize('post_processing', [None, dict(max_length=3)])
@pytest.mark.parametrize(
    ('length', 'windows'),
    [(20, None), (8, None), (20, dict(stride=4)), (21, dict(stride=3)), (5, dict(stride=4))],
)
def test_maps_reach_what_gtad_proposes_at_best(length, windows, cut, post_processing):
    model = MODELS.build(
        {
            **GTAD,
            'post_processing': post_processing,
            **(
                {}
                if windows is None
                else dict(windows=windows, soft_nms_low_threshold=0.0, soft_nms_high_threshold=0.0)
            ),
        }
    ).eval()
    extent = extent_of(length, cut)
    made = proposals(model, extent)
    segments = random_segments(extent, length)
    nearest = proposal_space(model).nearest(segments, extent)
    tiou = segment_iou(segments, made)
    assert np.diagonal(segment_iou(segments, nearest)) == pytest.approx(tiou.max(axis=1), abs=1e-9)
    reached = tiou.max(axis=1) > 0
    assert (segment_iou(nearest[reached], made).max(axis=1) > 1 - 1e-9).all(), (
        'each is one that is made'
    )
    assert (nearest[~reached] == 0).all()


@pytest.mark.parametrize(
    ('max_duration', 'windows'), [(None, None), (6, None), (20, dict(stride=7))]
)
def test_bmn_never_beats_its_reach(max_duration, windows):
    model = MODELS.build({**TINY_BMN, 'max_duration': max_duration, 'windows': windows}).eval()
    extent = extent_of(33, 0.7)
    segments, space = random_segments(extent, 1), proposal_space(model)
    best = np.diagonal(segment_iou(segments, space.nearest(segments, extent)))
    assert (segment_iou(segments, proposals(model, extent)).max(axis=1) <= best + 1e-9).all()
    assert space.cell(extent) == pytest.approx(STRIDE if windows else 33 * STRIDE / 20)


def test_the_last_cell_is_out_of_reach():
    """mmaction2's quirk: no proposal ends with the last cell."""
    extent = Extent((0.0, 10.0), 10.0, 100)
    segments = np.array([[0.0, 10.0], [9.0, 10.0], [2.0, 4.0]])
    assert MapProposals(10).nearest(segments, extent).tolist() == [[0, 9], [0, 0], [2, 4]]


def test_uncut_segments():
    """Windows of 4 s every 2 s: [0, 4], [2, 6], [4, 8]; an extent without windows cuts nothing."""
    extent = Extent((0.0, 8.0), 8.0, 16)
    segments = np.array([[0.0, 4.0], [1.0, 5.0], [2.5, 6.0], [0.0, 8.0]])
    assert map_proposal_space(window=8).uncut(segments, extent).tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert map_proposal_space(window=8, window_stride=2).uncut(segments, extent).tolist() == [
        True,
        True,
        True,
        False,
    ]
    for without in (MapProposals(8), PointProposals([(0, 4)], None)):
        assert without.uncut(segments, extent).all()


def naive_reached(segment, extent: Extent, ranges, radius, cells, min_length) -> bool:
    total = cells or extent.num_snippets
    (begin, end) = extent.span
    start, stop = ((min(max((time - begin) / (end - begin), 0), 1)) * total for time in segment)
    for level, (low, high) in enumerate(ranges):
        for index in range(math.ceil(total / 2**level)):
            point = index * 2**level + 0.5
            centre, reach = (start + stop) / 2, radius * 2**level
            near = abs(point - centre) < reach and start < point < stop
            if (
                near
                and low <= max(point - start, stop - point) <= high
                and stop - start > min_length
            ):
                return True
    return False


@pytest.mark.parametrize('cells', [None, 12])
@pytest.mark.parametrize(
    'ranges', [[(0.0, 4.0), (4.0, 8.0), (8.0, math.inf)], [(0.0, 2.0), (2.0, 3.0)]]
)
def test_points_one_by_one(cells, ranges):
    """Segments one at a time, so that none takes the points of another."""
    extent = extent_of(30, 1.1)
    space = PointProposals(ranges, 1.5, cells, min_length=0.6)
    outcomes = []
    segments = random_segments(extent, 7, 150)
    segments[:, 1] -= np.diff(segments).ravel() * np.tile([0, 0.8, 0.97], 50)
    for segment in segments:
        (nearest,) = space.nearest(segment[None], extent)
        expected = naive_reached(segment, extent, ranges, 1.5, cells, 0.6)
        inside = [max(segment[0], OFFSET), min(segment[1], extent.duration)]
        np.testing.assert_allclose(nearest, inside if expected else [0, 0], atol=1e-9)
        outcomes.append(expected)
    assert 20 < sum(outcomes) < 140


def test_a_shorter_segment_takes_the_only_point():
    extent = Extent((0.0, 8.0), 8.0, 8)
    space = PointProposals([(0.0, 4.0)], 0.3)
    both = np.array([[2.3, 2.7], [2.0, 3.0]])
    assert space.nearest(both, extent).tolist() == [[2.3, 2.7], [0, 0]]
    np.testing.assert_allclose(space.nearest(both[1:], extent), [[2, 3]])


def test_actionformer_has_the_reach_of_its_settings():
    model = MODELS.build(
        dict(
            type='ActionFormer',
            feat_dim=CHANNELS,
            temporal_dim=24,
            center_radius=1.0,
            pyramid=dict(channels=8, num_levels=3, num_heads=2, windows=3),
            post_processing=dict(min_length=0.5),
        )
    )
    space = proposal_space(model)
    assert (space.ranges, space.radius, space.cells, space.min_length, space.max_cells) == (
        [(0.0, 4.0), (4.0, 8.0), (8.0, math.inf)],
        1.0,
        24,
        0.5,
        None,
    )


def test_localizers_without_proposals_have_no_reach():
    assert (
        proposal_space(
            TEM(
                temporal_dim=8,
                boundary_ratio=0.1,
                tem_feat_dim=CHANNELS,
                tem_hidden_dim=8,
                tem_match_threshold=0.5,
            )
        )
        is None
    )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(temporal_dim=1), 'temporal_dim=1 must be at least 2'),
        (
            dict(temporal_dim=10, max_duration=11),
            'max_duration=11 must be between 1 and temporal_dim=10',
        ),
        (
            dict(window=10, window_stride=11),
            'stride=11 must be between 1 and the length of a window, 10',
        ),
        (dict(window=10, temporal_dim=10), 'got both'),
    ],
)
def test_numbers_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        map_proposal_space(**options)


def test_without_a_grid():
    assert map_proposal_space() is None
