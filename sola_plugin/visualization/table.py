"""Tables of figures over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .spread import Cell, Difference, Values, finite_values

#: Stands where a method has no such figure, for example the pretraining time of the raw features.
MISSING = '–'


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
