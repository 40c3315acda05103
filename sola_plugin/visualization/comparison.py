"""Comparison of experiments: one figure of each, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .bootstrap import Values, bootstrap_interval
from .pictures import FULL_WIDTH, INK, MUTED, PALETTE, house_style, plain

#: Inches of a row.
_ROW = 0.32
#: How far above its row, in rows, a seed is drawn: beside the interval, not under it.
_ABOVE = 0.25


@house_style()
def plot_comparison(
    results: Mapping[str, Values],
    *,
    baseline: str | None = None,
    xlabel: str = 'average mAP, %',
    groups: Sequence[str] | None = None,
) -> Figure:
    """Draw the value of every seed, their mean, and its 95% bootstrap interval, one row each.

    Seeds are often paired (the same data for every experiment), so that a difference may be clear
    although the intervals overlap: paired differences are in the table, see
    :func:`~.table.build_table`.

    Args:
        results: Experiment → one value for each seed, as it is to be shown. A single seed is drawn
            as it is, without an interval.
        baseline: Experiment whose mean is drawn through all rows; ``None``: none.
        xlabel: Words under the axis.
        groups: One name for each experiment; a line parts neighbours of different groups.

    Returns:
        Figure with one axes; the first experiment is on top.

    Raises:
        ValueError: No experiments, an unknown baseline, another number of groups, or values that
            are missing or not finite.
    """
    if not results:
        raise ValueError('results: expected at least one experiment, got none')
    if baseline is not None and baseline not in results:
        raise ValueError(f'baseline {baseline!r}: expected one of {list(results)}')
    if groups is not None and len(groups) != len(results):
        raise ValueError(f'groups: expected {len(results)}, one for each experiment, got {groups}')
    figure = Figure(figsize=(FULL_WIDTH, 0.9 + _ROW * len(results)), layout='constrained')
    axes = figure.subplots()
    for row, (name, values) in enumerate(results.items()):
        _draw_row(axes, row, name, values, MUTED if name == baseline else PALETTE[0])
    if baseline is not None:
        axes.axvline(
            float(np.mean(results[baseline])),
            color=MUTED,
            linewidth=0.9,
            linestyle=(0, (5, 3)),
            zorder=1,
            label=f'mean of {plain(baseline)}',
        )
    for row in range(1, len(results)):
        if groups is not None and groups[row] != groups[row - 1]:
            axes.axhline(row - 0.5, color=INK, linewidth=0.5)
    axes.set_yticks(range(len(results)), [plain(name) for name in results])
    axes.set_ylim(len(results) - 0.5, -0.5)
    axes.tick_params(axis='y', length=0)
    axes.set_xlabel(plain(xlabel))
    axes.grid(axis='x')
    axes.set_axisbelow(True)
    # Every row brings its entries: of those with one name, the last is kept.
    handles, labels = axes.get_legend_handles_labels()
    entries = dict(zip(labels, handles))
    figure.legend(entries.values(), entries.keys(), loc='outside lower center', ncols=len(entries))
    return figure


def _draw_row(axes: Axes, row: int, name: str, values: Values, colour: str) -> None:
    numbers = np.asarray(values, dtype=np.float64)
    try:
        low, high = bootstrap_interval(numbers)
    except ValueError as error:
        raise ValueError(f'{name!r}: {error}') from error
    seeds = np.full(numbers.size, row - _ABOVE if numbers.size > 1 else row)
    axes.plot(numbers, seeds, 'o', color=colour, ms=4, alpha=0.45, mew=0, label='one seed')
    if numbers.size > 1:
        interval = '95% bootstrap interval of the mean'
        axes.plot([low, high], [row, row], color=colour, linewidth=2.2, label=interval)
        axes.plot(numbers.mean(), row, 'D', color=colour, ms=5.5, mec='white', label='mean')
