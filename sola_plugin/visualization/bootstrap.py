"""How sure a mean over few seeds is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: One value for each seed.
Values = Sequence[float] | np.ndarray


def bootstrap_interval(
    values: Values, confidence: float = 0.95, resamples: int = 10000
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean. With few values it is somewhat too narrow.

    Args:
        values: ``(n,)``, such as one difference for each seed.
        confidence: Share of resampled means inside, in ``(0, 1)``.
        resamples: Number of resampled means. The draws are fixed: equal values give equal
            intervals.

    Returns:
        Low and high end.

    Raises:
        ValueError: No values, or one that is not finite.

    Example:
        >>> bootstrap_interval([2.0, 2.0, 2.0])
        (2.0, 2.0)
    """
    numbers = finite_values(values)
    draws = np.random.default_rng(0).choice(numbers, (resamples, numbers.size))
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws.mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)


def finite_values(values: Values) -> np.ndarray:
    """Return values as a float64 array ``(n,)``.

    Raises:
        ValueError: There are none, or one is not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(f'expected one value for each of at least one seed, got {values!r}')
    if not np.isfinite(numbers).all():
        raise ValueError(f'expected finite values, got {numbers.tolist()}')
    return numbers
