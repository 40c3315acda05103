"""Random windows of features, for similarity matching and other pretext tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmaction.registry import DATA_SAMPLERS, DATASETS
from mmengine.dataset import DefaultSampler
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.utils import track_iter_progress
from torch.utils.data import Dataset

from sola_plugin.datasets.features.open import is_source, open_features
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.datasets.features.store import FeatureStore
from sola_plugin.segments import snippet_classes

from .tal_dataset import TALFeatureDataset
from .transforms import snippet_span

#: Reading this many whole videos may take longer than some seconds: progress is shown.
_MANY_VIDEOS = 500


class _Store:
    """Windows that are read from their source when they are asked for."""

    def __init__(self, store: FeatureStore, ids: Sequence[str]) -> None:
        self.store = store
        self.ids = ids

    def lengths(self) -> list[int]:
        return [self.store.length(video_id) for video_id in _with_progress(self.ids)]

    def window(self, index: int, start: int, length: int) -> np.ndarray:
        return self.store.window(self.ids[index], start, length)


class _Items:
    """Features that are the items of another dataset."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def load(self, index: int) -> np.ndarray:
        return _inputs_of(self.dataset, index)


class _Memory:
    """Windows of features that are held in memory, float32 ``(C, T)`` each."""

    def __init__(self, features: list[np.ndarray]) -> None:
        self.features = features

    def lengths(self) -> list[int]:
        return [features.shape[1] for features in self.features]

    def window(self, index: int, start: int, length: int) -> np.ndarray:
        return self.features[index][:, start : start + length].copy()


@DATASETS.register_module()
class SoLaWindowDataset(Dataset):
    """Windows of a fixed number of snippets; no annotations are needed or used, but for ``labels``.

    ``dataset[i, u]`` with ``u`` in ``[0, 1)`` is the window of video ``i`` that starts at snippet
    ``floor(u * (T - window + 1))``; ``dataset[i]`` is the window in the middle. The item is
    ``dict(inputs=FloatTensor (C, window))``. :class:`WindowSampler` draws ``(i, u)``, so that what
    is read depends on seed and epoch only, however many workers read it.

    Args:
        features: Where the features are:

            - a path, ``dict(root=..., ...)``, or a list of these, see
              :func:`~sola_plugin.datasets.features.open.open_features`: every video there;
            - a ``TALFeatureDataset`` or its config (a dict with ``type``): the features of its
              videos (with ``filter_empty=False`` also of those without annotations);
            - another dataset or config whose items hold ``inputs`` ``(C, T)``, such as mmaction2's
              ``ActivityNetDataset``: each item is made once and held in memory.
        window: Snippets in a window. Videos that are shorter are left out, with one message.
        in_memory: Read all features once, by the constructor. Pays for ``.csv``, ``.pt`` and
            ``.pkl``, of which a window cannot be read alone; where they do not fit, pack them
            (``tools/pack_features.py``).
        labels: Items also hold ``labels``, int64 ``(window,)``: the class of every snippet, -1 for
            background. ``features`` must be a ``TALFeatureDataset`` with annotated videos only.

    Raises:
        FeatureError: Features cannot be read.
        ValueError: ``window`` is below 1, no video is long enough, a dataset's items are not
            ``(C, T)``, or there are no labels.
    """

    def __init__(
        self, features: Any, window: int = 23, in_memory: bool = False, labels: bool = False
    ) -> None:
        if window < 1:
            raise ValueError(f'window is {window}, expected at least 1 snippet')
        self.window = window
        if isinstance(features, dict) and 'type' in features:
            features = DATASETS.build(features)
        store, ids = open_videos(features)
        if in_memory or isinstance(store, _Items):
            self._source: _Store | _Memory = _Memory(
                [store.load(video) for video in _with_progress(ids)]
            )
        else:
            self._source = _Store(store, ids)
        self._lengths = self._source.lengths()
        self._labels = _labels_of(features, self._lengths) if labels else None
        self._usable = [index for index, length in enumerate(self._lengths) if length >= window]
        self._report_short()

    @property
    def metainfo(self) -> dict:
        """Nothing; mmengine's train loop asks every dataset for it."""
        return {}

    def __len__(self) -> int:
        """Number of videos that are long enough."""
        return len(self._usable)

    def __getitem__(self, item: int | tuple[int, float]) -> dict[str, torch.Tensor]:
        index, position = item if isinstance(item, tuple) else (item, None)
        video = self._usable[index]
        num_starts = self._lengths[video] - self.window + 1
        if position is None:
            start = (num_starts - 1) // 2
        elif 0 <= position < 1:
            start = math.floor(position * num_starts)
        else:
            raise ValueError(f'position in video {index} is {position}, expected 0 <= u < 1')
        inputs = torch.from_numpy(self._source.window(video, start, self.window))
        if self._labels is None:
            return dict(inputs=inputs)
        return dict(inputs=inputs, labels=self._labels[video][start : start + self.window])

    def _report_short(self) -> None:
        total = len(self._lengths)
        short = total - len(self)
        if not short:
            return
        message = (
            f'{short} of {total} videos are shorter than the window of {self.window} '
            f'snippets (the shortest has {min(self._lengths)})'
        )
        if short == total:
            raise FeatureError(f'{message}: no video is left; {_what_fits(self._lengths)}')
        print_log(f'{message} and are left out', logger='current')


