"""Mean average precision as the ActivityNet evaluator defines it, and the matching behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sola_plugin.segments import ACTIVITYNET, aligned_iou, by_threshold, resolve_thresholds

from .columns import ClassColumns, PerVideo, class_columns, equal_pairs


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """Result of :func:`average_precision`; all precisions are fractions in ``[0, 1]``.

    Attributes:
        tiou_thresholds: ``(n_tiou,)``.
        labels: The classes of the ground truth, sorted.
        per_class: Average precision ``(n_class, n_tiou)``; rows follow ``labels``.
        ignored: How many detections were left out, by label: labels that the ground truth does not
            have.
        unknown_videos: Number of detections in videos that the ground truth does not list. They
            count as false positives of their class.
    """

    tiou_thresholds: np.ndarray
    labels: tuple[str, ...]
    per_class: np.ndarray
    ignored: Mapping[str, int]
    unknown_videos: int

    @property
    def mAP(self) -> np.ndarray:
        """Mean over the classes, ``(n_tiou,)``."""
        return self.per_class.mean(axis=0)

    @property
    def average(self) -> float:
        """Mean of :attr:`mAP` over the thresholds."""
        return float(self.mAP.mean())

    def to_dict(self, per_class: bool = False) -> dict:
        """Return the figures ready for JSON.

        Args:
            per_class: Also return those of every class.

        Returns:
            ``{'average': x, 'per_tiou': {'0.5': x, ...}}``, and with ``per_class`` the same under
            ``'per_class'`` of every label.
        """
        figures = by_threshold(self.tiou_thresholds, self.mAP)
        if per_class:
            figures['per_class'] = {
                label: by_threshold(self.tiou_thresholds, row)
                for label, row in zip(self.labels, self.per_class)
            }
        return figures


def average_precision(
    ground_truth: PerVideo,
    detections: PerVideo,
    tiou_thresholds: str | Sequence[float] | np.ndarray = ACTIVITYNET,
) -> AveragePrecision:
    """Compute the interpolated average precision of every class at every tIoU threshold.

    Follows ``Evaluation/eval_detection.py`` of the ActivityNet repository. The detections of a
    class are taken over all videos in order of falling score. Each takes the free ground-truth
    segment of its video and class with the highest tIoU, if that is at least the threshold, and is
    a true positive; otherwise it is a false positive. A class with truth but without detections has
    AP 0; only classes with truth count in the mean. A detection without length matches any segment
    without length of its class and video, as it does there.

    Two things that the official code leaves open are fixed: of equal scores (and of equal tIoUs)
    the later entry comes first, and a label without ground truth, on which it stops with a
    ``KeyError``, is ignored and counted.

    Args:
        ground_truth: ``{video: [{'segment': [start, end], 'label': str}]}``, seconds. Videos
            without segments may be listed.
        detections: ``{video: [{'segment', 'label', 'score'}]}``, in the same unit. Higher scores
            come first; only their order matters.
        tiou_thresholds: Numbers in ``(0, 1]``, or a text as :func:`.segments.resolve_thresholds`
            takes.

    Returns:
        The average precisions.

    Raises:
        ValueError: The ground truth has no segments, an entry lacks a key, or a number is not
            finite or a segment reversed; the message names the video.

    Example:
        >>> truth = {'a': [{'segment': [0, 10], 'label': 'run'}]}
        >>> found = {'a': [{'segment': [0, 8], 'label': 'run', 'score': .9}]}
        >>> average_precision(truth, found, [.5, .9]).mAP.tolist()
        [1.0, 0.0]
    """
    matches = match_detections(ground_truth, detections, resolve_thresholds(tiou_thresholds))
    return AveragePrecision(
        tiou_thresholds=matches.tiou_thresholds,
        labels=matches.labels,
        per_class=class_precision(matches.is_true, matches.found_class, matches.positives),
        ignored=matches.ignored,
        unknown_videos=matches.unknown_videos,
    )


def class_precision(
    is_true: np.ndarray,
    found_class: np.ndarray,
    positives: np.ndarray,
    *,
    counted: np.ndarray | None = None,
    normalized_to: float | None = None,
) -> np.ndarray:
    """Compute the interpolated average precision of every class from its true positives.

    Args:
        is_true: True positives, bool ``(n_tiou, n)``; of every class in order of falling score.
        found_class: Class of each detection ``(n,)``, ascending.
        positives: Number of true segments of every class ``(n_class,)``.
        counted: Bool ``(n_tiou, n)``; the other false positives are treated as if they were not
            there. Default: all count.
        normalized_to: Compute the normalised AP with this number of true segments in every class,
            see :func:`precision_at_ranks`. Default: plain AP.

    Returns:
        ``(n_class, n_tiou)`` in ``[0, 1]``; NaN for a class without true segments.
    """
    result = np.full((len(positives), len(is_true)), np.nan)
    ends = np.searchsorted(found_class, np.arange(len(positives) + 1))
    for i in np.flatnonzero(positives):
        part = slice(ends[i], ends[i + 1])
        precision = precision_at_ranks(
            is_true[:, part],
            None if counted is None else counted[:, part],
            1.0 if normalized_to is None else normalized_to / positives[i],
        )
        # The curve at some recall is the best precision at that recall or beyond it.
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        result[i] = (best * is_true[:, part]).sum(axis=1) / positives[i]
    return result


def precision_at_ranks(
    is_true: np.ndarray, counted: np.ndarray | None = None, scale: float = 1.0
) -> np.ndarray:
    """Precision among the detections of one class down to each of them.

    Precision depends on how many true segments a class has: the more, the more of the detections
    can be true. The normalised precision (Hoiem et al., ECCV 2012) takes the same number N for all
    classes: with recall R and F false positives, it is RN / (RN + F).

    Args:
        is_true: True positives in order of falling score, bool ``(n_tiou, n)``.
        counted: Bool ``(n_tiou, n)``, which detections count; true positives always have to.
        scale: N over the number of true segments of the class.

    Returns:
        ``(n_tiou, n)`` in ``[0, 1]``; 0 before the first detection that counts.
    """
    true = np.cumsum(is_true, axis=1)
    seen = np.arange(1, is_true.shape[1] + 1) if counted is None else np.cumsum(counted, axis=1)
    false = seen - true
    true = true * scale
    return true / np.maximum(true + false, np.finfo(np.float64).tiny)


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
