"""Similarity of snippets by the interval between them, and lengths of segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .pictures import FULL_WIDTH, INK, MUTED, PALETTE, house_style, plain


@house_style()
def plot_similarity_by_interval(
    curves: Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray]
) -> Figure:
    """Draw the mean cosine of two snippets over the interval between them.

    Args:
        curves: Name → ``(D,)``, cosines at the intervals 1 to D, of features.
        targets: The same of targets, dashed.

    Returns:
        Figure with one axes.

    Raises:
        ValueError: No curves, or one that is empty or not finite.
    """
    figure = Figure(figsize=(FULL_WIDTH, 3.4), layout='constrained')
    axes = figure.subplots()
    if not curves:
        raise ValueError('curves: expected at least one, got none')
    lines = [(name, values, '-') for name, values in curves.items()]
    lines += [(name, values, '--') for name, values in targets.items()]
    for index, (name, values, line) in enumerate(lines):
        if not np.size(values) or not np.isfinite(values).all():
            raise ValueError(f'{name!r}: expected finite cosines at 1 interval or more')
        axes.plot(
            np.arange(1, len(values) + 1),
            values,
            line,
            color=PALETTE[index % len(PALETTE)],
            label=plain(name),
        )
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter('{x:g}')
    axes.set_xlabel('interval, snippets')
    axes.set_ylabel('mean cosine')
    axes.grid(axis='y')
    axes.set_axisbelow(True)
    axes.legend(loc='best')
    return figure


@house_style()
def plot_lengths(
    lengths: Sequence[float] | np.ndarray, marks: Mapping[str, float], xlabel: str = 'snippets'
) -> Figure:
    """Draw how long segments are, on a logarithmic scale.

    Args:
        lengths: ``(n,)``, above 0, at least one.
        marks: Name → length at which a line is drawn.
        xlabel: Unit of the lengths.

    Returns:
        Figure with one axes: a histogram, and a line for each mark.

    Raises:
        ValueError: No lengths, or one that is not above 0.
    """
    values = np.asarray(lengths, dtype=np.float64)
    if not values.size or not (values > 0).all():
        raise ValueError(f'lengths: expected at least one, all above 0, got {values.size}')
    figure = Figure(figsize=(FULL_WIDTH, 3.0), layout='constrained')
    axes = figure.subplots()
    low, high = values.min(), values.max()
    edges = np.geomspace(low * 0.99, high * 1.01, 25).tolist()
    axes.hist(values, edges, color=PALETTE[0], edgecolor='white')
    for index, (name, length) in enumerate(marks.items()):
        axes.axvline(
            length,
            color=INK,
            linestyle=('-', '--', ':', '-.')[index % 4],
            linewidth=1.2,
            label=plain(name),
        )
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter('{x:g}')
    axes.set_xlabel(xlabel)
    axes.set_ylabel('segments')
    if marks:
        axes.legend(loc='best')
    return figure
