"""From a dataset and a neck to the snippets of the linear probe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from mmaction.registry import DATASETS
from torch import nn

from sola_plugin.datasets.tal_feature_dataset import TALFeatureDataset
from sola_plugin.datasets.transforms import LoadFeatures
from sola_plugin.evaluation.probe_data import ProbeData, VideoFeatures


def build_probe_dataset(cfg: Mapping, part: str) -> TALFeatureDataset:
    """Build a dataset that the probe can read.

    Args:
        cfg: Config of a ``TALFeatureDataset``. Its pipeline is not used: the probe reads whole
            videos without augmentation.
        part: ``'train'`` or ``'test'``, for the message.

    Returns:
        The dataset.

    Raises:
        ValueError: It is another kind of dataset, or has an unknown option.
    """
    name = cfg.get('type')
    if str(name).rpartition('.')[2] != 'TALFeatureDataset':
        raise ValueError(
            f"{part} data of the linear probe: expected dict(type='TALFeatureDataset', ...), "
            f'got type={name!r}'
        )
    try:
        # Serialised data are for worker processes, of which there are none.
        return DATASETS.build({**cfg, 'pipeline': None, 'serialize_data': False})
    except TypeError as error:
        raise ValueError(f'{part} data of the linear probe: {error}') from error


def check_channels(
    dataset: TALFeatureDataset, neck: nn.Module | None, what: str = 'the neck'
) -> None:
    """Refuse features that a neck cannot take.

    Args:
        dataset: Features.
        neck: ``None``, or one whose ``in_channels`` are ``None``, takes any.
        what: Name of the neck in the message.

    Raises:
        ValueError: The numbers of channels differ.
    """
    channels = dataset.feature_store.channels
    expected = getattr(neck, 'in_channels', None)
    if expected not in (None, channels):
        raise ValueError(
            f'the features in {dataset.feature_store.name} have {channels} channels, {what} '
            f'expects {expected}: the linear probe needs the features that it was trained on'
        )


def read_probe_data(
    dataset: TALFeatureDataset, neck: nn.Module | None = None, unit: str = 'snippets'
) -> ProbeData:
    """Read all videos of a dataset through a neck, each at its own length.

    The neck works in evaluation mode, without gradient and in full precision; afterwards its
    modules are in the modes that they were in.

    Args:
        dataset: Annotated videos. Segments are those that training uses: clipped to the video.
        neck: ``(N, C, T)`` → ``(N, C, T)``; ``None``: the features as they are.
        unit: Of the distance to the nearest boundary, see
            :class:`~sola_plugin.evaluation.probe_data.ProbeData`.

    Returns:
        Labelled snippets.

    Raises:
        FeatureError: Features cannot be read.
        ValueError: The neck has other channels.
    """
    check_channels(dataset, neck)
    if neck is None:
        return ProbeData.of(_videos(dataset), unit)
    with _evaluating(neck):
        return ProbeData.of(
            (video._replace(features=_apply(neck, video.features)) for video in _videos(dataset)),
            unit,
        )


def _videos(dataset: TALFeatureDataset) -> Iterator[VideoFeatures]:
    load = LoadFeatures()
    for index in range(len(dataset)):
        info = load.transform(
            {**dataset.get_data_info(index), 'feature_store': dataset.feature_store}
        )
        yield VideoFeatures(info['raw_feature'], info['feature_span'], info['gt_segments'])


def _apply(neck: nn.Module, features: np.ndarray) -> np.ndarray:
    parameter = next(neck.parameters(), None)
    device = torch.device('cpu') if parameter is None else parameter.device
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        return neck(torch.from_numpy(features)[None].to(device))[0].cpu().numpy()


@contextlib.contextmanager
def _evaluating(neck: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in neck.modules()}
    neck.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
