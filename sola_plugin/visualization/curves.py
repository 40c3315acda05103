"""Loss curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from .pictures import FULL_WIDTH, INK, MUTED, PALETTE, house_style


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
