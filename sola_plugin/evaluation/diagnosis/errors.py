"""Kinds of errors, after DETAD: false positives, missed segments, sensitivity."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sola_plugin.evaluation.metrics.average_precision import (
    Matches,
    class_precision,
    overlap,
    precision_at_ranks,
)
from sola_plugin.evaluation.metrics.columns import equal_pairs
from sola_plugin.evaluation.metrics.recall import rank_in_group

#: Below this tIoU with every true segment of its video, a detection is one of the background.
BACKGROUND_TIOU = 0.1

KINDS = (
    'true positive',
    'double detection',
    'wrong label',
    'localization',
    'confusion',
    'background',
)
_TRUE, _DOUBLE, _LABEL, _LOCALIZATION, _CONFUSION, _BACKGROUND = range(len(KINDS))


@dataclass(frozen=True, eq=False)
class FalsePositives:
    """Result of :func:`analyse_false_positives`; all precisions are means over classes, in [0, 1].

    With G true segments of a class, split k (from 0) of its detections are those of the ranks kG+1
    to (k+1)G by score.

    Attributes:
        counts: Detections of every kind ``(n_split, n_tiou, n_kind)``; kinds follow :data:`KINDS`.
        mAP: Of these detections ``(n_tiou,)``.
        mAP_N: Normalised mAP of these detections ``(n_tiou,)``.
        gain: What mAP gains when the false positives of one kind are taken away, ``(n_kind - 1,
            n_tiou)``; rows follow ``KINDS[1:]``.
        gain_N: The same for the normalised mAP.
        recall: Mean recall of these detections ``(n_tiou,)``, the mAP without any false positives.
    """

    counts: np.ndarray
    mAP: np.ndarray
    mAP_N: np.ndarray
    gain: np.ndarray
    gain_N: np.ndarray
    recall: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Share of every kind in each split, mean over the thresholds, ``(n_split, n_kind)``.

        NaN for a split without detections.
        """
        mean = self.counts.mean(axis=1)
        total = mean.sum(axis=1, keepdims=True)
        return np.divide(mean, total, out=np.full_like(mean, np.nan), where=total > 0)


def analyse_false_positives(matches: Matches, num_splits: int = 10) -> FalsePositives:
    """Tell the false positives apart, and remove the kinds one at a time.

    Follows DETAD's false-positive analysis: of every class with G true segments, the best
    ``num_splits`` · G detections are looked at. Removal takes the false positives of one kind out
    of the ranking and leaves everything else as it is.

    Args:
        matches: All detections.
        num_splits: How many times G detections of every class are looked at, at least 1.

    Returns:
        Counts by split and kind, and the precisions with and without each kind.

    Raises:
        ValueError: ``num_splits`` is below 1.
    """
    if num_splits < 1:
        raise ValueError(f'num_splits: expected at least 1, got {num_splits}')
    positives = matches.positives
    split = rank_in_group(matches.found_class) // positives[matches.found_class]
    top, split = _take(matches, split < num_splits), split[split < num_splits]
    kinds = error_kinds(top)

    counts = np.stack(
        [
            [np.bincount(row[split == k], minlength=len(KINDS)) for row in kinds]
            for k in range(num_splits)
        ]
    )
    counted = [np.ones_like(kinds, dtype=bool), *(kinds != kind for kind in range(1, len(KINDS)))]
    mAP, mAP_N = (
        np.stack(
            [
                class_precision(
                    top.is_true, top.found_class, positives, counted=part, normalized_to=number
                ).mean(axis=0)
                for part in counted
            ]
        )
        for number in (None, positives.mean())
    )
    recall = class_precision(top.is_true, top.found_class, positives, counted=top.is_true)
    return FalsePositives(
        counts, mAP[0], mAP_N[0], mAP[1:] - mAP[0], mAP_N[1:] - mAP_N[0], recall.mean(axis=0)
    )


def error_kinds(matches: Matches) -> np.ndarray:
    """Tell for every detection, at every threshold, which kind it is of.

    A detection without partner is judged by the true segment of its video, of any class, with the
    highest tIoU; of equal ones, by one of the detection's own class.

    ===================  ==================  =====================================================
    highest tIoU         its class           kind
    ===================  ==================  =====================================================
    threshold or above   the same            double detection (the segment is taken)
    threshold or above   another             wrong label
    0.1 to threshold     the same            localization error
    0.1 to threshold     another             confusion error (both are wrong)
    below 0.1            any                 background error
    ===================  ==================  =====================================================

    Args:
        matches: The detections.

    Returns:
        Index into :data:`KINDS`, ``(n_tiou, n)``.
    """
    tiou, same_class = _nearest(matches)
    kinds = np.where(
        tiou < BACKGROUND_TIOU, _BACKGROUND, np.where(same_class, _LOCALIZATION, _CONFUSION)
    )
    reached = tiou >= matches.tiou_thresholds[:, None]
    kinds = np.where(reached, np.where(same_class, _DOUBLE, _LABEL), kinds)
    return np.where(matches.is_true, _TRUE, kinds)


