"""Table and HTML report of the embedded data's main job."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.registry import DATASETS
from mmengine.config import Config

from sola_plugin.visualization import (
    Column,
    FigureBlock,
    Section,
    Table,
    TableBlock,
    build_table,
    plot_loss,
    plot_timeline,
    write_report,
)

from .tsm_gallery import tsm_figure
from .watch_demo import BASELINE, METHODS, config_name, detections_of, matching_losses

_CLASSES = ('ABD', 'ROW')
_COLUMNS = (
    Column('probe', 'probe', scale=100),
    Column('AR@10', 'AR@10', scale=100),
    Column('mAP@0.5', 'mAP@0.5', scale=100),
    Column('mAP', 'mAP', scale=100, difference=True),
    Column('pretrain_seconds', 'match, s', digits=0),
    Column('train_seconds', 'train, s', digits=0),
    Column('test_seconds', 'test, s', digits=0),
)
_ABOUT = (
    'Real movement signals, a real frozen classifier, untrimmed streams composed of real recordings; not '
    'video. 10 people wore a smart watch while doing shoulder exercises (the data that ships with the PyPI '
    'package seglearn). The encoder was trained to classify trimmed windows of three exercises of three '
    'people; what is localized are two other exercises of other people, among distractors.',
    'The regime (few labels, an encoder that never saw the actions) is the one of four in which an earlier '
    'exploratory study saw SoLa help most. docs/results.md has all four.',
)


def results_table(figures: Sequence[Mapping[str, Mapping[str, Mapping[str, float]]]],
                  head: str) -> Table:
    """Mean and spread over seeds.

    Args:
        figures: Result of :func:`~.watch_demo.run_seed` of each seed.
        head: One of its heads.

    Returns:
        One row for each method; differences are to the strongest trivial one.
    """
    seeds = [seed[head] for seed in figures]
    values = {method: {key: [seed[method][key] for seed in seeds] for key in seeds[0][method]}
              for method in seeds[0]}
    return build_table(values, _COLUMNS, row_title=head, baseline=BASELINE)


def write_watch_report(path: Path, tables: Mapping[str, Table], folder: Path, seeds: int, command: str,
                       settings: Mapping[str, Any]) -> None:
    """Write the report of :mod:`.watch_demo`.

    Args:
        path: HTML file.
        tables: Result of :func:`results_table` for each head; pictures are of the first.
        folder: Work dir of the demo, with ``seed0``, ``seed1``, ...
        seeds: Number of seeds.
        command: What makes this report.
        settings: Shown beside the command.
    """
    first, head = folder / 'seed0', next(iter(tables))
    dataset = _test_dataset(first / config_name(head, 'raw features'))
    write_report(
        path, 'SoLa on the embedded data', [
            Section('Results', [_caption(seeds), *(TableBlock(table, f'{name} on the test streams.')
                                                   for name, table in tables.items())]),
            Section('What similarity matching does',
                    [_tsm_figure(first, dataset), _loss_figure(folder, seeds)]),
            Section(f'Detections of {head}',
                    [_timeline_figure(first, head, dataset, index) for index in (0, 1, 2)]),
        ],
        lead='Frozen features → similarity matching without labels → heads with and without SoLa → mAP.',
        about_data=_ABOUT, command=command, settings=settings)


def _caption(seeds: int) -> str:
    return (f'Heads trained on the labelled streams and tested on the test streams, {seeds} seeds (data, '
            'encoder, SoLa and head change with the seed). Percent: accuracy of the linear probe (action or '
            'background, each snippet; at the default regularisation of scikit-learn, which holds raw '
            'features back, see docs/evaluation.md), average recall at 10 proposals for each video, mAP at '
            'tIoU 0.5 and its mean over 0.3:0.1:0.7. "mean of 3 snippets" and "standardised" (every channel: '
            'mean 0, variance 1) are trivial baselines. Seconds of similarity matching, training and test on '
            'one thread; seeds ran side by side.')


def _test_dataset(folder: Path):
    config = next((folder / 'run').glob('*.py'))
    return DATASETS.build(Config.fromfile(config).test_dataloader.dataset)


def _tsm_figure(folder: Path, dataset) -> FigureBlock:
    sola_file = folder / 'sola/run/sola.pth'
    item = dataset[0]
    meta = item['data_samples'].metainfo
    return FigureBlock(
        tsm_figure(item['inputs'], meta, {'SoLa': sola_file}, target_of=sola_file),
        f'Temporal similarity matrices (TSM) of the test stream {meta["video_name"]}: how similar the '
        'features at two moments are, as rescaled cosine. Right: what similarity matching asks for, which '
        'depends on the interval only. Coloured bars mark the true actions, which training never saw.',
        'Three temporal similarity matrices side by side: raw features, SoLa, target', 'png')


def _loss_figure(folder: Path, seeds: int) -> FigureBlock:
    losses = np.array([matching_losses(folder / f'seed{seed}') for seed in range(seeds)])
    figure = plot_loss(range(1, losses.shape[1] + 1), losses, xlabel='epoch')
    return FigureBlock(figure, 'Similarity-matching loss (mean binary cross entropy of an epoch), one thin '
                       'line for each seed. No labels are used.', 'Loss curves falling over the epochs')


def _timeline_figure(folder: Path, head: str, dataset, index: int) -> FigureBlock:
    # Subjects take turns: streams that follow each other are of different subjects.
    info = dataset.get_data_info(index)
    name = info['video_name']
    detections = {method: detections_of(folder, head, method).get(name, []) for method in METHODS}
    figure = plot_timeline(info['annotations'], detections, info['duration'], title=name, classes=_CLASSES)
    return FigureBlock(figure, f'True actions of {name} (top) and the best detections of each method, '
                       'twice as many as true actions. The stronger the colour, the higher the score.',
                       f'Timeline of {name} with true actions and detections of four methods')
