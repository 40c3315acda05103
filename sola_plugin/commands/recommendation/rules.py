"""From measures to advice. Every rule is one function, its limits stand above; see docs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .measures import FeatureStatistics, Lengths, Similarity

#: Below this structure there is nothing that the target could match.
MIN_STRUCTURE = 0.05
#: Above this similarity far apart, snippets without structure are all alike, not unrelated.
ALL_ALIKE = 0.5
#: From this share of the mean, or ratio of scales, on channels are standardised.
LARGE_MEAN, LARGE_RATIO = 0.3, 10.0
#: From this share of noise on three snippets are averaged, if the median segment has so many.
LARGE_NOISE, MIN_SMOOTHED = 0.3, 4.0
#: From this share of segments on something is too short or too long.
NOTABLE = 0.05
#: A segment of fewer snippets has no inside.
MIN_SNIPPETS = 2.0
#: The authors' geometry: K, positions, first position.
K, POSITIONS, START = 16.0, 8, 4
#: Most cells of a map, and multiples that sizes are rounded up to.
MAX_CELLS, ROUND = 256, 16


@dataclass(frozen=True)
class Advice:
    """One piece of advice.

    Attributes:
        topic: ``'recipe'``, ``'standardization'``, ``'window'``, ``'K'``, ``'stride'``, ``'grid'``,
            ``'your grid'``.
        level: ``'info'``; ``'warning'``: something should be changed.
        text: What fits.
        why: The measures that say so.
        settings: The same for a config.
    """

    topic: str
    level: str
    text: str
    why: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """What the head of a config can reach.

    Attributes:
        cells: Cells that a video is resized to; ``None``: a cell is a snippet.
        max_duration: Longest proposal, in cells.
    """

    cells: int | None
    max_duration: int


def half_interval_of(k: float, step: int = 1) -> float:
    """Snippets after which the target has lost half of its similarity beyond cosine 0.

    The cosine that is asked for at ``d`` positions is ``2 sigmoid(k / d^2) - 1``.

    >>> round(half_interval_of(16.0, step=2), 1)
    7.6
    """
    return step * math.sqrt(k / math.log(3))


def recommend(
    statistics: FeatureStatistics,
    similarity: Similarity,
    lengths: Lengths,
    grid: Grid | None = None,
) -> list[Advice]:
    """All rules, the recipe first.

    Args:
        statistics: Of the features.
        similarity: Of their snippets.
        lengths: Of segments and videos.
        grid: Of the config's own head, where it has one.
    """
    std = standardization_advice(statistics)
    recipe = recipe_advice(similarity, lengths, bool(std.settings['standardize']))
    found = [recipe, std]
    if recipe.settings['recipe'] == 'sola':
        found += window_advice(similarity, lengths)
    found += [stride_advice(lengths), grid_advice(lengths)]
    return found + ([] if grid is None else [own_grid_advice(lengths, grid)])


def standardization_advice(statistics: FeatureStatistics) -> Advice:
    """Whether channels should be standardised."""
    wanted = statistics.mean_share >= LARGE_MEAN or statistics.scale_ratio >= LARGE_RATIO
    why = (
        f'the mean feature holds {statistics.mean_share:.0%} of the mean square (from '
        f'{LARGE_MEAN:.0%} on snippets look alike for no reason of time), and the largest standard '
        f'deviation of a channel is {statistics.scale_ratio:.1f} times the median (limit '
        f'{LARGE_RATIO:g})'
    )
    text = 'standardise the channels' if wanted else 'the channels can stay as they are'
    return Advice('standardization', 'info', text, why, dict(standardize=wanted))


def recipe_advice(similarity: Similarity, lengths: Lengths, standardize: bool) -> Advice:
    """SoLa, or a neck that needs no training."""
    trivial = 'standardization' if standardize else 'raw'
    words = 'standardisation' if standardize else 'the raw features'
    seen = (
        f'neighbours have a mean cosine of {similarity.standardized[0]:.2f}, snippets far apart '
        f'{similarity.far:.2f} (standardised features)'
    )
    if similarity.structure < MIN_STRUCTURE:
        alike = similarity.far >= ALL_ALIKE
        reason = (
            'hardly anything changes within a video: the stride is finer than what the encoder sees'
            if alike
            else 'time leaves no trace in the features: there is nothing that the target can match'
        )
        text = f'do not use SoLa; take {words}'
        return Advice('recipe', 'warning', text, f'{seen}: {reason}', _recipe(trivial))
    noise = similarity.noise_share
    if noise >= LARGE_NOISE and lengths.quantile(0.5) >= MIN_SMOOTHED:
        text = 'average 3 snippets (it needs no training), and compare SoLa with it'
        why = (
            f'{noise:.0%} of the features change from each snippet to the next (limit '
            f'{LARGE_NOISE:.0%}) on top of what lasts, and the median segment is long enough with '
            f'{lengths.quantile(0.5):.1f} snippets: {seen}'
        )
        return Advice('recipe', 'info', text, why, _recipe('smoothing'))
    text = f'SoLa by similarity matching, fine-tuned with the head; compare it with {words}'
    why = (
        f'{seen}; half of the difference is gone after {similarity.half_interval:.1f} snippets: '
        'there is a structure in time that the target can match'
    )
    return Advice('recipe', 'info', text, why, _recipe('sola', standardize))


def _recipe(name: str, standardize: bool = False) -> dict[str, Any]:
    necks: dict[str, Any] = {
        'raw': None,
        'standardization': dict(type='Standardization'),
        'smoothing': dict(type='TemporalSmoothing', kernel_size=3),
        'sola': dict(type='SoLa', standardize=True) if standardize else dict(type='SoLa'),
    }
    return dict(recipe=name, neck=necks[name])


def window_advice(similarity: Similarity, lengths: Lengths) -> list[Advice]:
    """Step, window and K: the target should fall where the features' own similarity does."""
    room = float(np.quantile(lengths.all_videos, 0.1))  # 9 of 10 videos are longer
    wanted = max(round(similarity.half_interval / half_interval_of(K)), 1)
    largest = max(int((room - 2 * START - 1) // (POSITIONS - 1)), 1)
    step = min(wanted, largest)
    window = 2 * START + 1 + step * (POSITIONS - 1)
    short = float((lengths.all_videos < window).mean())
    found = Advice(
        'window',
        'warning' if short >= 0.5 else 'info',
        f'windows of {window} snippets: {POSITIONS} positions, {step} apart',
        f'the similarity of the features has halved after {similarity.half_interval:.1f} snippets, '
        f'that of the target with K = {K:g} after {half_interval_of(K, step):.1f}'
        + f'; videos allow no larger step than {largest}' * (wanted > largest)
        + f'; {short:.0%} of the videos are shorter than the window and would be skipped',
        dict(window=window, start=START, step=step, num_positions=POSITIONS),
    )
    k = float(np.clip(math.log(3) * (similarity.half_interval / step) ** 2, 1, 256))
    k = 2.0 ** round(math.log2(k))
    return [
        found,
        Advice(
            'K',
            'info',
            f'K = {k:g}',
            f'at steps of {step} this target halves after {half_interval_of(k, step):.1f} snippets,'
            f' the features after {similarity.half_interval:.1f}',
            dict(k=k),
        ),
    ]


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
