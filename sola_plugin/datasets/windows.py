"""Random windows of features, for similarity matching and other pretext tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmaction.registry import DATA_SAMPLERS, DATASETS
from mmengine.dataset import DefaultSampler, default_collate
from mmengine.logging import print_log
from mmengine.registry import FUNCTIONS
from torch.utils.data import Dataset

from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.datasets.features.store import FeatureStore
from sola_plugin.segments import snippet_classes

from .tal_dataset import TALFeatureDataset
from .transforms import snippet_span
from .window_sources import StoredWindows, WindowSource, device_for, hold, open_videos


class WindowBatch(Sequence[dict[str, torch.Tensor]]):
    """Windows that were cut in one call; as a sequence, each of them.

    Args:
        whole: ``dict(inputs=FloatTensor (B, C, window))`` and perhaps ``labels`` ``(B, window)``.
    """

    def __init__(self, whole: dict[str, torch.Tensor]) -> None:
        self.whole = whole

    def __len__(self) -> int:
        return len(self.whole['inputs'])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return {key: values[index] for key, values in self.whole.items()}


@FUNCTIONS.register_module()
def window_collate(batch: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Make a batch of windows, without a copy of those that were cut in one call.

    Args:
        batch: What a :class:`SoLaWindowDataset` gives, or another list of its items.

    Returns:
        ``dict(inputs=FloatTensor (B, C, window))`` and perhaps ``labels``, as mmengine's
        ``default_collate`` makes it.
    """
    return batch.whole if isinstance(batch, WindowBatch) else default_collate(batch)


@DATASETS.register_module()
class SoLaWindowDataset(Dataset):
    """Windows of a fixed number of snippets; no annotations are needed or used, but for ``labels``.

    ``dataset[i, u]`` with ``u`` in ``[0, 1)`` is the window of video ``i`` that starts at snippet
    ``floor(u * (T - window + 1))``; ``dataset[i]`` is the window in the middle. The item is
    ``dict(inputs=FloatTensor (C, window))``. :class:`WindowSampler` draws ``(i, u)``, so that what
    is read depends on seed and epoch only, however many workers read it.

    A data loader gets a batch in one call, and :func:`window_collate` hands it on without a copy.

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
        features_on: ``'device'``: read all features once and put them where the network is, where
            windows are cut. ``'host'``: leave them in the host's memory, or in their files.
            ``'auto'``: on the device if that is a GPU with memory to spare.
        labels: Items also hold ``labels``, int64 ``(window,)``: the class of every snippet, -1 for
            background. ``features`` must be a ``TALFeatureDataset`` with annotated videos only.

    Raises:
        FeatureError: Features cannot be read.
        ValueError: ``window`` is below 1, no video is long enough, a dataset's items are not
            ``(C, T)``, or there are no labels.
    """

    def __init__(
        self,
        features: Any,
        window: int = 23,
        in_memory: bool = False,
        labels: bool = False,
        features_on: str = 'auto',
    ) -> None:
        if window < 1:
            raise ValueError(f'window is {window}, expected at least 1 snippet')
        self.window = window
        if isinstance(features, dict) and 'type' in features:
            features = DATASETS.build(features)
        store, ids = open_videos(features)
        self._ids = ids
        device = device_for(features_on, store, ids)
        self._source: WindowSource
        if device is None and isinstance(store, FeatureStore) and not in_memory:
            self._source = StoredWindows(store, ids)
        else:
            self._source = hold(store, ids, device or torch.device('cpu'))
        self._lengths = self._source.lengths()
        self._labels = _labels_of(features, self._lengths) if labels else None
        self._usable = [index for index, length in enumerate(self._lengths) if length >= window]
        self._report_short()
        self._videos = np.array(self._usable)
        self._num_starts = np.array(self._lengths)[self._videos] - window + 1

    @property
    def metainfo(self) -> dict:
        """Nothing; mmengine's train loop asks every dataset for it."""
        return {}

    def __len__(self) -> int:
        """Number of videos that are long enough."""
        return len(self._usable)

    def video_id(self, index: int) -> str:
        """Id of a video; of another data set's items, their number."""
        return str(self._ids[self._usable[index]])

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
        inputs = self._source.window(video, start, self.window)
        if self._labels is None:
            return dict(inputs=inputs)
        return dict(inputs=inputs, labels=self._labels[video][start : start + self.window])

    def __getitems__(self, items: Sequence[int | tuple[int, float]]) -> WindowBatch:
        """Cut many windows in one call.

        Args:
            items: As for one window, all with a position or all without.

        Returns:
            The windows, equal to ``[self[item] for item in items]``.
        """
        draws = np.array(items, np.float64)
        indices = draws[..., 0].astype(int) if draws.ndim == 2 else np.array(items, int)
        videos, num_starts = self._videos[indices], self._num_starts[indices]
        if draws.ndim == 1:
            starts = (num_starts - 1) // 2
        else:
            outside = np.flatnonzero(~((draws[:, 1] >= 0) & (draws[:, 1] < 1)))
            if outside.size:
                self[items[outside[0]]]  # says it
            starts = np.floor(draws[:, 1] * num_starts).astype(int)
        whole = dict(inputs=self._source.windows(videos, starts, self.window))
        if self._labels is not None:
            whole['labels'] = torch.stack(
                [
                    self._labels[video][start : start + self.window]
                    for video, start in zip(videos.tolist(), starts.tolist())
                ]
            )
        return WindowBatch(whole)

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
