"""Temporal similarity matrices of a video: raw, behind SoLa, and the target of its training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from mmaction.registry import DATASETS
from mmengine.config import Config

from sola_plugin.datasets import TALFeatureDataset
from sola_plugin.datasets.annotations.model import first_few
from sola_plugin.necks import Neck, build_sola, read_sola
from sola_plugin.pretraining.losses import interval_target
from sola_plugin.visualization import cosine_tsm, plot_tsm

_EPOCH = re.compile(r'epoch_(\d+)\.pth')


def read_videos(
    cfg: Config, names: Sequence[str] | None = None
) -> Iterator[tuple[torch.Tensor, dict[str, Any]]]:
    """Features of test videos.

    Args:
        cfg: Localizer config whose ``test_dataloader`` has a ``TALFeatureDataset``.
        names: Video ids; ``None``: the first three.

    Yields:
        Features ``(C, T)`` and metainfo of each.

    Raises:
        ValueError: The config has no such data, or there is no such video.
    """
    loader = cfg.get('test_dataloader')
    dataset = DATASETS.build(loader.dataset) if loader is not None else None
    if not isinstance(dataset, TALFeatureDataset):
        raise ValueError(
            f'{cfg.filename}: expected a test_dataloader with a TALFeatureDataset, got '
            f'{type(dataset).__name__}; take a config such as those of configs/localization'
        )
    places = {dataset.get_data_info(index)['video_name']: index for index in range(len(dataset))}
    chosen = list(places)[:3] if names is None else names
    unknown = [name for name in chosen if name not in places]
    if unknown:
        raise ValueError(
            f'{unknown[0]!r} is none of the {len(places)} test videos: {first_few(places)}'
        )
    for name in chosen:
        item = dataset[places[name]]
        yield item['inputs'], item['data_samples'].metainfo


def has_target(checkpoint: Path) -> bool:
    """Whether a SoLa checkpoint says which target similarity matching gave it."""
    settings = _settings(checkpoint)
    return 'k' in settings and settings.get('target', 'interval') == 'interval'


def tsm_figure(
    features: torch.Tensor,
    meta: Mapping[str, Any],
    necks: Mapping[str, Path],
    target_of: Path | None = None,
    snippets: tuple[int, int] | None = None,
) -> Figure:
    """Draw the TSM of the raw features beside those behind SoLa.

    Args:
        features: ``(C, T)``.
        meta: Metainfo of the video: ``video_name``, ``feature_span`` (s), ``annotations``,
            ``classes``.
        necks: Title → SoLa checkpoint.
        target_of: SoLa checkpoint whose target is drawn last; ``None``: no target.
        snippets: First snippet and the one after the last; ``None``: all.

    Returns:
        The figure: raw features, the necks in their order, the target.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: A checkpoint is for other channels, or does not say which target it was trained
            with; the snippets lie outside the video.
    """
    return _draw(
        features,
        meta,
        {title: build_sola(path) for title, path in necks.items()},
        target_of,
        snippets,
    )


def epoch_checkpoints(folder: Path) -> dict[str, Path]:
    """Checkpoints that pretraining left: ``{'epoch 1': path, ...}``, in order.

    Raises:
        FileNotFoundError: There are none.
    """
    found = sorted(
        (int(match[1]), path)
        for path in folder.glob('epoch_*.pth')
        if (match := _EPOCH.fullmatch(path.name))
    )
    if not found:
        raise FileNotFoundError(
            f'{folder} holds no epoch_<n>.pth; expected the work dir of '
            'tools/pretrain_sola.py with '
            '--cfg-options default_hooks.checkpoint.interval=1 '
            'default_hooks.checkpoint.max_keep_ckpts=-1'
        )
    return {f'epoch {epoch}': path for epoch, path in found}


def epoch_frames(
    features: torch.Tensor,
    meta: Mapping[str, Any],
    folder: Path,
    snippets: tuple[int, int] | None = None,
    max_frames: int = 25,
) -> Iterator[Figure]:
    """One figure for each epoch of pretraining, all of one size.

    Args:
        features: See :func:`tsm_figure`.
        meta: See there.
        snippets: See there.
        folder: Work dir of a finished pretraining, with ``sola.pth`` and :func:`epoch_checkpoints`.
        max_frames: Of more epochs, so many are taken at equal distances, first and last included.

    Yields:
        Raw features, SoLa after the epoch, and the target where the task was similarity matching.

    Raises:
        FileNotFoundError: There are no such files.
        ValueError: See :func:`tsm_figure`.
    """
    final = folder / 'sola.pth'
    # Checkpoints of earlier versions do not tell the neck's dilations.
    record = read_sola(final)['neck']
    target_of = final if has_target(final) else None
    checkpoints = list(epoch_checkpoints(folder).items())
    chosen = (
        np.linspace(0, len(checkpoints) - 1, min(max_frames, len(checkpoints))).round().astype(int)
    )
    for title, path in (checkpoints[index] for index in chosen):
        yield _draw(
            features, meta, {f'SoLa, {title}': build_sola(path, record)}, target_of, snippets
        )


def _draw(
    features: torch.Tensor,
    meta: Mapping[str, Any],
    necks: Mapping[str, Neck],
    target_of: Path | None,
    snippets: tuple[int, int] | None,
) -> Figure:
    name, (channels, length) = meta['video_name'], features.shape
    first, end = snippets or (0, length)
    if not 0 <= first < end <= length:
        raise ValueError(
            f'snippets {first} to {end} are outside of {name!r}, which has {length}: expected '
            '0 <= first < end <= length'
        )
    matrices = {'raw features': cosine_tsm(features[:, first:end].numpy())}
    for title, neck in necks.items():
        if neck.in_channels not in (None, channels):
            raise ValueError(
                f'the checkpoint of {title!r} is for features with {neck.in_channels} channels, '
                f'those of {name!r} have {channels}'
            )
        matrices[title] = cosine_tsm(_adapted(features, neck)[:, first:end])
    if target_of is not None:
        matrices['target of the training'] = _target(target_of, end - first)
    begin, stop = meta['feature_span']
    stride = (stop - begin) / length
    return plot_tsm(
        matrices,
        seconds_per_cell=stride,
        start=begin + first * stride,
        segments=meta['annotations'],
        classes=meta.get('classes'),
    )


@torch.no_grad()
def _adapted(features: torch.Tensor, neck: Neck) -> np.ndarray:
    return neck.eval()(features[None])[0].numpy()


def _settings(checkpoint: Path) -> Mapping[str, Any]:
    settings = read_sola(checkpoint)['meta'].get('pretext', {})
    return settings if isinstance(settings, Mapping) else {}


def _target(checkpoint: Path, length: int) -> np.ndarray:
    settings = _settings(checkpoint)
    k, step = settings.get('k'), settings.get('step')
    if isinstance(step, (list, tuple)):
        step = next(iter(step), None)  # k belongs to the first of several
    if not isinstance(k, (int, float)) or not isinstance(step, (int, float)):
        raise ValueError(
            f'{checkpoint} does not say which target it was trained with; was it written by '
            'tools/pretrain_sola.py with similarity matching?'
        )
    # The target counts in positions, and positions are `step` snippets apart.
    return interval_target(length, k * step**2).numpy()
