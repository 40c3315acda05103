"""Matching of detections with true segments, by rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sola_plugin.segments import aligned_iou

from .columns import ClassColumns, PerVideo, class_columns, equal_pairs

#: Beyond all ranks.
NEVER = np.iinfo(np.int64).max


def rank_in_group(groups: np.ndarray) -> np.ndarray:
    """Count the earlier entries of the same group.

    Args:
        groups: Group of every entry ``(n,)``, ascending.

    Returns:
        int64 ``(n,)``, from 0.

    Example:
        >>> rank_in_group(np.array([3, 3, 3, 5, 8, 8])).tolist()
        [0, 1, 2, 0, 0, 1]
    """
    position = np.arange(len(groups))
    starts = np.r_[True, groups[1:] != groups[:-1]][: len(groups)]
    return position - np.maximum.accumulate(np.where(starts, position, 0))


def first_hits(
    true: np.ndarray,
    true_group: np.ndarray,
    found: np.ndarray,
    found_group: np.ndarray,
    rank: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """Find the best-ranked detection that reaches each true segment; it may reach several.

    Args:
        true: True segments ``(m, 2)``.
        true_group: Number of their groups ``(m,)``: a detection can reach segments of its group.
        found: Detected segments ``(n, 2)``, those of a group in order of rank.
        found_group: Number of their groups ``(n,)``.
        rank: Rank of every detection in its group ``(n,)``, from 0.
        thresholds: tIoU ``(n_tiou,)``.

    Returns:
        Ranks ``(n_tiou, m)``; :data:`NEVER` where no detection reaches the threshold.
    """
    truth, detection = equal_pairs(true_group, found_group)
    tiou = aligned_iou(true[truth], found[detection])
    first = np.full((len(thresholds), len(true)), NEVER)
    for row, threshold in zip(first, thresholds):
        hit = np.flatnonzero(tiou >= threshold)[::-1]
        row[truth[hit]] = rank[detection[hit]]  # of repeated indices, the last (best) rank stays
    return first


@dataclass(frozen=True, eq=False)
class Matches(ClassColumns):
    """Result of :func:`match_detections`: the columns, and which detection takes which segment.

    Detections in videos that the ground truth does not list are false positives of their class.

    Attributes:
        tiou_thresholds: ``(n_tiou,)``.
        partner: Row of ``true`` that each detection takes, or -1 for a false positive, ``(n_tiou,
            n)``.
    """

    tiou_thresholds: np.ndarray
    partner: np.ndarray

    @property
    def is_true(self) -> np.ndarray:
        """True positives, bool ``(n_tiou, n)``."""
        return self.partner >= 0

    @property
    def positives(self) -> np.ndarray:
        """Number of true segments of every class ``(n_class,)``, at least 1."""
        return np.bincount(self.true_class)


def match_detections(
    ground_truth: PerVideo, detections: PerVideo, tiou_thresholds: np.ndarray
) -> Matches:
    """Match detections with true segments of their video and class, at every threshold on its own.

    In order of falling score, each detection takes the free segment with the highest tIoU, if that
    is at least the threshold. Of equal scores, and of equal tIoUs, the later entry comes first.

    Args:
        ground_truth: ``{video: [{'segment': [start, end], 'label': str}]}``, seconds.
        detections: ``{video: [{'segment', 'label', 'score'}]}``, in the same unit.
        tiou_thresholds: ``(n_tiou,)`` in ``(0, 1]``.

    Returns:
        The matches.

    Raises:
        ValueError: The ground truth has no segments, an entry lacks a key, or a number is not
            finite or a segment reversed; the message names the video.
    """
    columns = class_columns(ground_truth, detections)
    num_labels = len(columns.labels)
    partner = _partners(
        columns.found,
        columns.found_video * num_labels + columns.found_class,
        columns.true,
        columns.true_video * num_labels + columns.true_class,
        tiou_thresholds,
    )
    return Matches(**vars(columns), tiou_thresholds=tiou_thresholds, partner=partner)


def overlap(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The tIoU as the matching sees it: infinite for two segments without length.

    The official code divides 0 by 0 for them, and the NaN comes first and passes every threshold.
    ActivityNet has such annotations, so its figures depend on it.

    Args:
        found: Detected segments ``(n, 2)``.
        true: True segments beside them ``(n, 2)``.

    Returns:
        ``(n,)``.
    """
    tiou = aligned_iou(found, true)
    tiou[(np.diff(found).ravel() == 0) & (np.diff(true).ravel() == 0)] = np.inf
    return tiou


def _partners(
    found: np.ndarray,
    found_key: np.ndarray,
    true: np.ndarray,
    true_key: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """Find the true segment that each detection takes.

    Args:
        found: Detected segments ``(n, 2)``; those of equal key in order of falling score.
        found_key: Video and class of each, one integer ``(n,)``.
        true: True segments ``(m, 2)``.
        true_key: Video and class of each ``(m,)``.
        thresholds: ``(n_tiou,)``.

    Returns:
        Row of ``true`` or -1, ``(n_tiou, n)``.
    """
    detection, truth = equal_pairs(found_key, true_key)
    tiou = overlap(found[detection], true[truth])
    near = np.flatnonzero(tiou >= thresholds.min())
    near = near[np.lexsort((-truth[near], -tiou[near], detection[near]))]
    detection, truth, tiou = detection[near], truth[near], tiou[near]
    # Each threshold is a matching problem of its own; numbering its nodes apart solves all at once.
    level, edge = np.nonzero(tiou >= thresholds[:, None])
    partner = _first_come_matching(
        level * len(found) + detection[edge],
        level * len(true) + truth[edge],
        len(thresholds) * len(found),
        len(thresholds) * len(true),
    )
    np.remainder(partner, len(true), out=partner, where=partner >= 0)
    return partner.reshape(len(thresholds), len(found))


def _first_come_matching(
    left: np.ndarray, right: np.ndarray, num_left: int, num_right: int
) -> np.ndarray:
    """Match greedily: edge after edge is taken if both of its ends are still free.

    An edge that comes before all other edges at its two ends is taken whatever happens elsewhere.
    So all such edges can be taken at once, their neighbours dropped, and the rest treated likewise.
    The number of rounds is at most the number of right nodes in a connected part (the segments of
    one class in one video).

    Args:
        left: Left node of every edge ``(n_edges,)``, ascending.
        right: Right node of every edge ``(n_edges,)``.
        num_left: Number of left nodes.
        num_right: Number of right nodes.

    Returns:
        ``(num_left,)``: the right node that each left node got, or -1.
    """
    # The largest array of an evaluation: there are no two thousand million true segments.
    partner = np.full(num_left, -1, dtype=np.int32)
    right_taken = np.zeros(num_right, dtype=bool)
    first_at_right = np.zeros(num_right, dtype=np.int64)
    while len(left):
        edges = np.arange(len(left))
        first_at_left = np.r_[True, left[1:] != left[:-1]]
        first_at_right[right[::-1]] = edges[::-1]  # of repeated indices, the last assignment stays
        taken = first_at_left & (first_at_right[right] == edges)
        partner[left[taken]] = right[taken]
        right_taken[right[taken]] = True
        free = (partner[left] < 0) & ~right_taken[right]
        left, right = left[free], right[free]
    return partner
