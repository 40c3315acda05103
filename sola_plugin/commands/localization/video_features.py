"""The features of one video as prediction reads them: a part at a time, with their time axis."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor

from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.lazy import LazyFeatures
from sola_plugin.datasets.features.open import rooted, settle_time
from sola_plugin.datasets.features.readers import NAMED_SUFFIXES, SUFFIXES, FeatureError
from sola_plugin.datasets.features.store import FeatureStore


def array_features(array: Any, name: str) -> LazyFeatures:
    """Features of a video in memory, or in a memory-mapped file.

    Args:
        array: ``(C, T)``: NumPy array, tensor, or what is sliced like them.
        name: Of the video, for messages.

    Raises:
        FeatureError: There are not two axes, or there is no snippet. NaN and infinite values are
            found when they are read.
    """
    shape = tuple(array.shape)
    if len(shape) != 2 or 0 in shape:
        raise FeatureError(
            f'features of {name!r}: expected (C, T) with at least one snippet, got {shape}'
        )

    def read(start: int, stop: int) -> np.ndarray:
        part = array[:, start:stop]
        if isinstance(part, Tensor):
            part = part.detach().float().cpu().numpy()
        features = np.array(part, dtype=np.float32, order='C')
        bad = np.flatnonzero(~np.isfinite(features).all(axis=0))
        if bad.size:
            raise FeatureError(
                f'features of {name!r}: expected finite values, got NaN or Inf in {bad.size} '
                f'of {stop - start} snippets, the first is snippet {start + bad[0]}'
            )
        return features

    return LazyFeatures(shape, read)


def open_feature_file(
    path: str | os.PathLike, reading: Mapping[str, Any]
) -> tuple[FeatureStore, str]:
    """Open one feature file.

    Args:
        path: ``.npy .npz .csv .txt .pt .pth .pkl .h5`` with the features of one video.
        reading: ``prefix``, ``key``, ``layout``, ``feat_dim``, ``crops``, ``crop_axis`` of
            :class:`~sola_plugin.datasets.features.folder.FeatureFolder`.

    Returns:
        A store that has it, and its id: the name of the file without ending and prefix.

    Raises:
        FeatureError: There is no such file, or it is of no known format.
    """
    path = Path(path)
    prefix = reading.get('prefix', '')
    if not path.is_file():
        raise FeatureError(f'{path} does not exist')
    if (
        path.suffix.lower() not in SUFFIXES + NAMED_SUFFIXES
        or not path.stem.startswith(prefix)
        or path.stem == prefix
    ):
        raise FeatureError(
            f'{path}: expected a file {prefix}ID with features ({" ".join(SUFFIXES)}), got '
            'another one'
        )
    return FeatureFolder(path.parent, path.suffix, **reading), path.stem[len(prefix) :]


def dataset_options(cfg: Config | None) -> dict[str, Any]:
    """What the test dataset of a config says of its features.

    Args:
        cfg: Runner config; ``None``: nothing is known.

    Returns:
        The settings of a ``TALFeatureDataset``, with the stride and offset that are noted beside
        its features; empty for other datasets.
    """
    dataset = ((cfg or {}).get('test_dataloader') or {}).get('dataset') or {}
    if dataset.get('type') != 'TALFeatureDataset':
        return {}
    options = dict(dataset)
    options['feature_stride'], options['feature_offset'] = settle_time(
        features_of(options), options.get('feature_stride'), options.get('feature_offset')
    )
    return options


def features_of(options: Mapping[str, Any]) -> Any:
    """The source of features that the settings of a ``TALFeatureDataset`` name."""
    prefix = options.get('data_prefix') or {}
    return rooted(prefix.get('features', ''), options.get('data_root') or '')


class TimeAxis(NamedTuple):
    """Seconds.

    Attributes:
        span: ``(start, end)`` of what the features cover.
        duration: Length of the video.
    """

    span: tuple[float, float]
    duration: float


def time_axis(
    name: str,
    num_snippets: int,
    options: Mapping[str, Any],
    stride: float | None = None,
    offset: float | None = None,
    duration: float | None = None,
) -> TimeAxis:
    """Where the features of a video lie in time.

    Args:
        name: Of the video, for messages.
        num_snippets: T.
        options: ``feature_stride`` and ``feature_offset`` of the dataset that the localizer was
            trained on, for what is not given.
        stride: Seconds between two snippets.
        offset: Second at which the first snippet starts.
        duration: Length of the video in seconds. ``None``: to the end of the features. Without any
            stride, the features cover the whole video.

    Raises:
        ValueError: A number is out of its range, or there is neither stride nor duration.
    """
    if stride is None:
        stride, default_offset = options.get('feature_stride'), options.get('feature_offset', 0.0)
    else:
        default_offset = 0.0
    for what, value in (('feature_stride', stride), ('duration', duration)):
        if value is not None and not 0 < value < float('inf'):
            raise ValueError(f'{name}: {what} is {value}, expected seconds above 0')
    if stride is None:
        if offset:
            raise ValueError(f'{name}: feature_offset is {offset}, which needs feature_stride')
        if duration is None:
            raise ValueError(
                f'{name}: features have no time of their own: give feature_stride (and '
                'feature_offset) in seconds, or the duration that they cover'
            )
        return TimeAxis((0.0, duration), duration)
    start = default_offset if offset is None else offset
    end = start + num_snippets * stride
    return TimeAxis((start, end), end if duration is None else duration)


def check_length(name: str, num_snippets: int, axis: TimeAxis) -> None:
    """Warn of features that are not as long as their video: the stride may be wrong.

    Args:
        name: Of the video.
        num_snippets: T.
        axis: Result of :func:`time_axis`.
    """
    (start, end), duration = axis
    stride = (end - start) / num_snippets
    if abs(end - duration) > max(2 * stride, 0.05 * duration):
        print_log(
            f'{name}: with feature_stride={stride:g} s the features cover {start:.1f} to '
            f'{end:.1f} s '
            f'of {duration:.1f} s. Check feature_stride (seconds, not frames)',
            'current',
            logging.WARNING,
        )
