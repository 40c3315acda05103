"""From lengths of segments to stride and grid. Limits stand above; docs/own_data.md tells them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .advice import NOTABLE, Advice
from .measures import Lengths

#: A segment of fewer snippets, or cells, has no inside.
MIN_SNIPPETS = 2.0
#: Most cells of a map, and multiples that sizes are rounded up to.
MAX_CELLS, ROUND = 256, 16


@dataclass(frozen=True)
class Grid:
    """What the head of a config can reach.

    Attributes:
        cells: Cells that a video is resized to; ``None``: a cell is a snippet.
        max_duration: Longest proposal, in cells.
    """

    cells: int | None
    max_duration: int


def stride_advice(lengths: Lengths) -> Advice:
    """Whether snippets are fine enough for the segments."""
    short = float((lengths.segments < MIN_SNIPPETS).mean())
    low, median = lengths.quantile(0.05), lengths.quantile(0.5)
    seen = (
        f'{short:.0%} of the segments are shorter than {MIN_SNIPPETS:g} snippets; the shortest 5 % '
        f'end at {low:.1f} snippets, the median is {median:.1f}'
    )
    if short >= NOTABLE:
        factor = max(MIN_SNIPPETS / max(low, 1e-3), 1.0)
        return Advice(
            'stride',
            'warning',
            f'the feature stride is too coarse: extract at 1/{math.ceil(factor)} of it or finer',
            seen,
            dict(stride_factor=1 / math.ceil(factor)),
        )
    return Advice('stride', 'info', 'the feature stride is fine enough', seen, {})


def grid_advice(lengths: Lengths) -> Advice:
    """Cells and longest proposal of BMN and G-TAD, levels of ActionFormer."""
    share = lengths.segments / lengths.videos
    low, high = float(np.quantile(share, 0.05)), float(share.max())
    cells = _round_up(MIN_SNIPPETS / low)
    long = lengths.quantile(0.95)
    levels = int(np.clip(2 + math.floor(math.log2(max(long / 8, 1))), 3, 7))
    if cells <= MAX_CELLS:
        duration = min(_round_up(high * cells), cells)
        settings: dict[str, Any] = dict(temporal_dim=cells, max_duration=duration)
        text = f'videos resized to {cells} cells, proposals of at most {duration}'
        why = f'95 % of the segments last {low:.1%} of their video or more, the longest {high:.0%}'
    else:
        duration = min(_round_up(long), MAX_CELLS // 2)
        settings = dict(
            temporal_dim=2 * duration, max_duration=duration, windows=dict(stride=duration)
        )
        text = (
            f'windows of {2 * duration} snippets at native stride, proposals of at most {duration}'
        )
        why = (
            f'the shortest segments last {low:.2%} of their video, which would need {cells} cells; '
            f'95 % of the segments have {long:.0f} snippets or fewer'
        )
    return Advice(
        'grid',
        'info',
        f'BMN and G-TAD: {text}. ActionFormer: {levels} levels',
        f'{why}; the last level is for what is longer than {8 * 2 ** (levels - 2)} snippets',
        dict(settings, num_levels=levels),
    )


def own_grid_advice(lengths: Lengths, grid: Grid) -> Advice:
    """Whether the config's own grid reaches the segments."""
    cell = 1.0 if grid.cells is None else lengths.videos / grid.cells
    in_cells = lengths.segments / cell
    long, short = float((in_cells > grid.max_duration).mean()), float((in_cells < 1).mean())
    beyond = [
        f'{long:.0%} of the segments are longer than its max_duration of {grid.max_duration} cells',
        f'{short:.0%} are shorter than a cell',
    ]
    bad = max(long, short) >= NOTABLE
    text = 'its grid misses segments: take the one above' if bad else 'its grid reaches them'
    return Advice(
        'your grid',
        'warning' if bad else 'info',
        text,
        '; '.join(beyond),
        dict(long=long, short=short),
    )


def _round_up(value: float) -> int:
    return max(math.ceil(value / ROUND), 1) * ROUND
