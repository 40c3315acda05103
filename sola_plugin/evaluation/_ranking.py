"""The rank of a detection within its video (or video and class), and the best rank that hits."""

from __future__ import annotations

import numpy as np

from ._columns import equal_pairs
from .tiou import aligned_iou

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
