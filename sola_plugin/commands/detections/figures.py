"""The result of an evaluation, for reading: coverage, warnings, and tables in percent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sola_plugin.visualization import Table, to_text

from .inputs import EvaluationInputs


def evaluation_text(pair: EvaluationInputs, figures: Mapping[str, Mapping]) -> str:
    """Return everything that an evaluation found, as lines of text.

    Args:
        pair: What was evaluated.
        figures: In the form that :class:`.TALEvaluator` returns; fractions.
    """
    return '\n'.join([coverage_text(pair), *map(to_text, figure_tables(figures))])


def coverage_text(pair: EvaluationInputs) -> str:
    """Say in lines of text what ground truth and detections have in common."""
    coverage = pair.coverage
    subset = f'subset {", ".join(pair.subsets)}: ' if pair.subsets else ''
    lines = [
        f'ground truth: {subset}{coverage.num_videos:,} videos, {coverage.num_segments:,} '
        'segments, '
        f'{coverage.num_classes:,} classes',
        f'detections: {coverage.num_detections:,} in {coverage.num_detected_videos:,} videos',
        *(f'warning: {sentence}' for sentence in pair.warnings),
        *(f'note: {sentence}' for sentence in pair.notes),
        '',
    ]
    return '\n'.join(lines)


def figure_tables(figures: Mapping[str, Mapping]) -> list[Table]:
    """Lay out the figures for reading.

    Args:
        figures: In the form that :class:`.TALEvaluator` returns; fractions.

    Returns:
        A table with a row for each tIoU (mAP, Recall@kx), one of AR@AN, and one with a row for each
        class; those that there are figures for.
    """
    tables = []
    by_tiou = {'mAP': figures['mAP']} if 'mAP' in figures else {}
    by_tiou.update((f'Recall@{k}x', recall) for k, recall in figures.get('Recall@kx', {}).items())
    if by_tiou:
        tables.append(_by_threshold(by_tiou))
    if 'AR' in figures:
        names = [name if name != 'auc' else 'AUC' for name in figures['AR']]
        tables.append(
            Table(('proposals', *names), (('percent', *_percent(figures['AR'].values())),))
        )
    if 'per_class' in figures.get('mAP', {}):
        tables.append(_by_class(figures['mAP']['per_class']))
    return tables


def _by_threshold(summaries: Mapping[str, Mapping]) -> Table:
    thresholds = next(iter(summaries.values()))['per_tiou']
    rows = [
        (tiou, *_percent(summary['per_tiou'][tiou] for summary in summaries.values()))
        for tiou in thresholds
    ]
    rows.append(('average', *_percent(summary['average'] for summary in summaries.values())))
    return Table(('tIoU', *summaries), tuple(rows))


def _by_class(per_class: Mapping[str, Mapping]) -> Table:
    thresholds = next(iter(per_class.values()))['per_tiou']
    rows = tuple(
        (label, *_percent([summary['average'], *summary['per_tiou'].values()]))
        for label, summary in per_class.items()
    )
    return Table(('AP of class', 'average', *thresholds), rows)


def _percent(fractions: Iterable[float]) -> list[str]:
    return [f'{100 * fraction:.2f}' for fraction in fractions]
