"""Means over seeds, paired differences, and how far both spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Cell:
    """Mean of one figure over seeds.

    Attributes:
        mean: Arithmetic mean.
        spread: Sample standard deviation (n − 1); ``None`` for a single seed, which has none.
        n: Number of seeds.
    """

    mean: float
    spread: float | None
    n: int

    @classmethod
    def of(cls, values: Values) -> Cell:
        """Summarize one value for each seed.

        Raises:
            ValueError: No values, or one that is not finite.
        """
        numbers = finite_values(values)
        spread = float(numbers.std(ddof=1)) if numbers.size > 1 else None
        return cls(float(numbers.mean()), spread, numbers.size)

    def text(self, digits: int = 1) -> str:
        """Format for reading.

        Example:
            >>> Cell.of([52.0, 56.0, 60.0]).text()
            '56.0 ± 4.0'
            >>> Cell.of([52.0]).text()
            '52.0'
        """
        spread = '' if self.spread is None else f' ± {self.spread:.{digits}f}'
        return _fixed(self.mean, digits) + spread


@dataclass(frozen=True)
class Difference:
    """Paired difference to the baseline: seed by seed, then summarized.

    Attributes:
        mean: Mean of (value − baseline).
        spread: Sample standard deviation of these differences; ``None`` for a single seed.
        n: Number of seeds.
        improved: Number of seeds that are strictly better than the baseline.
        interval: Bootstrap interval of the mean that holds it with 95% confidence; ``None`` for a
            single seed.
    """

    mean: float
    spread: float | None
    n: int
    improved: int
    interval: tuple[float, float] | None = None

    @classmethod
    def of(cls, values: Values, baseline: Values, *, higher_is_better: bool = True) -> Difference:
        """Compare two methods; both hold one value for each seed, in the same order of seeds.

        Raises:
            ValueError: No values, different numbers of seeds, or a value that is not finite.
        """
        ours, theirs = finite_values(values), finite_values(baseline)
        if ours.size != theirs.size:
            raise ValueError(
                f'a paired difference needs the same seeds on both sides, got {ours.size} values '
                f'against {theirs.size} of the baseline'
            )
        differences = ours - theirs
        cell = Cell.of(differences)
        improved = int(np.count_nonzero(differences > 0 if higher_is_better else differences < 0))
        interval = bootstrap_interval(differences) if differences.size > 1 else None
        return cls(cell.mean, cell.spread, cell.n, improved, interval)

    def text(self, digits: int = 1, with_interval: bool = False, with_spread: bool = True) -> str:
        """Format for reading.

        Example:
            >>> difference = Difference.of([60.0, 58.0, 50.0], [55.0, 56.0, 51.0])
            >>> difference.text()
            '+2.0 ± 3.0 (2/3)'
            >>> difference.text(with_interval=True)
            '+2.0 ± 3.0 [-1.0, +5.0] (2/3)'
            >>> difference.text(with_interval=True, with_spread=False)
            '+2.0 [-1.0, +5.0] (2/3)'
        """
        shown = with_spread and self.spread is not None
        spread = f' ± {self.spread:.{digits}f}' if shown else ''
        if with_interval and self.interval is not None:
            low, high = (_fixed(value, digits, sign='+') for value in self.interval)
            spread += f' [{low}, {high}]'
        return f'{_fixed(self.mean, digits, sign="+")}{spread} ({self.improved}/{self.n})'


def _fixed(value: float, digits: int, sign: str = '') -> str:
    # Rounding first and adding 0.0 turns -0.04 into 0.0 instead of -0.0.
    return f'{round(value, digits) + 0.0:{sign}.{digits}f}'
