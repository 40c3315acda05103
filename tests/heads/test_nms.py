"""Suppression against plain loops, and detections of a video."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sola_plugin.heads.shared.detections import DetectionSettings, detect
from sola_plugin.heads.shared.proposals import proposals_in_seconds
from sola_plugin.heads.shared.suppression import (
    gaussian_decay,
    grouped_nms,
    hard_decay,
    suppress,
    vote_boundaries,
)
from sola_plugin.segments import segment_iou


def random_segments(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.sort(rng.random((number, 2)) * 20, 1), rng.random(number)


def tiou(a, b) -> float:
    return segment_iou(np.array([a]), np.array([b])).item()


def soft_nms_by_loops(segments, scores, sigma: float, min_score: float) -> list[tuple[int, float]]:
    left, taken = dict(enumerate(scores.tolist())), []
    while left and max(left.values()) > min_score:
        best = max(left, key=left.__getitem__)
        taken.append((best, left.pop(best)))
        left = {
            i: s * math.exp(-(tiou(segments[best], segments[i]) ** 2) / sigma)
            for i, s in left.items()
        }
    return taken


def hard_nms_by_loops(
    segments, scores, threshold: float, min_score: float
) -> list[tuple[int, float]]:
    taken: list[int] = []
    for i in np.argsort(-scores).tolist():
        if scores[i] > min_score and all(
            tiou(segments[i], segments[j]) <= threshold for j in taken
        ):
            taken.append(i)
    return [(i, float(scores[i])) for i in taken]


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize(
    ('decay', 'loops', 'value'),
    [
        (gaussian_decay, soft_nms_by_loops, 0.5),
        (gaussian_decay, soft_nms_by_loops, 0.05),
        (hard_decay, hard_nms_by_loops, 0.3),
        (hard_decay, hard_nms_by_loops, 0.0),
    ],
)
def test_groups_do_not_touch_each_other(seed, decay, loops, value):
    segments, scores = random_segments(60, seed)
    groups = np.random.default_rng(seed).integers(4, size=60) * 7
    expected = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        expected += [
            (members[i], s) for i, s in loops(segments[members], scores[members], value, 0.1)
        ]
    expected.sort(key=lambda pair: -pair[1])
    index, kept = grouped_nms(segments, scores, groups, decay(value), 60, 0.1)
    assert index.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(kept, [s for _, s in expected], rtol=1e-12)


def test_each_group_keeps_at_most():
    segments, scores = random_segments(40)
    groups = np.arange(40) % 3
    index, _ = grouped_nms(segments, scores, groups, gaussian_decay(0.5), 4)
    assert np.bincount(groups[index]).tolist() == [4, 4, 4]
    best = [max(np.flatnonzero(groups == g), key=scores.__getitem__) for g in range(3)]
    assert set(best) <= set(index.tolist())


def test_a_group_may_end_before_the_others():
    segments = np.array([[[0.0, 1.0], [5.0, 6.0]], [[0.0, 1.0], [0.0, 1.0]]])
    scores = np.array([[0.9, 0.8], [0.7, -np.inf]])
    index, kept = suppress(segments, scores, hard_decay(0.5), 2)
    assert index[0].tolist() == [0, 1] and index[1, 0] == 0
    assert kept.tolist() == [[0.9, 0.8], [0.7, -np.inf]]


def test_nothing_to_suppress():
    index, kept = grouped_nms(np.zeros((0, 2)), np.zeros(0), np.zeros(0, int), hard_decay(0.5), 10)
    assert len(index) == len(kept) == 0
    index, kept = grouped_nms(
        np.ones((3, 2)), np.full(3, 0.1), np.zeros(3, int), hard_decay(0.5), 10, 0.2
    )
    assert len(index) == len(kept) == 0


def test_wide_segments_suppress_less():
    decay = gaussian_decay(0.4, 0.5, 0.9)
    factor = decay(np.array([[0.6, 0.6], [0.6, 0.6]]), np.array([[0.1], [0.9]]))
    np.testing.assert_allclose(factor, [[math.exp(-0.36 / 0.4)] * 2, [1, 1]])


def test_voting_by_hand():
    segments = np.array([[0.0, 10.0], [0.0, 8.0], [20.0, 30.0]])
    scores = np.array([0.9, 0.6, 0.8])
    weight = 0.6 * 0.8  # score times tIoU
    voted = vote_boundaries(segments[[0, 2]], segments, scores, 0.75)
    np.testing.assert_allclose(voted, [[0, (0.9 * 10 + weight * 8) / (0.9 + weight)], [20, 30]])
    np.testing.assert_allclose(vote_boundaries(segments, segments, scores, 1.0), segments)
    assert vote_boundaries(
        np.array([[3.0, 3.0]]), np.array([[3.0, 3.0]]), np.ones(1), 0.5
    ).tolist() == [[3, 3]]


@pytest.fixture
def outputs() -> tuple[np.ndarray, np.ndarray]:
    """Segments and scores of two classes at four points; two points speak of one action."""
    return (
        np.array([[0.0, 10.0], [1.0, 10.0], [20.0, 24.0], [30.0, 30.01]]),
        np.array([[0.9, 0.01], [0.8, 0.7], [0.0005, 0.6], [0.99, 0.99]]),
    )


def test_detect(outputs):
    segments, scores, labels = detect(*outputs, DetectionSettings())
    assert labels.tolist() == [0, 1, 1, 0, 1]
    decay = math.exp(-(0.9**2) / 0.5)
    np.testing.assert_allclose(scores, [0.9, 0.7, 0.6, 0.8 * decay, 0.01 * decay])
    np.testing.assert_allclose(segments[:4], [[0, 10], [1, 10], [20, 24], [1, 10]])


def test_detect_across_classes(outputs):
    _, scores, labels = detect(*outputs, DetectionSettings(class_aware=False, nms='hard'))
    assert labels.tolist() == [0, 1] and scores.tolist() == [0.9, 0.6]


def test_detect_with_voting(outputs):
    segments, *_ = detect(*outputs, DetectionSettings(nms='hard', voting=0.8, tiou_threshold=0.5))
    np.testing.assert_allclose(segments[0], [0.8 * 0.9 / (0.9 + 0.8 * 0.9), 10])
    np.testing.assert_allclose(
        segments[1], [0.7 / (0.7 + 0.01 * 0.9), 10]
    )  # the other class has its own


@pytest.mark.parametrize(
    ('settings', 'number'),
    [
        (dict(top_k=2), 2),
        (dict(pre_nms_top_k=3), 3),
        (dict(min_score=0.65, sigma=0.01), 2),
        (dict(min_length=5), 4),
        (dict(min_score=1.0), 0),
    ],
)
def test_limits(outputs, settings, number):
    assert [len(part) for part in detect(*outputs, DetectionSettings(**settings))] == [number] * 3


def test_unknown_nms():
    with pytest.raises(ValueError, match="nms is 'none', expected 'soft' or 'hard'"):
        DetectionSettings(nms='none')


def test_labels_follow_their_segments():
    proposals = np.array([[0.0, 0.5, 0.2], [0.5, 1.0, 0.9]])
    assert proposals_in_seconds(proposals, (0.0, 10.0), 10.0, 2, ['run', 'jump']) == [
        dict(score=0.9, segment=[5.0, 10.0], label='jump'),
        dict(score=0.2, segment=[0.0, 5.0], label='run'),
    ]


def test_voting_among_millions_of_candidates_is_done_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    segments, scores = np.sort(rng.random((50, 2)), 1), rng.random(50)
    whole = vote_boundaries(segments[:13], segments, scores, 0.5)
    for pairs in (1, 200):
        monkeypatch.setattr('sola_plugin.heads.shared.suppression._MAX_PAIRS', pairs)
        np.testing.assert_allclose(vote_boundaries(segments[:13], segments, scores, 0.5), whole)
