"""Long videos window by window: what a localizer trains on, and predicts in bounded memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sola_plugin.datasets.crops import window_starts


class Window(NamedTuple):
    """A stretch of a video, in snippets.

    Attributes:
        start: First snippet.
        stop: Behind the last one; with :attr:`SlidingWindows.fixed` it may lie behind the video's
            end.
        core: ``(first, behind the last)`` in snippets of the window: the part that no other window
            has in its core. The cores of all windows cover the video once.
    """

    start: int
    stop: int
    core: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class SlidingWindows:
    """How videos are cut into overlapping windows.

    Attributes:
        length: Snippets in a window.
        stride: Snippets from one window to the next.
        fixed: Every window has ``length`` snippets, in training too (BMN, G-TAD): the last one ends
            with the video, and a shorter video is filled up with zeros. Else (ActionFormer) the
            last window is as long as the rest of the video, and training is on whole videos.
        min_coverage: Smallest share of an action that a window must hold to be trained on it;
            windows without an action are not trained on.
        keep_partial: In a window that is trained on, all actions of which a part lies in it count,
            and where they are cut their boundaries stay outside. Else those with ``min_coverage``
            only, cut to the window.
        top_k: Proposals of a window that take part in the suppression among those of all windows.
            With it, memory and time grow with the number of windows and not with that of the
            proposals.
        batch_size: Windows that go through the localizer at the same time when it predicts.

    Raises:
        ValueError: ``stride`` is not in ``[1, length]``, or ``top_k`` or ``batch_size`` is below 1.
    """

    length: int
    stride: int
    fixed: bool = True
    min_coverage: float = 0.9
    top_k: int = 1000
    batch_size: int = 16
    keep_partial: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.length:
            raise ValueError(
                f'stride={self.stride} must be between 1 and the length of a window, {self.length}'
            )
        if self.top_k < 1 or self.batch_size < 1:
            raise ValueError(
                f'windows expect top_k and batch_size of at least 1, got top_k={self.top_k}, '
                f'batch_size={self.batch_size}'
            )

    def windows(self, total: int) -> list[Window]:
        """The windows of a video.

        Args:
            total: Number of its snippets.

        Returns:
            The windows, from first to last.
        """
        starts = window_starts(total, self.length, self.stride)
        if not self.fixed:
            rest = max(total - self.length, 0)
            starts = [*range(0, rest + self.stride, self.stride)]
        # The overlap of two windows is halved between their cores.
        borders = [
            0,
            *((before + self.length + after) // 2 for before, after in zip(starts, starts[1:])),
            total,
        ]
        stops = [
            start + self.length if self.fixed else min(start + self.length, total)
            for start in starts
        ]
        return [
            Window(start, stop, (first - start, last - start))
            for start, stop, first, last in zip(starts, stops, borders, borders[1:])
        ]

    def spans(self, total: int, span: tuple[float, float]) -> list[tuple[float, float]]:
        """Start and end of each window in seconds.

        Args:
            total: Snippets of the video.
            span: ``(start, end)`` in seconds of what they cover.
        """
        begin, seconds = span[0], (span[1] - span[0]) / total
        return [
            (begin + window.start * seconds, begin + window.stop * seconds)
            for window in self.windows(total)
        ]

    def batches(self, total: int) -> Iterator[list[Window]]:
        """The windows of a video, ``batch_size`` at a time."""
        windows = self.windows(total)
        for first in range(0, len(windows), self.batch_size):
            yield windows[first : first + self.batch_size]

    def cut(self, features: Tensor, windows: Sequence[Window], begin: int = 0) -> list[Tensor]:
        """Cut windows out of features.

        Args:
            features: ``(C, T)``.
            windows: All of their snippets that the video has are in ``features``.
            begin: Snippet of the video that is the first of ``features``.

        Returns:
            ``(C, stop - start)`` of each window, zero where the video has ended.
        """
        missing = max(windows[-1].stop - begin - features.shape[1], 0)
        features = F.pad(features, (0, missing)) if missing else features
        return [features[:, window.start - begin : window.stop - begin] for window in windows]

    def place(self, proposals: np.ndarray, window: Window, total: int) -> np.ndarray:
        """Proposals of a window on the axis of the video.

        Args:
            proposals: ``(P, 3)`` or more columns: start and end as fractions of the window, score.
            window: The window.
            total: Number of snippets of the video.

        Returns:
            The best ``top_k`` with start and end as fractions of the video. Of a fixed window, what
            lies behind the end of the video is cut off.
        """
        proposals = proposals[np.argsort(-proposals[:, 2], kind='stable')[: self.top_k]]
        proposals[:, :2] = window.start / total + proposals[:, :2] * (
            (window.stop - window.start) / total
        )
        if self.fixed:
            proposals = proposals[proposals[:, 0] < 1]
            proposals[:, 1] = proposals[:, 1].clip(max=1)
        return proposals

    def training_windows(
        self, features: Sequence[Tensor], data_samples: Sequence | None
    ) -> tuple[list[Tensor], list | None]:
        """The windows of a batch that hold an action; if there is none, the first of all.

        Args:
            features: ``(C, T_i)`` of each video.
            data_samples: Their data samples; ``None``: every window is returned.

        Returns:
            ``(C, length)`` of each window, and data samples with the truth of each.
        """
        windows = [self.windows(video.shape[1]) for video in features]
        cut = [self.cut(video, of_video) for video, of_video in zip(features, windows)]
        if data_samples is None:
            return [window for of_video in cut for window in of_video], None
        pairs = [
            (inputs, self._truth(sample, window.start, video.shape[1]))
            for video, sample, of_video, parts in zip(features, data_samples, windows, cut)
            for window, inputs in zip(of_video, parts)
        ]
        kept = [pair for pair in pairs if len(pair[1].gt_instances)] or pairs[:1]
        return [inputs for inputs, _ in kept], [sample for _, sample in kept]

    def _truth(self, sample, start: int, total: int):
        """A data sample with the actions of one window of a video, in fractions of the window."""
        segments = sample.gt_instances['gt_bbox'] * total - start
        inside = segments.clamp(0, self.length)
        covered = inside[:, 1] - inside[:, 0]
        kept = (covered > 0) & (covered >= self.min_coverage * (segments[:, 1] - segments[:, 0]))
        if self.keep_partial and kept.any():
            kept, inside = covered > 0, segments
        truth = sample.gt_instances[kept]
        truth.gt_bbox = inside[kept] / self.length
        of_window = sample.new()
        of_window.gt_instances = truth
        return of_window
