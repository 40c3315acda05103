"""What is measured of features and segments before anything is trained. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Longest interval that is looked at, in snippets.
MAX_INTERVAL = 128
#: A channel whose values differ less than this, compared with the largest ones, is constant.
_CONSTANT = 1e-6


@dataclass(frozen=True)
class FeatureStatistics:
    """Of all snippets together.

    Attributes:
        channels, snippets, videos: Their numbers.
        mean_share: Share of the mean feature in the mean square of the features, in ``[0, 1]``:
            where it is large, all snippets point the same way.
        scale_ratio: Largest standard deviation of a channel by the median of them.
        effective_rank: Channels that would hold the variance if it were spread evenly: exponential
            of the entropy of the covariance's eigenvalues.
    """

    channels: int
    snippets: int
    videos: int
    mean_share: float
    scale_ratio: float
    effective_rank: float


def feature_statistics(videos: Sequence[np.ndarray]) -> FeatureStatistics:
    """Measure features.

    Args:
        videos: One ``(T, C)`` each, at least one.

    Raises:
        ValueError: All features are zero, or one is not finite.
    """
    rows = np.concatenate(videos).astype(np.float64)
    if not np.isfinite(rows).all():
        raise ValueError('features hold NaN or infinity: tools/check_dataset.py says where')
    mean, energy = rows.mean(axis=0), np.square(rows).sum(axis=1).mean()
    if not energy:
        raise ValueError('all features are zero: nothing can be measured')
    deviation = rows.std(axis=0)
    eigenvalues = np.clip(np.linalg.eigvalsh(np.atleast_2d(np.cov(rows.T, bias=True))), 0, None)
    share = eigenvalues[eigenvalues > 0] / (eigenvalues.sum() or 1.0)
    varying = deviation[deviation > _CONSTANT * (deviation.max() or 1.0)]
    return FeatureStatistics(
        rows.shape[1],
        len(rows),
        len(videos),
        float(np.square(mean).sum() / energy),
        float(varying.max() / np.median(varying)) if varying.size else 1.0,
        float(np.exp(-(share * np.log(share)).sum())),
    )


def standardized(videos: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Every channel with mean 0 and variance 1 over all videos; constant channels become 0."""
    rows = np.concatenate(videos).astype(np.float64)
    deviation = rows.std(axis=0)
    constant = deviation <= _CONSTANT * (deviation.max() or 1.0)
    scale = np.where(constant, np.inf, deviation)
    return [(video - rows.mean(axis=0)) / scale for video in videos]


def similarity_by_interval(videos: Sequence[np.ndarray], longest: int) -> np.ndarray:
    """Mean cosine of two snippets of one video, by the interval between them.

    Args:
        videos: One ``(T, C)`` each.
        longest: Largest interval, in snippets; at least one video is longer.

    Returns:
        float64 ``(longest,)``, of the intervals 1, 2, ...; every pair of snippets weighs the same.

    Example:
        >>> similarity_by_interval([np.array([[1.0, 0], [1, 0], [0, 1]])], 2).tolist()
        [0.5, 0.0]
    """
    total, count = np.zeros(longest), np.zeros(longest)
    for video in videos:
        length = np.linalg.norm(video, axis=1, keepdims=True)
        unit = np.divide(video, length, out=np.zeros(video.shape), where=length > 0)
        for interval in range(1, min(longest, len(video) - 1) + 1):
            cosines = np.einsum('tc,tc->t', unit[interval:], unit[:-interval])
            total[interval - 1] += cosines.sum()
            count[interval - 1] += cosines.size
    return total / count


@dataclass(frozen=True)
class Similarity:
    """How snippets resemble each other along time.

    Attributes:
        raw: ``(D,)``, mean cosine of the raw features at the intervals 1 to D.
        standardized: ``(D,)``, the same of standardised features, without what all have in common.
    """

    raw: np.ndarray
    standardized: np.ndarray

    @property
    def far(self) -> float:
        """What remains far apart: mean of the standardised features over the upper half."""
        return float(self.standardized[len(self.standardized) // 2 :].mean())

    @property
    def structure(self) -> float:
        """How much more alike neighbours are than snippets far apart; 0: there is no time."""
        return float(self.standardized[0] - self.far)

    @property
    def half_interval(self) -> float:
        """Snippets after which half of the structure is gone; interpolated."""
        excess = (self.standardized - self.far) / (self.structure or 1.0)
        below = np.flatnonzero(excess <= 0.5)
        if not below.size or not below[0]:
            return float(len(excess) if not below.size else 1)
        after = below[0]
        step = (excess[after - 1] - 0.5) / (excess[after - 1] - excess[after])
        return float(after + step)

    @property
    def noise_share(self) -> float:
        """Share of what changes from every snippet to the next, by extrapolation to interval 0."""
        if len(self.standardized) < 2:
            return 0.0
        return float(np.clip(1 - 2 * self.standardized[0] + self.standardized[1], 0, 1))


def measure_similarity(videos: Sequence[np.ndarray]) -> Similarity:
    """Measure :class:`Similarity`.

    Args:
        videos: One ``(T, C)`` each.

    Raises:
        ValueError: No video has three snippets.
    """
    lengths = sorted(len(video) for video in videos)
    # Most videos have a say at every interval.
    longest = min(MAX_INTERVAL, lengths[len(lengths) // 4] - 1)
    if longest < 2:
        raise ValueError(
            f'similarity by interval: a quarter of the videos has {lengths[len(lengths) // 4]} '
            'snippets or fewer, expected at least 3'
        )
    return Similarity(
        similarity_by_interval(videos, longest),
        similarity_by_interval(standardized(videos), longest),
    )


@dataclass(frozen=True)
class Lengths:
    """Lengths in snippets.

    Attributes:
        segments: ``(n,)``, of all annotated segments.
        videos: ``(n,)``, of the video of each segment.
        all_videos: ``(m,)``, of every video once.
    """

    segments: np.ndarray
    videos: np.ndarray
    all_videos: np.ndarray

    def quantile(self, share: float) -> float:
        """Length that this share of the segments stays below."""
        return float(np.quantile(self.segments, share))
