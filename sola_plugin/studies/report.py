"""The report of a study: tables, seeds, what label-free training did, detections."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config
from torch import Tensor

from sola_plugin.commands.tsm_gallery import has_target, read_videos, tsm_figure
from sola_plugin.necks import read_sola
from sola_plugin.visualization import (
    BulletList,
    FigureBlock,
    Section,
    Table,
    TableBlock,
    plot_comparison,
    plot_loss,
    plot_timeline,
    write_report,
)

from .results import Row, baseline_row, code_versions, failures, study_groups, study_tables
from .runner import Outcome
from .study import Study

#: Most matrices beside the raw ones in a picture, and most lanes of detections.
_MAX_NECKS, _MAX_LANES = 3, 6
_ABOUT = (
    'Real movement signals, a real frozen classifier, untrimmed streams composed of real '
    'recordings; not '
    'video. 10 people wore a smart watch while doing shoulder exercises (the data that ships '
    'with the PyPI '
    'package seglearn). The encoder was trained to classify trimmed windows of three people; '
    'what is '
    'localized are two exercises of other people, among distractors (docs/watch.md).',
    'Few labels and an encoder that never saw the actions, unless a group or the command '
    'says otherwise: of '
    'the regimes, the one in which an early exploratory study saw SoLa help most. '
    'docs/results.md has all.',
)
_COLUMNS = (
    'In percent: mAP averaged over the tIoUs of the evaluator, mAP at tIoU 0.5, average '
    'recall at 10 '
    'proposals for each video, accuracy of a linear probe (action or background, each '
    'snippet). Seconds are '
    'those of one thread, with other jobs beside it.'
)


def comparison_figure(groups: Mapping[str, Mapping[str, Row]], baseline: str) -> Figure:
    """Every seed of every cell, group by group.

    Args:
        groups: Of :func:`~.results.study_groups`; at least one. Of a single one the name is not
            shown.
        baseline: Of :func:`~.results.baseline_row`; it is marked in a single group.
    """
    one = len(groups) == 1
    values = {
        name if one else f'{group} · {name}': [100 * value for value in row.figures['mAP']]
        for group, rows in groups.items()
        for name, row in rows.items()
    }
    return plot_comparison(
        values,
        baseline=baseline if one and baseline in values else None,
        groups=[group for group, rows in groups.items() for _ in rows],
    )


def write_study_report(
    path: Path,
    study: Study,
    outcomes: Sequence[Outcome],
    command: str,
    summaries: Mapping[str, Table],
) -> None:
    """Write one HTML file that opens anywhere.

    Args:
        path: File to write.
        study: The study.
        outcomes: Of :func:`~.runner.run_study`; at least one cell succeeded with every seed.
            Pictures of videos are of the first group and the first seed.
        command: What was called.
        summaries: Title → table.

    Raises:
        FileNotFoundError: What the first seed's runs left is not there any more.
    """
    groups = study_groups(study, outcomes)
    group, rows = next(iter(groups.items()))
    videos = list(read_videos(_head_config(rows)))
    of_group = f' ({group})' if group else ''
    sections = [
        Section('Summary', [TableBlock(table, f'{title}.') for title, table in summaries.items()]),
        Section(
            'Results',
            [
                _COLUMNS,
                *(
                    TableBlock(table, f'{name or study.title}.')
                    for name, table in study_tables(study, outcomes).items()
                ),
            ],
        ),
        Section(
            'Seeds',
            [_seeds(name, of_name, baseline_row(study)) for name, of_name in groups.items()],
        ),
        Section(f'What label-free training does{of_group}', _pretraining_blocks(rows, videos)),
        Section(f'Detections{of_group}', [_timeline(rows, meta) for _, meta in videos]),
        Section('Failures', [BulletList(tuple(failures(study, outcomes)))]),
    ]
    write_report(
        path,
        study.title,
        [section for section in sections if _has_content(section)],
        lead=f'{len(study.cells)} experiments{_repeats(study)}; '
        f'measured at commit {code_versions(outcomes)}.',
        about_data=_ABOUT if study.cells[0].embedded is not None else (),
        command=command,
    )


def _repeats(study: Study) -> str:
    folds = max(len(cell.folds) for cell in study.cells)
    seeds = sorted({seed for cell in study.cells for seed in cell.seeds})
    return f', up to {folds} folds' * bool(folds) + f', seeds {", ".join(map(str, seeds))}'


def _has_content(section: Section) -> bool:
    return any(not isinstance(block, BulletList) or block.items for block in section.blocks)


def _head_config(rows: Mapping[str, Row]) -> Config:
    """What the first seed of the first row was run with: not the program that its folder holds."""
    stage = next(iter(rows.values())).outcomes[0].stages[-1]
    if not (stage.folder / 'run').is_dir():
        raise FileNotFoundError(
            f'{stage.folder}/run is missing, which the report needs: remove {stage.folder} to do '
            'this stage again'
        )
    assert stage.config is not None  # the last stage is a head's
    return stage.config


def _seeds(group: str, rows: Mapping[str, Row], baseline: str) -> FigureBlock:
    start = f'{group}: mAP' if group else 'mAP'
    return FigureBlock(
        comparison_figure({group: rows}, baseline),
        f'{start} of every seed, and the mean. '
        'Seeds are paired: whether two rows differ is told by Δ in the table.',
        f'{start} of every experiment and seed',
    )


def _pretraining_blocks(rows: Mapping[str, Row], videos: Sequence) -> list[FigureBlock]:
    """One TSM picture for each video with the first necks, and the loss of each of them."""
    trained: dict[Path, tuple[str, Row]] = {}
    for name, row in rows.items():
        for stage in row.outcomes[0].stages:
            if stage.kind == 'pretrain':
                trained.setdefault(stage.folder / 'run/sola.pth', (name, row))
    chosen = dict(
        itertools.islice(
            (
                (path, found)
                for path, found in trained.items()
                if read_sola(path)['neck']['in_channels'] == len(videos[0][0])
            ),
            _MAX_NECKS,
        )
    )
    necks = {name: path for path, (name, _) in chosen.items()}
    pictures = [_tsm(features, meta, necks) for features, meta in videos] if necks else []
    return pictures + [_losses(name, row) for name, row in chosen.values()]


def _tsm(features: Tensor, meta: Mapping, necks: Mapping[str, Path]) -> FigureBlock:
    target_of = next(filter(has_target, necks.values()), None)
    text = (
        f'Temporal similarity matrices (TSM) of the test video {meta["video_name"]}: how '
        'similar the '
        'features at two moments are, as rescaled cosine: raw, and behind each neck as label-free '
        'training left it. Coloured bars mark the true actions, which it never saw.'
    )
    if target_of is not None:
        text += ' Right: what similarity matching asks for, which depends on the interval only.'
    return FigureBlock(
        tsm_figure(features, meta, necks, target_of),
        text,
        f'Temporal similarity matrices: raw features, {", ".join(necks)}',
        'png',
    )


def _losses(name: str, row: Row) -> FigureBlock:
    losses = np.array(
        [
            read_sola(stage.folder / 'run/sola.pth')['meta']['losses']
            for outcome in row.outcomes
            for stage in outcome.stages
            if stage.kind == 'pretrain'
        ]
    )
    figure = plot_loss(range(1, losses.shape[1] + 1), losses, xlabel='epoch')
    return FigureBlock(
        figure,
        f'Loss of label-free training ({name}), mean of an epoch, one thin line for each seed.',
        f'Loss curves of {name} over the epochs',
    )


def _timeline(rows: Mapping[str, Row], meta: Mapping) -> FigureBlock:
    name, lanes = meta['video_name'], {}
    for title, row in itertools.islice(rows.items(), _MAX_LANES):
        results = row.outcomes[0].stages[-1].folder / 'run/detections.json'
        lanes[title] = json.loads(results.read_text(encoding='utf-8'))['results'].get(name, [])
    figure = plot_timeline(
        meta['annotations'], lanes, meta['duration'], title=name, classes=meta['classes']
    )
    return FigureBlock(
        figure,
        f'True actions of {name} (top) and the best detections of each experiment, '
        'twice as many as true actions. The stronger the colour, the higher the score.',
        f'Timeline of {name} with true actions and detections of {len(lanes)} experiments',
    )
