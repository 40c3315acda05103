"""Advice as text, as JSON and as an HTML report."""

from __future__ import annotations

import dataclasses
import os
import textwrap
from typing import Any

import numpy as np
from mmengine.config import Config

from sola_plugin.commands.probing.methods import BASELINE
from sola_plugin.commands.probing.summary import probe_figure, probe_table
from sola_plugin.pretraining.losses import interval_target
from sola_plugin.visualization import (
    Block,
    BulletList,
    CodeBlock,
    FigureBlock,
    Section,
    TableBlock,
    cosine_tsm,
    plot_lengths,
    plot_similarity_by_interval,
    plot_tsm,
    write_report,
)

from .recommendation import Recommendation
from .rules import advised_config

_WIDTH = 110
#: Snippets of the matrix that is drawn.
_MAX_TSM = 200
_PROBE = (
    'A linear classifier tells action from background; both weigh the same in its fit. It is '
    'fitted on every other training video and scored on those between. '
    'Where the accuracy falls near a boundary, the features do not tell on which side a snippet is.'
)


def advice_text(found: Recommendation) -> str:
    """What was measured, then the advice, each with its reason."""
    lines = [_measured(found), '']
    for advice in found.advice:
        mark = '! ' * (advice.level == 'warning')
        lines += textwrap.wrap(f'{mark}{advice.topic}: {advice.text}', _WIDTH)
        lines += textwrap.wrap(advice.why, _WIDTH, initial_indent='    ', subsequent_indent='    ')
    if config := _config_text(found):
        lines += ['', 'in the config:', textwrap.indent(config, '    ')]
    return '\n'.join([*lines, '', found.no_probe or _probed(found)]) + '\n'


def advice_json(found: Recommendation) -> dict[str, Any]:
    """Plain values: ``recipe``, ``config``, ``advice``, ``measures``."""
    similarity, lengths = found.similarity, found.lengths
    measures = dict(
        dataclasses.asdict(found.statistics),
        similarity=dict(
            raw=similarity.raw.tolist(),
            standardized=similarity.standardized.tolist(),
            far=similarity.far,
            structure=similarity.structure,
            half_interval=similarity.half_interval,
            noise_share=similarity.noise_share,
        ),
        segments=dict(
            number=len(lengths.segments),
            quantiles={f'{share:g}': lengths.quantile(share) for share in (0.05, 0.5, 0.95)},
        ),
        probe=None
        if found.probe is None
        else {
            name: float(probe.scores['balanced_accuracy'].mean())
            for name, probe in found.probe.methods.items()
        },
    )
    return dict(
        recipe=found.advice[0].settings['recipe'],
        config=advised_config(found.advice),
        advice=[dataclasses.asdict(advice) for advice in found.advice],
        measures=measures,
    )


def write_advice_report(path: str | os.PathLike, found: Recommendation, command: str = '') -> None:
    """Write one HTML file that opens anywhere.

    Args:
        path: File to write.
        found: The advice.
        command: What was called.
    """
    advice = BulletList(tuple(f'{each.topic}: {each.text}. {each.why}.' for each in found.advice))
    config = _config_text(found)
    in_config: list[Block] = ['In the config:', CodeBlock(config)] if config else []
    sections = [
        Section('Advice', [_measured(found), advice, *in_config]),
        Section('Similarity along time', [_similarity(found), _tsm(found)]),
        Section('Lengths of the segments', [_lengths(found)]),
        Section('What the features know', _probe_blocks(found)),
    ]
    write_report(path, 'Advice for your data', sections, command=command)


def _measured(found: Recommendation) -> str:
    stats = found.statistics
    return (
        f'{stats.videos} training videos, {stats.snippets} snippets, {stats.channels} channels '
        f'(effective rank {stats.effective_rank:.1f}), {len(found.lengths.segments)} segments'
    )


def _probed(found: Recommendation) -> str:
    assert found.probe is not None
    scores = ', '.join(
        f'{name} {100 * probe.scores["balanced_accuracy"].mean():.1f}'
        for name, probe in found.probe.methods.items()
    )
    return f'linear probe, balanced accuracy, percent: {scores}'


def _config_text(found: Recommendation) -> str:
    return Config(advised_config(found.advice)).pretty_text.strip()


def _target(found: Recommendation) -> tuple[float, int] | None:
    """K and step that fit, where SoLa does."""
    chosen = {advice.topic: advice.settings for advice in found.advice}
    return (chosen['K']['k'], chosen['window']['step']) if 'K' in chosen else None


def _similarity(found: Recommendation) -> FigureBlock:
    similarity, targets = found.similarity, {}
    intervals = np.arange(1, len(similarity.raw) + 1)
    if (fits := _target(found)) is not None:
        for name, k, step in (
            ('target, K = 16, step 2', 16.0, 2),
            (f'target, K = {fits[0]:g}, step {fits[1]}', *fits),
        ):
            targets[name] = 2 / (1 + np.exp(-k * step**2 / intervals**2)) - 1
    figure = plot_similarity_by_interval(
        {'raw features': similarity.raw, 'standardised': similarity.standardized}, targets
    )
    return FigureBlock(
        figure,
        'Mean cosine of two snippets of a video over the interval between them. Of standardised '
        'features only what differs between snippets is left. Dashed: what similarity matching '
        'asks for. Where the line of the features is flat, time leaves no trace in them.',
        'Similarity of snippets over the interval between them',
    )


def _tsm(found: Recommendation) -> FigureBlock:
    raw, standardised, meta = found.example
    length = min(len(raw), _MAX_TSM)
    start, end = meta['feature_span']
    stride = (end - start) / len(raw)
    matrices = {
        'raw features': cosine_tsm(raw[:length].T),
        'standardised': cosine_tsm(standardised[:length].T),
    }
    if (fits := _target(found)) is not None:
        matrices['target that fits'] = interval_target(length, fits[0] * fits[1] ** 2).numpy()
    labels = sorted({action['label'] for action in meta['annotations']})
    figure = plot_tsm(matrices, stride, meta['annotations'], start=start, classes=labels)
    return FigureBlock(
        figure,
        f'Temporal similarity matrices of the first {length} snippets of {meta["video_name"]}. '
        'Coloured bars mark the actions. Blocks along the diagonal are what there is to match.',
        'Temporal similarity matrices of a training video',
        'png',
    )


def _lengths(found: Recommendation) -> FigureBlock:
    chosen = {advice.topic: advice.settings for advice in found.advice}
    marks = {'two snippets': 2.0}
    if 'window' in chosen:
        marks['window of similarity matching'] = float(chosen['window']['window'])
    return FigureBlock(
        plot_lengths(found.lengths.segments, marks),
        'Lengths of the annotated segments, in snippets.',
        'Histogram of the lengths of segments',
    )


def _probe_blocks(found: Recommendation) -> list:
    if found.probe is None:
        return [found.no_probe]
    blocks: list = [_PROBE, TableBlock(probe_table(found.probe), 'Figures of the probe, percent.')]
    if any(counts.any() for counts in found.probe.methods[BASELINE].counts.values()):
        blocks.append(
            FigureBlock(
                probe_figure(found.probe),
                'Accuracy by the distance to the nearest boundary, and snippets in each bin.',
                'Accuracy curves around the starts and ends of actions',
            )
        )
    return blocks
