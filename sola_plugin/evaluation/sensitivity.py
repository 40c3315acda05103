"""mAP of the true segments of one bucket, after DETAD's sensitivity analysis."""

from __future__ import annotations

import numpy as np

from .average_precision import class_precision
from .matching import Matches


def overall_map(matches: Matches) -> float:
    """Normalised mAP (DETAD writes mAP_N) of all true segments, mean over the thresholds, in [0,
    1].

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
