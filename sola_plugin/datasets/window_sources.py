"""Where windows of features are cut from: a store, or rows that are held in memory."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from mmaction.registry import DATASETS
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.utils import track_iter_progress
from torch import Tensor

from sola_plugin.datasets.features.axes import channels_first
from sola_plugin.datasets.features.open import is_source, open_features
from sola_plugin.datasets.features.packed import PackedFeatures
from sola_plugin.datasets.features.store import FeatureStore

from .gather import WindowGather, tensor_of
from .tal_dataset import TALFeatureDataset

#: Reading this many whole videos may take longer than some seconds: progress is shown.
_MANY_VIDEOS = 500

#: Values of ``features_on``.
PLACES = ('auto', 'device', 'host')

#: Share of the memory of a GPU that is free which features may take; the rest is for training.
_SHARE = 0.7


class WindowSource(Protocol):
    """What windows are cut from."""

    def lengths(self) -> list[int]:
        """Number of snippets of every video."""

    def window(self, index: int, start: int, length: int) -> Tensor:
        """A window ``(C, length)``, contiguous."""

    def windows(self, indices: np.ndarray, starts: np.ndarray, length: int) -> Tensor:
        """Windows ``(B, C, length)``; their memory may be in the order ``(B, length, C)``."""


class StoredWindows:
    """Windows that are read from their source when they are asked for."""

    def __init__(self, store: FeatureStore, ids: Sequence[str]) -> None:
        self.store = store
        self.ids = ids

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapped file out: another process maps it for itself."""
        return {key: value for key, value in self.__dict__.items() if key != '_packed'}

    def lengths(self) -> list[int]:
        """Number of snippets of every video."""
        return [self.store.length(video_id) for video_id in with_progress(self.ids)]

    def window(self, index: int, start: int, length: int) -> Tensor:
        """A window ``(C, length)``, contiguous."""
        return torch.from_numpy(self.store.window(self.ids[index], start, length))

    def windows(self, indices: np.ndarray, starts: np.ndarray, length: int) -> Tensor:
        """Windows ``(B, C, length)``."""
        if self._packed is not None:
            begins, gather = self._packed
            cast(PackedFeatures, self.store).check_size()
            return gather(begins[indices] + starts, length)
        return torch.stack(
            [self.window(*draw, length) for draw in zip(indices.tolist(), starts.tolist())]
        )

    @functools.cached_property
    def _packed(self) -> tuple[np.ndarray, WindowGather] | None:
        """Of a packed folder, the first row of every video, and all rows."""
        if not isinstance(self.store, PackedFeatures) or not self.store.rows.dtype.isnative:
            return None
        begins = np.array([self.store.span(video_id)[0] for video_id in self.ids])
        return begins, WindowGather(tensor_of(self.store.rows))


class HeldWindows:
    """Windows of features that are held in memory, all in one tensor.

    Args:
        videos: ``(T, C)`` of every video, float32 or float16, which stays as it is.
        lengths: Snippets of each.
        like: An array of the same dtype and channels.
        device: Where they are held.
    """

    def __init__(
        self,
        videos: Iterable[np.ndarray],
        lengths: Sequence[int],
        like: np.ndarray,
        device: torch.device,
    ) -> None:
        self._lengths = list(lengths)
        self._begins = np.cumsum([0, *lengths])[:-1]
        dtype = torch.float16 if like.dtype == np.float16 else torch.float32
        rows = torch.empty(sum(lengths), like.shape[1], dtype=dtype, device=device)
        for begin, video in zip(self._begins.tolist(), videos):
            rows[begin : begin + len(video)] = tensor_of(video)
        self._gather = WindowGather(rows)

    def lengths(self) -> list[int]:
        """Number of snippets of every video."""
        return self._lengths

    def window(self, index: int, start: int, length: int) -> Tensor:
        """A window ``(C, length)``, contiguous."""
        begin = int(self._begins[index]) + start
        rows = self._gather.rows[begin : begin + length]
        if rows.device.type == 'cpu':
            return torch.from_numpy(channels_first(rows.numpy()))
        return rows.float().t().contiguous()

    def windows(self, indices: np.ndarray, starts: np.ndarray, length: int) -> Tensor:
        """Windows ``(B, C, length)``."""
        return self._gather(self._begins[indices] + starts, length)