def _nearest(matches: Matches) -> tuple[np.ndarray, np.ndarray]:
    """Highest tIoU of each detection with a true segment, ``(n,)``, and whether the class fits."""
    detection, truth = equal_pairs(matches.found_video, matches.true_video)
    pair_tiou = overlap(matches.found[detection], matches.true[truth])
    tiou = np.zeros(len(matches.found))
    np.maximum.at(tiou, detection, pair_tiou)
    fits = (pair_tiou == tiou[detection]) & (
        matches.found_class[detection] == matches.true_class[truth]
    )
    same_class = np.zeros(len(matches.found), dtype=bool)
    same_class[detection[fits]] = True
    return tiou, same_class


def _take(matches: Matches, keep: np.ndarray) -> Matches:
    """Return the matches with some of the detections only, bool ``(n,)``; partners stay."""
    return replace(
        matches,
        found=matches.found[keep],
        found_class=matches.found_class[keep],
        found_video=matches.found_video[keep],
        partner=matches.partner[:, keep],
    )


#: Detections at ranks of a lower normalised precision than this find nothing.
MIN_PRECISION = 0.05


def missed_segments(matches: Matches, min_precision: float = MIN_PRECISION) -> np.ndarray:
    """Tell which true segments are missed.

    A long enough list of detections finds everything, so the ranks count whose normalised
    precision (N is the mean number of true segments of a class) is above ``min_precision``.

    Args:
        matches: All detections.
        min_precision: In [0, 1]; 0 takes all detections.

    Returns:
        Bool ``(n_tiou, m)``.
    """
    positives = matches.positives
    starts = np.searchsorted(matches.found_class, np.arange(1, len(positives)))
    parts = np.split(matches.is_true, starts, axis=1)
    precision = np.concatenate(
        [
            precision_at_ranks(part, scale=positives.mean() / number)
            for part, number in zip(parts, positives)
        ],
        axis=1,
    )
    level, detection = np.nonzero(matches.is_true & (precision > min_precision))
    missed = np.ones((len(matches.partner), len(matches.true)), dtype=bool)
    missed[level, matches.partner[level, detection]] = False
    return missed


def bucket_misses(missed: np.ndarray, bucket: np.ndarray, num_buckets: int) -> np.ndarray:
    """Share of the segments of every bucket that are missed, mean over the thresholds.

    Args:
        missed: Result of :func:`missed_segments` ``(n_tiou, m)``.
        bucket: Number of the bucket of every true segment ``(m,)``.
        num_buckets: Number of buckets.

    Returns:
        ``(num_buckets,)`` in [0, 1]; NaN for a bucket without segments.
    """
    count = np.bincount(bucket, minlength=num_buckets)
    total = np.bincount(bucket, weights=missed.mean(axis=0), minlength=num_buckets)
    return np.divide(total, count, out=np.full(num_buckets, np.nan), where=count > 0)


def overall_map(matches: Matches) -> float:
    """Normalised mAP (DETAD: mAP_N) of all true segments, mean over the thresholds, in [0, 1].

    N is the mean number of true segments of a class.
    """
    return _mean_ap(matches, matches.positives, slice(None))


def bucket_maps(matches: Matches, bucket: np.ndarray, num_buckets: int) -> np.ndarray:
    """Normalised mAP of the true segments of every bucket, mean over the thresholds.

    Plain AP cannot be compared between buckets: a class has more segments in one than in another,
    and more true segments alone raise the precision. The normalised AP takes the same N for every
    class and bucket, the mean number of true segments of a class in the whole data set.

    Follows DETAD: a detection that takes, at any of the thresholds, a segment of another bucket is
    left out; false positives count in every bucket. The mean is over the classes that have segments
    in the bucket.

    Args:
        matches: All detections.
        bucket: Number of the bucket of every true segment ``(m,)``.
        num_buckets: Number of buckets.

    Returns:
        ``(num_buckets,)`` in [0, 1]; NaN for a bucket without segments.
    """
    partner_bucket = np.where(matches.is_true, bucket[matches.partner], -1)
    result = np.full(num_buckets, np.nan)
    for number in np.unique(bucket):
        positives = np.bincount(matches.true_class[bucket == number], minlength=len(matches.labels))
        keep = np.all((partner_bucket < 0) | (partner_bucket == number), axis=0)
        result[number] = _mean_ap(matches, positives, keep)
    return result


def _mean_ap(matches: Matches, positives: np.ndarray, keep: np.ndarray | slice) -> float:
    by_class = class_precision(
        matches.is_true[:, keep],
        matches.found_class[keep],
        positives,
        normalized_to=matches.positives.mean(),
    )
    return float(np.nanmean(by_class))
