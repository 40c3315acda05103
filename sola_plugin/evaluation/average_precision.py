"""Mean average precision of temporal detections, as the ActivityNet evaluator defines it."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ._columns import (
    PerVideo,
    column,
    descending_order,
    equal_pairs,
    score_column,
    segment_column,
    video_column,
)
from .tiou import ACTIVITYNET, aligned_iou, resolve_thresholds, threshold_name


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

    def to_dict(self) -> dict:
        """Return ``{'average': x, 'per_tiou': {'0.5': x, ...}}``, ready for JSON."""
        names = map(threshold_name, self.tiou_thresholds)
        return {'average': self.average, 'per_tiou': dict(zip(names, self.mAP.tolist()))}


def average_precision(
        ground_truth: PerVideo,
        detections: PerVideo,
        tiou_thresholds: str | Sequence[float] | np.ndarray = ACTIVITYNET) -> AveragePrecision:
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
        tiou_thresholds: Numbers in ``(0, 1]``, or ``'activitynet'`` or ``'thumos14'``.

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
    thresholds = resolve_thresholds(tiou_thresholds)
    true_labels = column(ground_truth, 'label', 'ground truth')
    if not true_labels:
        raise ValueError(
            f'ground truth: none of the {len(ground_truth)} videos has an annotated segment, so '
            'average precision is undefined; check the subset and the annotation file')
    labels = tuple(sorted(set(true_labels)))
    class_of = {label: i for i, label in enumerate(labels)}
    true_class = np.array([class_of[label] for label in true_labels])
    found_labels = column(detections, 'label', 'detections')
    found_class = np.array([class_of.get(label, -1) for label in found_labels], dtype=np.int64)

    order = descending_order(score_column(detections, 'detections'))
    order = order[found_class[order] >= 0]
    found_class = found_class[order]

    true_video, found_video = _video_numbers(ground_truth, detections)
    is_true = _true_positives(
        found=segment_column(detections, 'detections')[order],
        found_key=found_video[order] * len(labels) + found_class,
        true=segment_column(ground_truth, 'ground truth'),
        true_key=true_video * len(labels) + true_class,
        thresholds=thresholds)
    by_class = np.argsort(found_class, kind='stable')
    starts = np.searchsorted(found_class[by_class], np.arange(1, len(labels)))
    parts = np.split(is_true[:, by_class], starts, axis=1)
    positives = np.bincount(true_class)
    return AveragePrecision(
        tiou_thresholds=thresholds,
        labels=labels,
        per_class=np.stack([_interpolated(part, n) for part, n in zip(parts, positives)]),
        ignored=dict(Counter(label for label in found_labels if label not in class_of)),
        unknown_videos=sum(len(d) for video, d in detections.items() if video not in ground_truth))


def _video_numbers(ground_truth: PerVideo,
                   detections: PerVideo) -> tuple[np.ndarray, np.ndarray]:
    """Number the videos of both alike: one integer per segment and one per detection."""
    number = {video: i for i, video in enumerate({**ground_truth, **detections})}
    true, found = ([number[video] for video in video_column(part)]
                   for part in (ground_truth, detections))
    return np.array(true, dtype=np.int64), np.array(found, dtype=np.int64)


def _true_positives(found: np.ndarray, found_key: np.ndarray, true: np.ndarray,
                    true_key: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Decide which detections are true positives.

    Args:
        found: Detected segments ``(n, 2)`` in order of falling score.
        found_key: Video and class of each, one integer ``(n,)``.
        true: Ground-truth segments ``(m, 2)``.
        true_key: Video and class of each ``(m,)``.
        thresholds: ``(n_tiou,)``.

    Returns:
        bool ``(n_tiou, n)``.
    """
    detection, truth = equal_pairs(found_key, true_key)
    tiou = aligned_iou(found[detection], true[truth])
    # The official code divides 0 by 0 for two segments without length, and the NaN comes first and
    # passes every threshold. ActivityNet has such annotations, so its figures depend on it.
    pointlike = (np.diff(found).ravel() == 0)[detection] & (np.diff(true).ravel() == 0)[truth]
    tiou[pointlike] = np.inf
    near = np.flatnonzero(tiou >= thresholds.min())
    near = near[np.lexsort((-truth[near], -tiou[near], detection[near]))]
    detection, truth, tiou = detection[near], truth[near], tiou[near]
    # Each threshold is a matching problem of its own; numbering its nodes apart solves all at once.
    level, edge = np.nonzero(tiou >= thresholds[:, None])
    matched = _first_come_matching(level * len(found) + detection[edge],
                                   level * len(true) + truth[edge], len(thresholds) * len(found),
                                   len(thresholds) * len(true))
    return matched.reshape(len(thresholds), len(found))


def _first_come_matching(left: np.ndarray, right: np.ndarray, num_left: int,
                         num_right: int) -> np.ndarray:
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
        bool ``(num_left,)``: the left nodes that got a partner.
    """
    left_taken, right_taken = np.zeros(num_left, dtype=bool), np.zeros(num_right, dtype=bool)
    first_at_right = np.zeros(num_right, dtype=np.int64)
    while len(left):
        edges = np.arange(len(left))
        first_at_left = np.r_[True, left[1:] != left[:-1]]
        first_at_right[right[::-1]] = edges[::-1]  # of repeated indices, the last assignment stays
        taken = first_at_left & (first_at_right[right] == edges)
        left_taken[left[taken]] = True
        right_taken[right[taken]] = True
        free = ~(left_taken[left] | right_taken[right])
        left, right = left[free], right[free]
    return left_taken


def _interpolated(is_true: np.ndarray, num_positive: int) -> np.ndarray:
    """Area under the interpolated precision-recall curve (Pascal VOC 2011).

    Args:
        is_true: True positives among the detections of a class, in score order, bool ``(n_tiou,
            n)``.
        num_positive: Number of ground-truth segments, at least 1.

    Returns:
        ``(n_tiou,)`` in ``[0, 1]``.
    """
    precision = np.cumsum(is_true, axis=1) / np.arange(1, is_true.shape[1] + 1)
    # The curve at some recall is the best precision at that recall or beyond it.
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return (best * is_true).sum(axis=1) / num_positive
