"""Accuracy of snippets against their distance to the nearest boundary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .pictures import FULL_WIDTH, GRID, INK, MUTED, PALETTE, house_style, plain

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
