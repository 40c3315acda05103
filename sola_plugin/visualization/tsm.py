"""Temporal similarity matrices (TSM): compute one from features, draw several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .pictures import (
    ClassStyle,
    add_class_legend,
    check_segments,
    house_style,
    plain,
    styles_in_use,
)

#: Far below what a colour can show; float32 similarities overshoot 1 by about 1e-7.
_TOLERANCE = 1e-5
#: Inches for one matrix with its margins; three of them make a full-width picture.
_PANEL = 2.7


def cosine_tsm(features: np.ndarray) -> np.ndarray:
    """Compare every snippet of one video with every other, for looking at.

    Entry (i, j) is ``(1 + cos(x_i, x_j)) / 2``: 1 for the same direction, 0.5 for unrelated
    snippets, 0 for opposite ones. The PyTorch twin of this function,
    ``sola_plugin.pretraining.losses.temporal_similarity``, serves training: there the columns are
    the predictor's output and entries are kept off 0 and 1.

    Args:
        features: ``(C, T)``, any finite numbers.

    Returns:
        ``(T, T)`` float64 in [0, 1], symmetric. A snippet of zeros has no direction: its whole row
        and column are 0.5.

    Raises:
        ValueError: ``features`` is not two-dimensional, or holds NaN or infinity.

    Example:
        >>> cosine_tsm(np.array([[1., 0., -2.], [0., 1., 0.]]))
        array([[1. , 0.5, 0. ],
               [0.5, 1. , 0.5],
               [0. , 0.5, 1. ]])
    """
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2:
        raise ValueError(f'features: expected the shape (C, T), got {x.shape}')
    if not np.isfinite(x).all():
        raise ValueError(
            f'features: {np.count_nonzero(~np.isfinite(x))} of {x.size} numbers are NaN or infinite'
        )
    norms = np.linalg.norm(x, axis=0)
    directions = np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
    return np.clip((1 + directions.T @ directions) / 2, 0, 1)


@house_style()
def plot_tsm(
    matrices: Mapping[str, np.ndarray],
    seconds_per_cell: float | None = None,
    segments: Sequence[Mapping[str, Any]] | None = None,
    *,
    start: float = 0.0,
    value_range: tuple[float, float] = (0.0, 1.0),
    classes: Sequence[str] | None = None,
) -> Figure:
    """Draw TSMs of one stretch of video side by side, with one colour bar.

    Args:
        matrices: Title → ``(L, L)`` in [0, 1], all of one size, L ≥ 1.
        seconds_per_cell: Seconds between two snippets; ``None`` counts the axes in snippets.
        segments: True segments, ``dict(segment=[start, end] in seconds, label=str)``; bars at the
            top and at the right of each matrix mark them. Needs ``seconds_per_cell``.
        start: Second at which the first cell begins.
        value_range: Similarities at the two ends of the colour bar; what lies outside takes the
            colour of the nearer end.
        classes: All classes of the data set, so that a class keeps its colour from picture to
            picture; default: the labels of ``segments``, sorted.

    Returns:
        Figure with one axes for each matrix, in order, and the axes of the colour bar last.

    Raises:
        ValueError: No matrices; one is not square, holds NaN or leaves [0, 1]; sizes differ; a bad
            ``seconds_per_cell``; ``segments`` without ``seconds_per_cell``, or a bad
            segment; ``classes`` lacks a label.
    """
    arrays = _check_matrices(matrices)
    if seconds_per_cell is not None and not 0 < seconds_per_cell < float('inf'):
        raise ValueError(f'seconds_per_cell: expected a positive number, got {seconds_per_cell}')
    if segments and seconds_per_cell is None:
        raise ValueError(
            'segments are in seconds: seconds_per_cell is needed to place them on the axes'
        )
    segments = segments or []
    check_segments(segments, 'segments')
    styles = styles_in_use((item['label'] for item in segments), classes)

    length = next(iter(arrays.values())).shape[0]
    end = start + length * (seconds_per_cell or 1.0)
    figure = Figure(
        figsize=(0.9 + _PANEL * len(arrays), _PANEL + 0.4 + 0.35 * bool(styles)),
        layout='compressed',
    )
    row = figure.subplots(1, len(arrays), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (title, matrix) in zip(row, arrays.items()):
        image = axes.imshow(
            matrix,
            cmap='viridis',
            vmin=value_range[0],
            vmax=value_range[1],
            extent=(start, end, end, start),
        )
        axes.set_title(plain(title), pad=12 if segments else 6)
        axes.set_xlabel('snippet' if seconds_per_cell is None else 'time (s)')
        axes.tick_params(length=3)
        _mark_segments(axes, segments, styles, (start, end))
    row[0].set_ylabel('snippet' if seconds_per_cell is None else 'time (s)')
    bar = figure.colorbar(image, ax=list(row), shrink=0.97, aspect=22, pad=0.02)
    bar.set_label('similarity, (1 + cosine) / 2')
    bar.outline.set_visible(False)
    add_class_legend(figure, styles)
    return figure


def _check_matrices(matrices: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if not matrices:
        raise ValueError('matrices: expected at least one TSM, got none')
    arrays = {title: np.asarray(matrix, dtype=np.float64) for title, matrix in matrices.items()}
    for title, matrix in arrays.items():
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
            raise ValueError(
                f'TSM {title!r}: expected the shape (L, L) with L >= 1, got {matrix.shape}'
            )
        if not np.isfinite(matrix).all():
            raise ValueError(
                f'TSM {title!r}: {np.count_nonzero(~np.isfinite(matrix))} of {matrix.size} entries '
                'are NaN or infinite'
            )
        if matrix.min() < -_TOLERANCE or matrix.max() > 1 + _TOLERANCE:
            raise ValueError(
                f'TSM {title!r}: expected entries in [0, 1], got {matrix.min():.3g} to '
                f'{matrix.max():.3g}; rescale a cosine as (1 + cosine) / 2'
            )
    sizes = {title: matrix.shape[0] for title, matrix in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f'TSMs in one picture share their axes: expected one size, got {sizes}')
    return arrays


def _mark_segments(
    axes: Axes,
    segments: Sequence[Mapping[str, Any]],
    styles: Mapping[str, ClassStyle],
    span: tuple[float, float],
) -> None:
    """Draw each segment as a bar outside the top and right edges, cut to the span of the axes."""
    along_x, along_y = axes.get_xaxis_transform(), axes.get_yaxis_transform()
    for item in segments:
        first, last = np.clip(np.asarray(item['segment'], dtype=float), *span)
        if last <= first:
            continue
        look = styles[item['label']]
        common: dict[str, Any] = dict(
            facecolor=look.colour, hatch=look.hatch, edgecolor='white', linewidth=0, clip_on=False
        )
        axes.add_patch(Rectangle((first, 1.015), last - first, 0.03, transform=along_x, **common))
        axes.add_patch(Rectangle((1.015, first), 0.03, last - first, transform=along_y, **common))
