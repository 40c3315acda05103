"""Curves and bars: losses, accuracy by distance to the boundary, comparison of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .pictures import FULL_WIDTH, GRID, INK, MUTED, PALETTE, house_style, plain
from .spread import Values, bootstrap_interval


@house_style()
def plot_loss(
    steps: Sequence[float],
    losses: Sequence[float] | Sequence[Sequence[float]] | np.ndarray,
    *,
    lower_bound: float | None = None,
    xlabel: str = 'training step',
    ylabel: str = 'loss',
) -> Figure:
    """Draw the loss of one or several seeds over the training steps.

    Args:
        steps: ``(N,)``, the steps at which the loss was logged, increasing, N ≥ 1.
        losses: ``(N,)`` for one seed or ``(S, N)`` for several.
        lower_bound: Smallest value that the loss can reach, as a dashed line. A cross entropy with
            soft targets does not go to 0 but to the entropy of its targets.
        xlabel: Words under the time axis.
        ylabel: Words at the loss axis.

    Returns:
        Figure with one axes: a thin line for each seed and, for more than one seed, a thick line
        for the mean.

    Raises:
        ValueError: No seeds, no steps, a shape that does not fit the steps, NaN or infinite losses,
            or steps that do not increase.
    """
    x = np.asarray(steps, dtype=np.float64)
    y = np.asarray(losses, dtype=np.float64)
    y = y[None] if y.ndim == 1 and y.size else y
    if y.ndim != 2 or not y.size or x.shape != y.shape[1:]:
        raise ValueError(
            f'losses: expected (seeds, steps) with at least one seed and {x.size} >= 1 steps, '
            f'got the shape {np.shape(losses)}'
        )
    if not np.isfinite(y).all():
        seed, step = np.argwhere(~np.isfinite(y))[0]
        raise ValueError(
            f'losses: expected finite numbers, got {y[seed, step]} at step {x[step]:g} of seed '
            f'number {seed}'
        )
    if not (np.diff(x) > 0).all() or not np.isfinite(x).all():
        raise ValueError('steps: expected finite, strictly increasing numbers')

    figure = Figure(figsize=(FULL_WIDTH, 3.2), layout='constrained')
    axes = figure.subplots()
    several = len(y) > 1
    # A single logged step would be an invisible line.
    marker = 'o' if x.size == 1 else None
    for index, seed in enumerate(y):
        label = (f'each of {len(y)} seeds' if several else 'one seed') if index == 0 else None
        axes.plot(
            x,
            seed,
            color=PALETTE[0],
            linewidth=0.8 if several else 1.6,
            alpha=0.45 if several else 1.0,
            marker=marker,
            label=label,
        )
    if several:
        axes.plot(x, y.mean(axis=0), color=INK, linewidth=1.8, marker=marker, label='mean')
    if lower_bound is not None:
        axes.axhline(
            lower_bound,
            color=MUTED,
            linewidth=1.0,
            linestyle=(0, (5, 3)),
            label=f'lower bound {lower_bound:.3f}',
        )
        # axhline leaves the limits alone when it lies inside them, even on the very edge.
        axes.autoscale_view(scalex=False)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.margins(x=0.01)
    axes.grid(axis='y')
    axes.set_axisbelow(True)
    axes.legend(loc='best')
    return figure


#: Kind of boundary → title of its panel, and what lies before and after it.
_PANELS = {
    'start': ('background → action', 'background', 'action'),
    'end': ('action → background', 'action', 'background'),
}
#: Methods beyond the colours repeat them with another line.
_LINES = ('-', '--', ':')


@house_style()
def plot_boundary_accuracy(
    curves: Mapping[str, Mapping[str, np.ndarray]],
    counts: Mapping[str, np.ndarray],
    edges: Sequence[float] | np.ndarray,
    unit: str = 'snippets',
) -> Figure:
    """Draw the accuracy over the signed distance to the nearest boundary, starts and ends apart.

    Args:
        curves: Method → ``'start'`` and ``'end'`` → ``(S, B)``, accuracy of each of S seeds in each
            of B bins, fractions; NaN in empty bins.
        counts: ``'start'`` and ``'end'`` → ``(B,)``, snippets in each bin.
        edges: ``(B + 1,)``, ascending: bin edges, negative before the boundary.
        unit: Of the edges, for the axis.

    Returns:
        Figure with four axes: the curves at starts and at ends, and under each the number of
        snippets. A line is the mean over the seeds, its band one standard deviation to either side.

    Raises:
        ValueError: No methods, a shape that does not fit the edges, or no snippet in any bin.
    """
    edges = np.asarray(edges, dtype=np.float64)
    _check(curves, counts, edges.size - 1)
    figure = Figure(figsize=(FULL_WIDTH, 4.0), layout='constrained')
    grid = figure.subplots(2, 2, sharex=True, sharey='row', height_ratios=(6, 1))
    for column, (kind, (title, before, after)) in enumerate(_PANELS.items()):
        above, below = grid[:, column]
        for index, (method, values) in enumerate(curves.items()):
            _draw(above, edges, 100 * values[kind], plain(method), index)
        above.set_title(title)
        for place, text, side in ((0.0, before, 'left'), (1.0, after, 'right')):
            above.text(
                place, 1.0, text, transform=above.transAxes, ha=side, va='bottom', color=MUTED
            )
        below.bar(
            edges[:-1], counts[kind], np.diff(edges), align='edge', color=MUTED, edgecolor='white'
        )
        below.set_xlabel(f'{unit} from the boundary (negative: before it)')
        for axes in (above, below):
            axes.axvline(0, color=INK, linewidth=1.0)
            axes.grid(axis='y', color=GRID)
            axes.set_axisbelow(True)
    grid[0, 0].set_xlim(edges[0], edges[-1])
    grid[0, 0].set_ylabel('accuracy, %')
    grid[1, 0].set_ylabel('snippets')
    handles, labels = grid[0, 0].get_legend_handles_labels()
    # Names of checkpoints may be long.
    columns = 2 if max(map(len, labels)) > 30 else 4
    figure.legend(handles, labels, loc='outside lower center', ncols=columns)
    return figure


def _draw(axes: Axes, edges: np.ndarray, values: np.ndarray, label: str, index: int) -> None:
    turn, place = divmod(index, len(PALETTE))
    centers, mean = (edges[:-1] + edges[1:]) / 2, values.mean(axis=0)
    axes.plot(
        centers,
        mean,
        color=PALETTE[place],
        linestyle=_LINES[turn % len(_LINES)],
        marker='o',
        markersize=3,
        linewidth=1.6,
        label=label,
    )
    if len(values) > 1:
        spread = values.std(axis=0, ddof=1)
        axes.fill_between(
            centers, mean - spread, mean + spread, color=PALETTE[place], alpha=0.15, linewidth=0
        )


def _check(
    curves: Mapping[str, Mapping[str, np.ndarray]], counts: Mapping[str, np.ndarray], bins: int
) -> None:
    if not curves:
        raise ValueError('curves: expected at least one method, got none')
    for method, values in curves.items():
        for kind in _PANELS:
            shape = np.shape(values[kind])
            if (
                len(shape) != 2
                or not shape[0]
                or shape[1] != bins
                or np.shape(counts[kind]) != (bins,)
            ):
                raise ValueError(
                    f'curves of {method!r}, {kind!r}: expected (seeds, {bins}) accuracies '
                    f'and ({bins},) '
                    f'counts, got {shape} and {np.shape(counts[kind])}'
                )
    if not any(np.any(counts[kind]) for kind in _PANELS):
        raise ValueError(
            'there is nothing to draw: no snippet lies within the bins around a boundary. Do '
            'the videos '
            'have background before or after an action, and are the bin edges in the right unit?'
        )


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
