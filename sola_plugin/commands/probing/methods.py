"""Linear probe of features with and without a neck: what ``tools/linear_probe.py`` does."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.runner.checkpoint import load_checkpoint
from torch import nn

from sola_plugin.commands.cli import read_config
from sola_plugin.commands.testing import check_fits
from sola_plugin.datasets.tal_dataset import TALFeatureDataset
from sola_plugin.evaluation.probe.boundary_distance import KINDS, check_edges
from sola_plugin.evaluation.probe.linear_probe import (
    DEFAULT_C,
    METRICS,
    ProbeData,
    SeededProbe,
    linear_probe,
    probe_over_seeds,
)
from sola_plugin.necks import build_sola
from sola_plugin.pretraining.probe import build_probe_dataset, check_channels, read_probe_data
from sola_plugin.pretraining.provenance import warn_of_other_features
from sola_plugin.progress import Show, counted
from sola_plugin.visualization import Cell, Difference

#: The method that differences are taken to.
BASELINE = 'raw features'
#: Necks that need no training: name on the command line → name in results and type.
NECKS = {
    'smoothing': ('mean of 3 snippets', 'TemporalSmoothing'),
    'standardization': ('standardised', 'Standardization'),
}
#: Edges of the bins of the distance: eight snippets to either side of a boundary, one by one.
EDGES = tuple(range(-8, 9))


@dataclass(frozen=True)
class Comparison:
    """Linear probes of several methods on the same data.

    Attributes:
        methods: Name → figures; the raw features first.
        checkpoints: Name → SoLa checkpoint, of the methods that have one.
        C: Inverse of the probe's regularisation.
        seeds: Seeds of the resampling.
        edges: ``(B + 1,)``, edges of the bins of the distance.
        unit: Of the edges, ``'snippets'`` or ``'seconds'``.
        data: ``'train'`` and ``'test'`` → numbers of ``videos``, ``snippets`` and ``foreground``
            snippets.
        balanced: Whether foreground and background weighed the same in the fits.
    """

    methods: dict[str, SeededProbe]
    checkpoints: dict[str, str]
    C: float
    seeds: tuple[int, ...]
    edges: tuple[float, ...]
    unit: str
    data: dict[str, dict[str, int]]
    balanced: bool = False


def probe_localizer(cfg: Config, checkpoint: str | os.PathLike) -> dict[str, float]:
    """Linear probe of the features that the head of a trained localizer sees.

    Args:
        cfg: Config of the localizer, with ``train_dataloader`` and ``test_dataloader``.
        checkpoint: Its weights.

    Returns:
        What :func:`~sola_plugin.evaluation.probe.linear_probe.linear_probe` gives; but
        ``balanced_accuracy`` is of a fit in which action and background weigh the same.
    """
    model = MODELS.build(cfg.model)
    check_fits(model, checkpoint)
    load_checkpoint(model, os.fspath(checkpoint), map_location='cpu', strict=True)
    train, test = (
        read_probe_data(build_probe_dataset(loader.dataset, part), model.neck)
        for part, loader in (('train', cfg.train_dataloader), ('test', cfg.test_dataloader))
    )
    plain, balanced = (
        linear_probe(train.features, train.labels, test.features, test.labels, balanced=equal)
        for equal in (False, True)
    )
    return dict(plain, balanced_accuracy=balanced['balanced_accuracy'])


def compare_methods(
    train: Mapping,
    test: Mapping,
    checkpoints: Sequence[str] = (),
    necks: Sequence[str] = (),
    seeds: Sequence[int] = range(5),
    edges: Sequence[float] = EDGES,
    unit: str = 'snippets',
    C: float = DEFAULT_C,
    balanced: bool = False,
    show: Show | None = None,
) -> Comparison:
    """Probe the raw features, necks that need no training, and trained SoLa necks.

    Args:
        train: Config of the ``TALFeatureDataset`` that the probes are fitted on.
        test: Config of the one that they are scored on.
        checkpoints: SoLa checkpoints, see :func:`~sola_plugin.necks.read_sola`.
        necks: Some of :data:`NECKS`. Standardisation takes its statistics from the training videos.
        seeds: See :func:`~sola_plugin.evaluation.probe.linear_probe.probe_over_seeds`.
        edges: Edges of the bins of the distance to the nearest boundary.
        unit: Of ``edges``, ``'snippets'`` or ``'seconds'``.
        C: Inverse of the probe's regularisation, scikit-learn's.
        balanced: See :func:`~sola_plugin.evaluation.probe.linear_probe.linear_probe`.
        show: Is told after each method, see :func:`~sola_plugin.progress.show_progress`.

    Returns:
        See :class:`Comparison`.

    Raises:
        AnnotationError, FeatureError: The data cannot be used.
        FileNotFoundError: A file is missing.
        ValueError: A checkpoint is for features with other channels, or the data are not fit for
            the probe, see :func:`~sola_plugin.evaluation.probe.linear_probe.probe_over_seeds`.
    """
    check_edges(edges)
    paths = {'SoLa' if len(checkpoints) == 1 else f'SoLa {path}': path for path in checkpoints}
    loaded = {name: build_sola(path) for name, path in paths.items()}
    datasets = build_probe_dataset(train, 'train'), build_probe_dataset(test, 'test')
    for name, sola in loaded.items():
        for dataset in datasets:
            check_channels(dataset, sola, f'the SoLa checkpoint {paths[name]}')
            warn_of_other_features(paths[name], dataset)
    methods: dict[str, nn.Module | None] = {BASELINE: None}
    for neck in necks:
        name, kind = NECKS[neck]
        methods[name] = fitted_neck(kind, datasets[0])
    methods.update(loaded)
    probes, data = {}, {}
    for name, module in counted(methods.items(), show, 'features probed'):
        parts = [read_probe_data(dataset, module, unit) for dataset in datasets]
        probes[name] = probe_over_seeds(parts[0], parts[1], seeds, edges, C, balanced)
        data = dict(train=probe_sizes(parts[0]), test=probe_sizes(parts[1]))
    return Comparison(
        probes, paths, C, tuple(seeds), tuple(map(float, edges)), unit, data, balanced
    )


def read_datasets(config: str, options: Mapping[str, Any] | None = None) -> tuple[dict, dict]:
    """Read training and test dataset from a config file.

    Args:
        config: File with ``train_dataloader`` and ``test_dataloader``.
        options: Settings to override, by dotted name.

    Returns:
        The configs of the two datasets.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is no config, or has no such dataset.
    """
    try:
        cfg = read_config(config, options)
    except FileNotFoundError:
        raise
    except Exception as error:  # a config is a program, which can fail in any way
        raise ValueError(
            f'cannot read the config {config}: {type(error).__name__}: {error}'
        ) from error
    found = []
    for loader in ('train_dataloader', 'test_dataloader'):
        dataset = (cfg.get(loader) or {}).get('dataset')
        if dataset is None:
            raise ValueError(
                f'{config}: expected {loader} with a dataset, got none; take the config of a '
                'localizer, such as configs/localization/bmn_watch.py'
            )
        found.append(dataset)
    return found[0], found[1]


def make_datasets(
    annotations: str, features: str, train_subset: str, test_subset: str, **options
) -> tuple[dict, dict]:
    """Training and test dataset of one annotation file and one folder.

    Args:
        annotations: Annotation file.
        features: Folder of feature files.
        train_subset: Subset that the probes are fitted on.
        test_subset: Subset that they are scored on.
        options: Further options of ``TALFeatureDataset``.

    Returns:
        The configs of the two datasets.
    """
    common = {
        **options,
        'type': 'TALFeatureDataset',
        'ann_file': annotations,
        'data_prefix': dict(features=features),
    }
    return dict(common, subset=train_subset), dict(common, subset=test_subset, test_mode=True)


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    """Plain values of a comparison: fractions, ``None`` where there is no figure."""
    counts = next(iter(comparison.methods.values())).counts
    baseline = comparison.methods[BASELINE]
    return dict(
        data=comparison.data,
        C=comparison.C,
        balanced=comparison.balanced,
        seeds=list(comparison.seeds),
        bins=dict(
            unit=comparison.unit,
            edges=list(comparison.edges),
            **{kind: counts[kind].tolist() for kind in KINDS},
        ),
        checkpoints=comparison.checkpoints,
        methods={
            name: _probe_to_json(probe, None if name == BASELINE else baseline)
            for name, probe in comparison.methods.items()
        },
    )


def _probe_to_json(probe: SeededProbe, baseline: SeededProbe | None) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for metric in METRICS:
        values, cell = probe.scores[metric], Cell.of(probe.scores[metric])
        figures[metric] = dict(
            mean=cell.mean,
            std=cell.spread,
            per_seed=values.tolist(),
            all_videos=probe.all_videos[metric],
        )
        if baseline is not None:
            difference = Difference.of(values, baseline.scores[metric])
            figures[metric]['difference'] = dict(mean=difference.mean, std=difference.spread)
    several = len(next(iter(probe.scores.values()))) > 1
    figures['by_distance'] = {
        kind: dict(
            mean=_plain(values.mean(axis=0)),
            std=_plain(values.std(axis=0, ddof=1)) if several else None,
        )
        for kind, values in probe.by_distance.items()
    }
    return figures


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def fitted_neck(kind: str, dataset: TALFeatureDataset) -> nn.Module:
    """A neck that needs no training, with the statistics of a dataset where it has some.

    Args:
        kind: Its registered name, see :data:`NECKS`.
        dataset: The training videos.
    """
    neck = MODELS.build(dict(type=kind, in_channels=dataset.feature_store.channels))
    if any(True for _ in neck.buffers()):
        # One batch of all snippets: its statistics are those of the training videos.
        snippets = torch.from_numpy(read_probe_data(dataset).features.T)
        neck.train()
        neck(snippets[None])
    return neck


def probe_sizes(data: ProbeData) -> dict[str, int]:
    """Numbers of ``videos``, ``snippets`` and ``foreground`` snippets."""
    return dict(
        videos=data.num_videos, snippets=len(data.labels), foreground=int(data.labels.sum())
    )