class Items:
    """Features that are the items of another dataset."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def load(self, index: int) -> np.ndarray:
        """Make an item: its features ``(C, T)``."""
        return _inputs_of(self.dataset, index)


def hold(store: FeatureStore | Items, ids: Sequence[Any], device: torch.device) -> HeldWindows:
    """Read all features once, and say what they take.

    Args:
        store: What has ``load``.
        ids: What it is to load, see :func:`open_videos`.
        device: Where they are to lie.

    Raises:
        FeatureError: Features cannot be read.
        ValueError: The items of a dataset have different channels.
    """
    if isinstance(store, PackedFeatures):
        spans = [store.span(video_id) for video_id in ids]
        lengths = [end - begin for begin, end in spans]
        _say_memory(sum(lengths), store.rows[:1], device)
        videos: Iterable[np.ndarray] = (store.rows[begin:end] for begin, end in spans)
        return HeldWindows(with_progress(videos, len(ids)), lengths, store.rows, device)
    read = [channels_first(store.load(video)) for video in with_progress(ids)]
    for video, rows in zip(ids, read):
        if rows.shape[1] != read[0].shape[1]:
            raise ValueError(
                f'features of {video!r}: expected {read[0].shape[1]} channels as in the first, got '
                f'{rows.shape[1]}: take features of one encoder'
            )
    lengths = [len(rows) for rows in read]
    like = read[0][:1]
    _say_memory(sum(lengths), like, device)
    return HeldWindows(_drained(read), lengths, like, device)


def device_for(features_on: str, store: FeatureStore | Items, ids: Sequence) -> torch.device | None:
    """Where features that are read once are to lie.

    Args:
        features_on: ``'device'``: where the network is. ``'host'``: not there. ``'auto'``: there,
            if it is a GPU that has the memory to spare.
        store: What has ``load``.
        ids: What it is to load.

    Returns:
        The device; ``None``: they stay on the host.

    Raises:
        ValueError: ``features_on`` is none of the three.
    """
    if features_on not in PLACES:
        raise ValueError(
            f'features_on is {features_on!r}, expected one of {", ".join(map(repr, PLACES))}'
        )
    device = torch.device(get_device())
    if features_on == 'device':
        return device
    if features_on == 'host' or device.type != 'cuda' or isinstance(store, Items):
        return None
    free = torch.cuda.mem_get_info(device)[0]
    needed = num_bytes(store, ids)
    if needed <= _SHARE * free:
        return device
    print_log(
        f'the features stay on the host: {needed / 1e9:.1f} GB are more than {_SHARE:.0%} of the '
        f'{free / 1e9:.1f} GB that are free on {device}',
        'current',
    )
    return None


def num_bytes(store: FeatureStore, ids: Sequence[str]) -> int:
    """Memory that features take when they are held: half precision where they are packed so."""
    itemsize = store.rows.itemsize if isinstance(store, PackedFeatures) else 4
    return itemsize * store.channels * sum(store.length(video_id) for video_id in ids)


def open_videos(features: Any) -> tuple[FeatureStore | Items, Sequence[Any]]:
    """Open what windows are cut from.

    Args:
        features: See :class:`~sola_plugin.datasets.windows.SoLaWindowDataset`; or a store that is
            open already.

    Returns:
        What has ``load``, and the videos that it is to load: ids, or the numbers of a dataset's
        items.
    """
    if isinstance(features, dict) and 'type' in features:
        features = DATASETS.build(features)
    if isinstance(features, FeatureStore):
        return features, features.ids()
    if is_source(features) or isinstance(features, dict):
        store = open_features(features)
        return store, store.ids()
    if not isinstance(features, TALFeatureDataset):
        return Items(features), range(len(features))
    ids = [features.get_data_info(index)['video_name'] for index in range(len(features))]
    return features.feature_store, ids


def _inputs_of(dataset: Any, index: int) -> np.ndarray:
    item = dataset[index]
    if not isinstance(item, dict) or 'inputs' not in item or np.ndim(item['inputs']) != 2:
        raise ValueError(
            f'item {index} of {type(dataset).__name__}: expected dict(inputs=(C, T)), got '
            f'{_describe(item)}; its pipeline should end with packed features'
        )
    features = torch.as_tensor(item['inputs'], dtype=torch.float32).numpy()
    if not np.isfinite(features).all():
        raise ValueError(
            f'item {index} of {type(dataset).__name__}: expected finite features, got '
            'NaN or Inf: extract the features of this video again'
        )
    return features


def _describe(item: Any) -> str:
    if not isinstance(item, dict):
        return type(item).__name__
    return ', '.join(f'{key} {tuple(np.shape(value))}' for key, value in item.items())


def with_progress(videos: Iterable[Any], total: int | None = None) -> Iterable[Any]:
    """Show a bar where many videos are read.

    Args:
        videos: What to go through.
        total: How many there are, if ``videos`` does not tell.
    """
    count = len(videos) if isinstance(videos, Sequence) else total
    show = count is not None and count >= _MANY_VIDEOS and is_main_process()
    return track_iter_progress((videos, count)) if show else videos


def _drained(arrays: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Arrays in their order, each of which is let go when the next one is asked for."""
    arrays.reverse()
    while arrays:
        yield arrays.pop()


def _say_memory(num_snippets: int, like: np.ndarray, device: torch.device) -> None:
    size = num_snippets * like.shape[1] * like.itemsize
    print_log(
        f'features in memory ({device.type}): {size / 1e9:.2f} GB, {num_snippets:,} snippets of '
        f'{like.shape[1]} {like.dtype} numbers',
        'current',
    )
