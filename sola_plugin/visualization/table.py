"""Tables of figures over seeds, paired differences and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


#: Stands where a method has no such figure, for example the pretraining time of the raw features.
MISSING = '–'


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

    def text(self, digits: int = 1, with_interval: bool = False) -> str:
        """Format for reading.

        Example:
            >>> difference = Difference.of([60.0, 58.0, 50.0], [55.0, 56.0, 51.0])
            >>> difference.text()
            '+2.0 ± 3.0 (2/3)'
            >>> difference.text(with_interval=True)
            '+2.0 ± 3.0 [-1.0, +5.0] (2/3)'
        """
        spread = '' if self.spread is None else f' ± {self.spread:.{digits}f}'
        if with_interval and self.interval is not None:
            low, high = (_fixed(value, digits, sign='+') for value in self.interval)
            spread += f' [{low}, {high}]'
        return f'{_fixed(self.mean, digits, sign="+")}{spread} ({self.improved}/{self.n})'


@dataclass(frozen=True)
class Column:
    """One figure of the results.

    Attributes:
        key: Its name in the results.
        title: Heading.
        digits: Decimals.
        scale: Factor before formatting; 100 turns fractions into percent.
        difference: Add a column with the paired difference to the baseline.
        higher_is_better: Decides which seeds count as improved.
    """

    key: str
    title: str
    digits: int = 1
    scale: float = 1.0
    difference: bool = False
    higher_is_better: bool = True


@dataclass(frozen=True)
class Table:
    """Text of a table; the first column names the rows.

    Attributes:
        header: One heading for each column.
        rows: Cells as they are shown, as many as ``header`` in every row.
        note: How to read the cells.

    Raises:
        ValueError: A row has more or fewer cells than the header.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ''

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(
                    f'table row {row}: expected {len(self.header)} cells, got {len(row)}'
                )


def build_table(
    results: Mapping[str, Mapping[str, Values]],
    columns: Sequence[Column],
    row_title: str = 'method',
    baseline: str | Mapping[str, str] | None = None,
    with_interval: bool = False,
    unit: tuple[str, str] = ('seed', 'seeds'),
) -> Table:
    """Lay out the results of several methods.

    Args:
        results: Method → key of a column → one value for each seed, all in the same order of seeds.
            A key that a method lacks is shown as "–".
        columns: What to show, from left to right.
        row_title: Heading of the first column.
        baseline: Method that differences are taken to; the first one by default. A mapping gives
            every method a baseline of its own; those that it does not name have no differences.
        with_interval: Show the 95% bootstrap interval of each difference.
        unit: What every value is of, singular and plural, for the note.

    Returns:
        Table whose note says what the figures are.

    Raises:
        ValueError: No methods, no such baseline, no seeds, a value that is not finite, or seeds
            that cannot be paired; the message names method and key.
    """
    if not results:
        raise ValueError('results: expected at least one method, got none')
    if not isinstance(baseline, Mapping):
        baseline = dict.fromkeys(results, next(iter(results)) if baseline is None else baseline)
    for name in baseline.values():
        if name not in results:
            raise ValueError(f'baseline {name!r}: expected one of {list(results)}')
    header = [row_title]
    for column in columns:
        header += [column.title, f'Δ {column.title}'] if column.difference else [column.title]
    rows = [
        (
            method,
            *_cells(
                method,
                values,
                results[baseline[method]] if baseline.get(method, method) != method else None,
                columns,
                with_interval,
            ),
        )
        for method, values in results.items()
    ]
    return Table(tuple(header), tuple(rows), _note(results, columns, baseline, with_interval, unit))


def _cells(
    method: str,
    values: Mapping[str, Values],
    baseline: Mapping[str, Values] | None,
    columns: Sequence[Column],
    with_interval: bool,
) -> list[str]:
    cells = []
    for column in columns:
        own = values.get(column.key)
        other = None if baseline is None else baseline.get(column.key)
        try:
            cells.append(MISSING if own is None else _scaled_cell(own, column))
            if column.difference and own is not None and other is not None:
                cells.append(_scaled_difference(own, other, column, with_interval))
            elif column.difference:
                cells.append(MISSING)
        except ValueError as error:
            raise ValueError(f'results of {method!r}, {column.key!r}: {error}') from error
    return cells


def _scaled_cell(values: Values, column: Column) -> str:
    return Cell.of(finite_values(values) * column.scale).text(column.digits)


def _scaled_difference(
    values: Values, baseline: Values, column: Column, with_interval: bool
) -> str:
    ours, theirs = finite_values(values) * column.scale, finite_values(baseline) * column.scale
    difference = Difference.of(ours, theirs, higher_is_better=column.higher_is_better)
    return difference.text(column.digits, with_interval)


def _note(
    results: Mapping[str, Mapping[str, Values]],
    columns: Sequence[Column],
    baseline: Mapping[str, str],
    with_interval: bool,
    unit: tuple[str, str],
) -> str:
    one, many = unit
    counts = {
        len(values[column.key])
        for values in results.values()
        for column in columns
        if column.key in values
    }
    if not counts:
        return ''
    low, high = min(counts), max(counts)
    seeds = f'{low} {many}' if low == high else f'{low} to {high} {many}'
    note = (
        f'Mean ± standard deviation over {seeds}.'
        if high > 1
        else f'One {one}: no spread can be given.'
    )
    if any(column.difference for column in columns):
        names = sorted(set(baseline.values()))
        other = names[0] if len(names) == 1 else 'the baseline of the row'
        interval = '95% bootstrap interval of this mean; ' if with_interval else ''
        note += (
            f' Δ: difference to {other} on the same {one}, averaged; {interval}in brackets '
            f'the number of {many} that improved.'
        )
    return note


def _fixed(value: float, digits: int, sign: str = '') -> str:
    # Rounding first and adding 0.0 turns -0.04 into 0.0 instead of -0.0.
    return f'{round(value, digits) + 0.0:{sign}.{digits}f}'
