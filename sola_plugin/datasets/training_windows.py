"""Windows at a fixed stride of the training videos, for heads of a fixed length."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from mmengine.logging import print_log

from .crops import coverage, window_starts
from .tal_dataset import TALFeatureDataset
from .transforms import snippet_span


@DATA_SAMPLERS.register_module()
class TrainingWindowSampler(DefaultSampler):
    """Draws windows of a :class:`~sola_plugin.datasets.tal_dataset.TALFeatureDataset`.

    An epoch has every window of every video once that holds an action, as in the training of BMN
    and G-TAD on THUMOS14; a batch mixes the windows of videos. ``LoadFeatures`` reads no more than
    the window. A video that is shorter than a window is one.

    Args:
        dataset: The training videos.
        length: Snippets of a window.
        stride: Snippets from one window to the next.
        min_coverage: Share of an action that a window must hold at least, in ``(0, 1]``; windows
            that hold no such action are left out. Which actions count in a window is decided by
            ``windows`` of the localizer.
        min_rest: A window that ends with the video is added when more snippets than this are left
            over behind the last one.
        seed: The same for all ranks. mmengine passes the runner's; ``None``: one is agreed upon.
        shuffle: Whether the order is drawn, from seed and epoch.
        round_up: Repeat some windows so that all ranks have equally many.

    Raises:
        FeatureError: The features cannot be read.
        ValueError: An argument is out of its range, the dataset is another one, or no window holds
            an action.
    """

    def __init__(
        self,
        dataset: TALFeatureDataset,
        length: int,
        stride: int,
        min_coverage: float = 0.9,
        min_rest: int = 0,
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
    ) -> None:
        if not 1 <= stride <= length or not 0 < min_coverage <= 1 or min_rest < 0:
            raise ValueError(
                'expected 1 <= stride <= length, min_coverage in (0, 1] and min_rest of 0 or more, '
                f'got stride={stride}, length={length}, min_coverage={min_coverage}, '
                f'min_rest={min_rest}'
            )
        if not isinstance(dataset, TALFeatureDataset):
            raise ValueError(
                f'TrainingWindowSampler needs a TALFeatureDataset, got {type(dataset).__name__}'
            )
        self.windows = [
            (index, start, size)
            for index in range(len(dataset))
            for start, size in _windows_of(dataset, index, length, stride, min_coverage, min_rest)
        ]
        if not self.windows:
            raise ValueError(
                f'none of the windows of {length} snippets of {len(dataset)} videos holds '
                f'{min_coverage:g} of an action: longer windows, or a smaller min_coverage'
            )
        print_log(
            f'{len(self.windows)} windows of {length} snippets from {len(dataset)} videos hold an '
            'action',
            'current',
        )
        super().__init__(range(len(self.windows)), shuffle=shuffle, seed=seed, round_up=round_up)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Number of a video, first snippet and number of snippets of each window."""
        for number in super().__iter__():
            yield self.windows[number]


def _windows_of(
    dataset: TALFeatureDataset,
    index: int,
    length: int,
    stride: int,
    min_coverage: float,
    min_rest: int,
) -> list[tuple[int, int]]:
    """First snippet and number of snippets of the windows of a video that hold an action."""
    info = dataset.get_data_info(index)
    total = dataset.feature_store.length(info['video_name'])
    begin, end = snippet_span(
        total,
        info['duration'],
        info['feature_stride'],
        info['feature_offset'],
        info['feature_span'],
    )
    segments = np.asarray(info['gt_segments'], dtype=np.float64).reshape(-1, 2)
    segments = (segments - begin) / (end - begin) * total
    starts = np.array(window_starts(total, length, stride, min_rest))
    size = min(length, total)
    inside = coverage(segments, starts[:, None], starts[:, None] + size)
    # Rounding of the seconds may not cost a window of an action that fills it.
    enough = inside >= min_coverage * (segments[:, 1] - segments[:, 0]) - 1e-9
    return [(int(start), size) for start in starts[(enough & (inside > 0)).any(1)]]
