"""Tables, picture and HTML report of the linear probe."""

from __future__ import annotations

import json
import os
from pathlib import Path

from matplotlib.figure import Figure

from sola_plugin.io import atomic_write
from sola_plugin.visualization import (
    Cell,
    Column,
    FigureBlock,
    Section,
    Table,
    TableBlock,
    build_table,
    encode_figure,
    plot_boundary_accuracy,
    to_markdown,
    write_report,
)

from .methods import BASELINE, Comparison, comparison_to_json

_COLUMNS = {'accuracy': 'accuracy', 'balanced_accuracy': 'balanced', 'average_precision': 'AP'}
_TITLES = {'start': 'Background → action', 'end': 'Action → background'}
_CURVES = (
    'Accuracy of the test snippets by their distance to the nearest boundary (line: mean '
    'over the seeds, '
    'band: standard deviation; below: snippets in each bin). Errors on the background side of a '
    'boundary are actions that begin too early or end too late, errors on the action side '
    'the reverse.'
)


def probe_table(comparison: Comparison) -> Table:
    """Mean and spread of every figure, in percent, with the paired difference to the raw features.

    The last column is the accuracy of one probe on all training videos, without resampling.
    """
    columns = [
        Column(metric, title, scale=100, difference=len(comparison.methods) > 1)
        for metric, title in _COLUMNS.items()
    ]
    table = build_table(
        {name: probe.scores for name, probe in comparison.methods.items()},
        columns,
        baseline=BASELINE,
    )
    rows = tuple(
        (*row, f'{100 * probe.all_videos["accuracy"]:.1f}')
        for row, probe in zip(table.rows, comparison.methods.values())
    )
    return Table(
        (*table.header, 'accuracy, all videos'),
        rows,
        f'{table.note} Seeds resample the training videos; the last column has each of them once.',
    )


def distance_table(comparison: Comparison, kind: str) -> Table:
    """Accuracy in percent for each bin of the distance, one column for each method.

    Args:
        comparison: The probes.
        kind: ``'start'`` or ``'end'``.
    """
    counts = comparison.methods[BASELINE].counts[kind]
    rows = []
    for index, (low, high) in enumerate(zip(comparison.edges, comparison.edges[1:])):
        cells = [
            Cell.of(100 * probe.by_distance[kind][:, index]).text() if counts[index] else '–'
            for probe in comparison.methods.values()
        ]
        rows.append((f'{low:g} to {high:g}', str(counts[index]), *cells))
    return Table(
        (f'{comparison.unit} from the boundary', 'snippets', *comparison.methods), tuple(rows)
    )


def sizes_text(comparison: Comparison) -> str:
    """One line for the training and one for the test data: videos, snippets, share of action."""
    return '\n'.join(
        f'{part}: {sizes["videos"]} videos, {sizes["snippets"]} snippets, '
        f'{sizes["foreground"] / sizes["snippets"]:.1%} action'
        for part, sizes in comparison.data.items()
    )


def probe_markdown(comparison: Comparison, title: str, command: str, version: str) -> str:
    """Figures, and accuracy by the distance to the nearest boundary, for a page.

    Args:
        comparison: The probes.
        title: Heading of the block.
        command: What makes it.
        version: Of the code that measured it.
    """
    sizes = sizes_text(comparison).replace('\n', '; ')
    blocks = [
        f'### Linear probe, {title}',
        f'`{command}`, measured at commit {version}; {sizes}.',
        to_markdown(probe_table(comparison)).strip(),
    ]
    for kind, direction in _TITLES.items():
        table = to_markdown(distance_table(comparison, kind)).strip()
        blocks += [f'{direction}: accuracy, %', table]
    return '\n\n'.join(blocks)


def probe_figure(comparison: Comparison) -> Figure:
    """Accuracy over the distance to the nearest boundary.

    Raises:
        ValueError: No test snippet lies within the bins.
    """
    return plot_boundary_accuracy(
        {name: probe.by_distance for name, probe in comparison.methods.items()},
        comparison.methods[BASELINE].counts,
        comparison.edges,
        comparison.unit,
    )


def write_probe_json(path: str | os.PathLike, comparison: Comparison) -> None:
    """Write :func:`~.methods.comparison_to_json` to a file."""
    with atomic_write(path) as file:
        json.dump(comparison_to_json(comparison), file, indent=1, allow_nan=False)


def write_probe_figure(path: str | os.PathLike, comparison: Comparison) -> None:
    """Write :func:`probe_figure` to a ``.png`` or ``.svg`` file.

    Raises:
        ValueError: Another suffix, or see :func:`probe_figure`.
    """
    picture = encode_figure(probe_figure(comparison), Path(path).suffix.lower().lstrip('.'))
    with atomic_write(path, 'wb') as file:
        file.write(picture.data)


def write_probe_report(path: str | os.PathLike, comparison: Comparison, command: str = '') -> None:
    """Write the report.

    Args:
        path: ``.html`` file.
        comparison: The probes.
        command: What makes this report.

    Raises:
        ValueError: See :func:`probe_figure`.
    """
    train, test = comparison.data['train'], comparison.data['test']
    intro = (
        'A linear classifier tells action snippets from background on L2-normalised '
        'features. It is fitted '
        f'on {train["videos"]} videos ({train["snippets"]} snippets, '
        f'{train["foreground"] / train["snippets"]:.0%} action) and scored on '
        f'{test["videos"]} test '
        f'videos ({test["snippets"]} snippets, {test["foreground"] / test["snippets"]:.0%} '
        'action). A seed '
        'draws as many training videos as there are, with replacement; the test videos are '
        'the same for all '
        'seeds.'
    ) + ' Action and background weigh the same in the fits.' * comparison.balanced
    table = TableBlock(
        probe_table(comparison),
        'Accuracy, balanced accuracy and average precision (AP) of '
        'action on the test snippets, percent.',
    )
    figure = FigureBlock(
        probe_figure(comparison),
        _CURVES,
        'Accuracy curves around the starts and around the ends of actions',
    )
    write_report(
        path,
        'Linear probe',
        [
            Section('Figures', [intro, table]),
            Section(
                'Near the boundaries',
                [
                    figure,
                    *(
                        TableBlock(distance_table(comparison, kind), f'{title}: accuracy, percent.')
                        for kind, title in _TITLES.items()
                    ),
                ],
            ),
        ],
        command=command,
        settings=dict(seeds=list(comparison.seeds), C=comparison.C),
    )
