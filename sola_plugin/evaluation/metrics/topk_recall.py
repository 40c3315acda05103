"""Recall@kx of detections: how many true segments the best of each class and video find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sola_plugin.segments import ACTIVITYNET, by_threshold, resolve_thresholds

from .columns import PerVideo, class_columns
from .recall import check_top_k, first_hits, rank_in_group


@dataclass(frozen=True, eq=False)
class TopKRecall:
    """Result of :func:`topk_recall`; all recalls are fractions in ``[0, 1]``.

    Attributes:
        tiou_thresholds: ``(n_tiou,)``.
        top_k: The ``n_k`` values of k.
        labels: The classes of the ground truth, sorted.
        per_class: Recall ``(n_k, n_class, n_tiou)``; rows follow ``top_k`` and ``labels``.
    """

    tiou_thresholds: np.ndarray
    top_k: tuple[int, ...]
    labels: tuple[str, ...]
    per_class: np.ndarray

    @property
    def recall(self) -> np.ndarray:
        """Mean over the classes, ``(n_k, n_tiou)``."""
        return self.per_class.mean(axis=1)

    @property
    def average(self) -> np.ndarray:
        """Mean of :attr:`recall` over the thresholds, ``(n_k,)``."""
        return self.recall.mean(axis=1)

    def to_dict(self) -> dict[str, dict]:
        """Return ``{'1': {'average': x, 'per_tiou': {'0.5': x, ...}}, '5': ...}``, for JSON."""
        return {
            str(k): by_threshold(self.tiou_thresholds, recall)
            for k, recall in zip(self.top_k, self.recall)
        }


def topk_recall(
    ground_truth: PerVideo,
    detections: PerVideo,
    tiou_thresholds: str | Sequence[float] | np.ndarray = ACTIVITYNET,
    top_k: Sequence[int] = (1, 5),
) -> TopKRecall:
    """Compute Recall@kx of every class at every tIoU threshold.

    Where a video has n true segments of a class, the k·n best detections of that class in that
    video count. A true segment is found when one of them has at least the threshold's tIoU; a
    detection may find several. The recall of a class is the fraction of its true segments that are
    found, over all videos. Follows ``libs/utils/metrics.py`` of ActionFormer, which OpenTAD
    shares: a class without detections has recall 0, classes and videos without truth do not count,
    and a segment without length is never found. Of equal scores the later entry comes first. (The
    Ego4D baseline averages over the segments, not over the classes.)

    Args:
        ground_truth: ``{video: [{'segment': [start, end], 'label': str}]}``, seconds.
        detections: ``{video: [{'segment', 'label', 'score'}]}``, in the same unit.
        tiou_thresholds: Numbers in ``(0, 1]``, or a text as :func:`.segments.resolve_thresholds`
            takes.
        top_k: The values of k, at least 1.

    Returns:
        The recalls.

    Raises:
        ValueError: The ground truth has no segments, a k is not a positive whole number, an entry
            lacks a key, or a number is not finite or a segment reversed; the message names the
            video.

    Example:
        >>> truth = {'a': [{'segment': [0, 10], 'label': 'run'}]}
        >>> found = {'a': [{'segment': [50, 60], 'label': 'run', 'score': .9},
        ...                {'segment': [0, 10], 'label': 'run', 'score': .8}]}
        >>> topk_recall(truth, found, [.5], top_k=(1, 2)).recall.tolist()
        [[0.0], [1.0]]
    """
    thresholds = resolve_thresholds(tiou_thresholds)
    check_top_k(top_k)
    columns = class_columns(ground_truth, detections)
    num_keys = columns.num_videos * len(columns.labels)
    true_key = columns.true_video * len(columns.labels) + columns.true_class
    found_key = columns.found_video * len(columns.labels) + columns.found_class
    num_true = np.bincount(true_key, minlength=num_keys)

    order = np.argsort(found_key, kind='stable')
    rank = rank_in_group(found_key[order])
    kept = rank < max(top_k) * num_true[found_key[order]]  # the others cannot count
    order, rank = order[kept], rank[kept]

    first = first_hits(
        columns.true, true_key, columns.found[order], found_key[order], rank, thresholds
    )
    positives = np.bincount(columns.true_class)
    per_class = np.empty((len(top_k), len(positives), len(thresholds)))
    for recall, k in zip(per_class, top_k):
        for column, found in enumerate(first < k * num_true[true_key]):
            recall[:, column] = np.bincount(columns.true_class, found) / positives
    return TopKRecall(thresholds, tuple(map(int, top_k)), columns.labels, per_class)
