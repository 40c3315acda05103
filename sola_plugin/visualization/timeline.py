"""Detections of several methods on a time axis, under the true segments of the same video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .pictures import (
    FULL_WIDTH,
    GRID,
    MUTED,
    ClassStyle,
    add_class_legend,
    check_segments,
    house_style,
    plain,
    styles_in_use,
)

#: Inches. A lane grows with the number of its rows up to the limit, then the rows get thinner.
_ROW, _MAX_LANE, _GAP = 0.2, 1.6, 0.12
_MIN_OPACITY = 0.3


class _Mark(NamedTuple):
    start: float
    end: float
    label: str
    opacity: float


def best_detections(
    detections: Sequence[Mapping[str, Any]], num_truth: int, top_k: int | None = None
) -> list[Mapping[str, Any]]:
    """Choose the detections that are shown: the same number for every method, the best by score.

    A score threshold would not be fair, because methods differ in the scale of their scores.

    Args:
        detections: Dictionaries with a ``score``; ties keep their order.
        num_truth: Number of true segments in the video.
        top_k: How many; ``None`` is twice the number of true segments, and 2 for a video without
            any.

    Returns:
        At most ``top_k`` detections, best first.

    Raises:
        ValueError: Negative ``top_k``.

    Example:
        >>> [d['score'] for d in best_detections([{'score': .1}, {'score': .9}, {'score': .5}], 1)]
        [0.9, 0.5]
    """
    return sorted(detections, key=lambda item: -item['score'])[: _shown(num_truth, top_k)]


@house_style()
def plot_timeline(
    truth: Sequence[Mapping[str, Any]],
    detections: Mapping[str, Sequence[Mapping[str, Any]]],
    duration: float,
    *,
    top_k: int | None = None,
    title: str = '',
    classes: Sequence[str] | None = None,
) -> Figure:
    """Draw true segments in the top lane and one lane of detections for each method under it.

    Detections that overlap stand in rows of their lane, the better one above. Opacity is the score
    relative to the best detection of that method. Grey bands lead the true segments down the lanes.

    Args:
        truth: True segments, ``dict(segment=[start, end] in seconds, label=str)``; may be empty.
        detections: Method → ``dict(segment=..., label=str, score=float)``; lists may be empty.
        duration: Length of the video in seconds; what lies outside is cut off.
        top_k: Detections shown for each method, see :func:`best_detections`.
        title: For example the name of the video.
        classes: All classes of the data set, so that a class keeps its colour from picture to
            picture; default: the labels that occur, sorted.

    Returns:
        Figure with one axes, whose y ticks name the lanes from top to bottom.

    Raises:
        ValueError: ``duration`` is not positive, a segment or score is broken, ``top_k`` is
            negative, or ``classes`` lacks a label.
    """
    if not 0 < duration < float('inf'):
        raise ValueError(f'duration: expected a positive number of seconds, got {duration}')
    check_segments(truth, 'truth')
    for method, items in detections.items():
        check_segments(items, f'detections of {method!r}', scored=True)
    lanes = [('true segments', _pack([{**item, 'score': 1.0} for item in truth]))]
    lanes += [
        (method, _pack(best_detections(items, len(truth), top_k)))
        for method, items in detections.items()
    ]
    styles = styles_in_use(
        (mark.label for _, rows in lanes for row in rows for mark in row), classes
    )

    heights = [min(_ROW * max(len(rows), 1), _MAX_LANE) + _GAP for _, rows in lanes]
    margins = 0.85 + 0.3 * bool(styles) + 0.15 * bool(title)
    figure = Figure(figsize=(FULL_WIDTH, sum(heights) + margins), layout='constrained')
    axes = figure.subplots()
    for item in truth:
        axes.axvspan(*item['segment'], color=GRID, alpha=0.6, linewidth=0, zorder=0)
    bottoms = np.cumsum(heights)
    for (_, rows), bottom, height in zip(lanes, bottoms, heights):
        _draw_lane(axes, rows, (bottom - height, bottom), styles, duration)
    axes.set_xlim(0, duration)
    axes.set_ylim(bottoms[-1], 0)
    axes.set_yticks(bottoms - np.array(heights) / 2, [plain(name) for name, _ in lanes])
    axes.tick_params(axis='y', length=0)
    axes.set_xlabel('time (s)')
    axes.spines['left'].set_visible(False)
    count = _shown(len(truth), top_k)
    rule = f'best {count} detections of each method, stronger colour = higher score'
    axes.set_title(plain(f'{title}\n{rule}' if title else rule), loc='left')
    add_class_legend(figure, styles)
    return figure


def _shown(num_truth: int, top_k: int | None) -> int:
    count = 2 * max(num_truth, 1) if top_k is None else top_k
    if count < 0:
        raise ValueError(f'top_k: expected a number >= 0, got {count}')
    return count


def first_free_rows(segments: Sequence[Sequence[float]]) -> list[int]:
    """Put every segment into the first row in which it overlaps none of the earlier ones.

    Args:
        segments: ``[start, end]`` each.

    Returns:
        Number of the row of each.

    Example:
        >>> first_free_rows([[0, 4], [3, 5], [4, 6]])
        [0, 1, 0]
    """
    rows: list[list[Sequence[float]]] = []
    chosen = []
    for start, end in segments:
        row = next(
            (
                number
                for number, row in enumerate(rows)
                if all(end <= other[0] or other[1] <= start for other in row)
            ),
            len(rows),
        )
        if row == len(rows):
            rows.append([])
        rows[row].append((start, end))
        chosen.append(row)
    return chosen


def opacities(scores: Sequence[float]) -> list[float]:
    """How strong detections are drawn: the score relative to the best, from 0.3 to 1."""
    best = max(scores, default=0.0)
    # Scores may be logits: without a positive best one there is no share to speak of.
    shares = (min(max(score / best, 0.0), 1.0) if best > 0 else 1.0 for score in scores)
    return [_MIN_OPACITY + (1 - _MIN_OPACITY) * share for share in shares]


def _pack(items: Sequence[Mapping[str, Any]]) -> list[list[_Mark]]:
    """Rows of a lane."""
    segments = [[float(value) for value in item['segment']] for item in items]
    chosen = first_free_rows(segments)
    rows: list[list[_Mark]] = [[] for _ in range(max(chosen, default=-1) + 1)]
    for row, segment, item, opacity in zip(
        chosen, segments, items, opacities([item['score'] for item in items])
    ):
        rows[row].append(_Mark(segment[0], segment[1], item['label'], opacity))
    return rows


def _draw_lane(
    axes: Axes,
    rows: list[list[_Mark]],
    span: tuple[float, float],
    styles: Mapping[str, ClassStyle],
    duration: float,
) -> None:
    top, bottom = span
    axes.axhline(bottom, color=GRID, linewidth=0.8, zorder=0.5)
    if not rows:
        middle = (duration / 2, (top + bottom) / 2)
        axes.text(*middle, 'none', ha='center', va='center', color=MUTED, style='italic')
        return
    height = (bottom - top - _GAP) / len(rows)
    for index, row in enumerate(rows):
        for mark in row:
            _draw_mark(axes, mark, top + _GAP / 2 + index * height, height, styles[mark.label])


def _draw_mark(axes: Axes, mark: _Mark, y: float, height: float, look: ClassStyle) -> None:
    corner = (mark.start, y + 0.08 * height)
    size = (mark.end - mark.start, 0.84 * height)
    fill = (look.colour, mark.opacity)
    # matplotlib draws hatch and outline in one colour; a white hatch needs its own patch.
    axes.add_patch(
        Rectangle(corner, *size, facecolor=fill, edgecolor='white', hatch=look.hatch, linewidth=0)
    )
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=look.colour, linewidth=0.8))
