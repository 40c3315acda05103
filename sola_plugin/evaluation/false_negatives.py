"""True segments that no detection finds, after DETAD's false-negative analysis."""

from __future__ import annotations

import numpy as np

from .average_precision import precision_at_ranks
from .matching import Matches

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