def fitting_geometry(window: int) -> dict[str, int]:
    """Positions for similarity matching in a short window.

    Those two snippets from the ends, where SoLa's kernel of 5 would see padding, are left out, if
    enough are left.

    Args:
        window: Snippets, at least 3.

    Returns:
        ``window``, ``start``, ``step`` and ``num_positions`` of ``SimilarityMatcher``.

    >>> fitting_geometry(12)
    {'window': 12, 'start': 2, 'step': 1, 'num_positions': 8}
    """
    start = min(2, (window - 3) // 2)
    inner = window - 1 - 2 * start
    step = max(1, inner // 7)
    return dict(window=window, start=start, step=step, num_positions=min(8, inner // step + 1))


def _what_fits(lengths: Sequence[int]) -> str:
    """Advice for videos that are all too short: a window that three of four have."""
    window = sorted(lengths)[len(lengths) // 4]
    if window < 3:
        return 'they are too short for windows: train without it (no SoLaPretrainHook)'
    line = ', '.join(f'{key}={value}' for key, value in fitting_geometry(window).items())
    return (
        f'what fits three of four are windows of {window} snippets. For similarity matching these '
        f'go together: pretext=dict({line})'
    )


@DATA_SAMPLERS.register_module()
class WindowSampler(DefaultSampler):
    """Draws windows of a :class:`SoLaWindowDataset`: video and position, ``(i, u)``.

    In an epoch every video gives ``windows_per_video`` windows. Order and positions come from seed
    and epoch alone: training that is resumed at an epoch sees the windows that it would have seen.
    The ranks share one order and take disjoint parts of it.

    Args:
        dataset: Its length is the number of videos.
        windows_per_video: Windows of a video in one epoch.
        seed: The same for all ranks. mmengine passes the runner's; ``None``: one is agreed upon.
        shuffle: ``False`` keeps the order of the videos; the positions are still drawn.
        round_up: Repeat some windows so that all ranks have equally many.
    """

    def __init__(
        self,
        dataset: Any,
        windows_per_video: int = 1,
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
    ) -> None:
        if windows_per_video < 1:
            raise ValueError(f'windows_per_video is {windows_per_video}, expected at least 1')
        self.num_videos = len(dataset)
        super().__init__(
            range(self.num_videos * windows_per_video),
            shuffle=shuffle,
            seed=seed,
            round_up=round_up,
        )

    def __iter__(self) -> Iterator[tuple[int, float]]:
        # Every rank draws the positions of all windows and uses those of its own part.
        positions = np.random.default_rng((self.seed, self.epoch)).random(len(self.dataset))
        for draw in super().__iter__():
            yield draw % self.num_videos, float(positions[draw])


def open_videos(features: Any) -> tuple[FeatureStore | _Items, Sequence[Any]]:
    """Open what windows are cut from.

    Args:
        features: See :class:`SoLaWindowDataset`; or a store that is open already.

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
        return _Items(features), range(len(features))
    ids = [features.get_data_info(index)['video_name'] for index in range(len(features))]
    return features.feature_store, ids


def _labels_of(dataset: Any, lengths: Sequence[int]) -> list[torch.Tensor]:
    """Class of every snippet of every video."""
    if not isinstance(dataset, TALFeatureDataset):
        raise ValueError(
            "labels=True needs features=dict(type='TALFeatureDataset', ...), got "
            f'{type(dataset).__name__}: other sources have no annotations'
        )
    labels = []
    for index, length in enumerate(lengths):
        info = dataset.get_data_info(index)
        if not info['gt_segments']:
            raise ValueError(
                f'labels=True, but {info["video_name"]!r} has no annotated action: choose the '
                'labelled subset, or filter_empty=True'
            )
        span = snippet_span(
            length,
            info['duration'],
            info['feature_stride'],
            info['feature_offset'],
            info['feature_span'],
        )
        labels.append(
            torch.from_numpy(snippet_classes(info['gt_segments'], info['gt_classes'], span, length))
        )
    return labels


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


def _with_progress(videos: Sequence[Any]) -> Any:
    show = len(videos) >= _MANY_VIDEOS and is_main_process()
    return track_iter_progress(videos) if show else videos
