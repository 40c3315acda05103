"""Non-maximum suppression, hard and soft, and voting: one implementation for every head."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sola_plugin.segments import aligned_iou, segment_iou

#: From tIoU ``(G, P)`` with the segments taken, and the widths ``(G, 1)`` of these, to factors
#: ``(G, P)`` of the scores.
Decay = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: Pairs of a segment kept and a candidate that are compared at once: hours of video have millions
#: of candidates.
_MAX_PAIRS = 1 << 22


def gaussian_decay(
    sigma: float, low_threshold: float = 0.0, high_threshold: float | None = None
) -> Decay:
    """Decay of soft-NMS (Bodla et al., https://arxiv.org/abs/1704.04503): ``exp(-tIoU^2 / sigma)``.

    Args:
        sigma: The smaller, the stronger the decay.
        low_threshold: Scores of segments with at most this tIoU stay.
        high_threshold: The threshold for a segment taken of width 1, linear between; wide ones
            suppress less. ``None``: ``low_threshold``.

    Returns:
        The decay.
    """
    slope = 0.0 if high_threshold is None else high_threshold - low_threshold

    def decay(tiou: np.ndarray, width: np.ndarray) -> np.ndarray:
        return np.where(tiou > low_threshold + slope * width, np.exp(-np.square(tiou) / sigma), 1.0)

    return decay


def hard_decay(threshold: float) -> Decay:
    """Decay of hard NMS: what overlaps by more than ``threshold`` is dropped.

    Args:
        threshold: tIoU.

    Returns:
        The decay.
    """
    return lambda tiou, width: (tiou <= threshold).astype(float)


def suppress(
    segments: np.ndarray,
    scores: np.ndarray,
    decay: Decay,
    max_taken: int,
    min_score: float = -np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """Take the best segment again and again, and decay the scores of those that overlap with it.

    All groups, such as the classes of a video, go through one loop side by side.

    Args:
        segments: ``(G, P, 2)``.
        scores: ``(G, P)``; ``-inf`` where a group has fewer than P segments.
        decay: :func:`gaussian_decay` or :func:`hard_decay`.
        max_taken: Most segments that a group keeps.
        min_score: A group ends when no score is above it.

    Returns:
        Indices of the segments taken, ``(G, K)`` with ``K <= max_taken``, in the order taken, and
        their decayed scores ``(G, K)``, ``-inf`` where a group has ended.
    """
    rows, left = np.arange(len(segments)), scores.copy()
    indices, taken = [], []
    for _ in range(min(max_taken, scores.shape[1])):
        best = left.argmax(1)
        score = left[rows, best]
        score[score <= min_score] = -np.inf
        if not (score > -np.inf).any():
            break
        indices.append(best)
        taken.append(score)
        chosen = segments[rows, best][:, None]
        factor = decay(aligned_iou(chosen, segments), chosen[..., 1] - chosen[..., 0])
        # Of a score that is gone the product with 0 is not defined.
        np.multiply(left, factor, out=left, where=left > -np.inf)
        left[rows, best] = -np.inf
    if not indices:
        return np.zeros((len(rows), 0), dtype=int), np.zeros((len(rows), 0))
    return np.stack(indices, axis=1), np.stack(taken, axis=1)


def grouped_nms(
    segments: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    decay: Decay,
    max_taken: int,
    min_score: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Suppression inside each group; segments of different groups do not touch each other.

    Args:
        segments: ``(M, 2)``.
        scores: ``(M,)``.
        groups: Group numbers, int ``(M,)``: the classes, or 0 for all to suppress across classes.
        decay: See :func:`suppress`.
        max_taken: Most segments that a group keeps.
        min_score: Segments whose decayed score is not above it are dropped.

    Returns:
        Indices of the segments kept, ``(K,)``, best first, and their decayed scores ``(K,)``.
    """
    if not len(scores):
        return np.zeros(0, dtype=int), np.zeros(0)
    order = np.lexsort((-scores, groups))
    _, first, row, size = np.unique(
        groups[order], return_index=True, return_inverse=True, return_counts=True
    )
    column = np.arange(len(order)) - first[row]
    members = np.zeros((len(first), size.max()), dtype=int)
    members[row, column] = order
    padded = np.full(members.shape, -np.inf)
    padded[row, column] = scores[order]
    index, kept = suppress(segments[members], padded, decay, max_taken, min_score)
    index = np.take_along_axis(members, index, axis=1)[kept > -np.inf]
    kept = kept[kept > -np.inf]
    best_first = np.argsort(-kept, kind='stable')
    return index[best_first], kept[best_first]


def vote_boundaries(
    kept: np.ndarray, segments: np.ndarray, scores: np.ndarray, threshold: float
) -> np.ndarray:
    """Move the boundaries of the segments kept to the mean of all candidates that agree with them.

    Each candidate counts with its score times its tIoU (box voting, Gidaris and Komodakis,
    https://arxiv.org/abs/1505.01749).

    Args:
        kept: ``(K, 2)``, some of the candidates.
        segments: The candidates before suppression ``(M, 2)``.
        scores: Their scores ``(M,)``, positive.
        threshold: Smallest tIoU of a candidate that counts, in ``(0, 1]``.

    Returns:
        ``(K, 2)``.
    """
    rows = max(_MAX_PAIRS // max(len(segments), 1), 1)
    voted = np.empty(np.shape(kept))
    for first in range(0, len(kept), rows):
        block = kept[first : first + rows]
        tiou = segment_iou(block, segments)
        weight = np.where(tiou >= threshold, tiou * scores, 0.0)
        total = weight.sum(1, keepdims=True)
        # A segment of no length agrees with nothing, itself included.
        voted[first : first + rows] = np.where(
            total > 0, weight @ segments / np.where(total > 0, total, 1.0), block
        )
    return voted


def soft_nms(
    videos: Sequence[np.ndarray],
    alpha: float,
    low_threshold: float,
    high_threshold: float,
    top_k: int,
) -> list[np.ndarray]:
    """Gaussian soft-NMS of the proposals of every video, as used by BSN and BMN.

    The best proposal is taken again and again; the score of every other one whose tIoU with it
    exceeds ``low_threshold + (high_threshold - low_threshold) * width`` is multiplied by
    ``exp(-tIoU^2 / alpha)``. ``width`` is that of the proposal taken, so wide ones suppress less.
    The videos go through one loop side by side.

    Args:
        videos: ``(P_i, 3)`` each: start, end (fractions of the video) and score >= 0.
        alpha: Decay.
        low_threshold: tIoU threshold of a proposal of no width.
        high_threshold: tIoU threshold of a proposal as wide as the video.
        top_k: Stop after ``top_k + 1`` proposals. The one more is mmaction2's, kept for equality.

    Returns:
        ``(min(P_i, top_k + 1), 3)`` each, in the order taken, scores decayed.
    """
    videos = [video[video[:, 2].argsort()[::-1]] for video in videos]
    if min(low_threshold, high_threshold) >= 1:  # as no tIoU exceeds 1, nothing decays
        return [video[: top_k + 1] for video in videos]
    padded = np.zeros((len(videos), max((len(video) for video in videos), default=0), 3))
    padded[..., 2] = -np.inf
    for row, video in zip(padded, videos):
        row[: len(video)] = video
    indices, scores = suppress(
        padded[..., :2],
        padded[..., 2],
        gaussian_decay(alpha, low_threshold, high_threshold),
        top_k + 1,
    )
    return [
        np.column_stack([row[index, :2], score])[score > -np.inf]
        for row, index, score in zip(padded, indices, scores)
    ]
