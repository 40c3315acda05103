"""From measures to advice. Every rule is a function; docs/own_data.md tells them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .advice import NOTABLE, Advice
from .length_rules import Grid, grid_advice, own_grid_advice, stride_advice
from .measures import FeatureStatistics, Lengths, Similarity

#: Below this structure there is nothing that the target could match.
MIN_STRUCTURE = 0.05
#: Above this similarity far apart, snippets without structure are all alike, not unrelated.
ALL_ALIKE = 0.5
#: From this share of the mean, or ratio of scales, on channels are standardised.
LARGE_MEAN, LARGE_RATIO = 0.3, 10.0
#: From this share of noise on three snippets are averaged, if the median segment has so many.
LARGE_NOISE, MIN_SMOOTHED = 0.3, 4.0
#: The authors' geometry: K, positions, first position.
K, POSITIONS, START = 16.0, 8, 4


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
    accuracy: tuple[float, float] | None = None,
    grid: Grid | None = None,
) -> list[Advice]:
    """All rules, the recipe first.

    Args:
        statistics: Of the features.
        similarity: Of their snippets.
        lengths: Of segments and videos.
        accuracy: Of the probe on raw features near boundaries and far from them, fractions.
        grid: Of the config's own head, where it has one.
    """
    std = standardization_advice(statistics)
    recipe = recipe_advice(similarity, lengths, bool(std.settings['standardize']))
    found = [recipe, std]
    if recipe.settings['recipe'] == 'sola':
        found += window_advice(similarity, lengths)
    if accuracy is not None:
        found.append(boundary_advice(*accuracy))
    found += [stride_advice(lengths), grid_advice(lengths)]
    return found + ([] if grid is None else [own_grid_advice(lengths, grid)])


def standardization_advice(statistics: FeatureStatistics) -> Advice:
    """Whether standardised channels are worth a try.

    Not more than that: behind them SoLa was worse than raw features on three of four sets of real
    video, two of them with such a mean (docs/real_video.md).
    """
    wanted = statistics.mean_share >= LARGE_MEAN or statistics.scale_ratio >= LARGE_RATIO
    why = (
        f'the mean feature holds {statistics.mean_share:.0%} of the mean square (from '
        f'{LARGE_MEAN:.0%} on snippets look alike for no reason of time), and the largest standard '
        f'deviation of a channel is {statistics.scale_ratio:.1f} times the median (limit '
        f'{LARGE_RATIO:g})'
    )
    text = (
        'compare standardised channels with raw ones (SoLa: standardize=True); which are better is '
        'not to be seen from this'
        if wanted
        else 'the channels can stay as they are'
    )
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
    text = (
        'SoLa that is matched, begins as the identity and learns with the head '
        "(recipe='reset_gate'); compare it with the raw features on validation data"
    )
    why = (
        f'{seen}; half of the difference is gone after {similarity.half_interval:.1f} snippets: '
        'there is a structure in time that the target can match'
    )
    return Advice('recipe', 'info', text, why, _recipe('sola'))


def _recipe(name: str) -> dict[str, Any]:
    necks: dict[str, Any] = {
        'raw': None,
        'standardization': dict(type='Standardization'),
        'smoothing': dict(type='TemporalSmoothing', kernel_size=3),
        'sola': dict(type='SoLa'),
    }
    return dict(recipe=name, neck=necks[name])


def advised_config(advice: Sequence[Advice]) -> dict[str, Any]:
    """What the advice on neck, window and K is in the config of a localizer.

    Args:
        advice: Of :func:`recommend`.

    Returns:
        ``model`` and ``custom_hooks``, as far as they are needed; empty for the raw features.
    """
    settings = {each.topic: each.settings for each in advice}
    neck = settings['recipe']['neck']
    if neck is None:
        return {}
    config: dict[str, Any] = dict(model=dict(neck=neck))
    if settings['recipe']['recipe'] == 'sola':
        pretext = dict(type='SimilarityMatcher', **settings['window'], **settings['K'])
        hook = dict(type='SoLaPretrainHook', recipe='reset_gate', pretext=pretext)
        config['custom_hooks'] = [hook]
    return config


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


def boundary_advice(near: float, far: float) -> Advice:
    """Whether the features get worse at boundaries, where SoLa could make them better."""
    drops = far - near >= NOTABLE
    text = (
        'the features get worse at boundaries: watch them there'
        if drops
        else 'the features are no worse at boundaries than elsewhere'
    )
    why = (
        f'a linear probe is right for {near:.0%} of the snippets within 2 of a boundary, and for '
        f'{far:.0%} of those 4 and more away'
    )
    return Advice('boundaries', 'info', text, why, dict(near=near, far=far))
