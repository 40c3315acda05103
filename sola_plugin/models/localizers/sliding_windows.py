"""Long videos in a localizer of a fixed temporal size: overlapping windows."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..postprocessing import grouped_nms
from ..postprocessing.nms import Decay


@dataclasses.dataclass(frozen=True)
class SlidingWindows:
    """How videos are cut into windows, and how the proposals of the windows become those of the video.

    This is how BMN and G-TAD take the long videos of THUMOS14. The neck comes before, on whole videos.

    Attributes:
        length: Snippets in a window; a shorter video is filled up with zeros.
        stride: Snippets from one window to the next; the last window ends with the video.
        decay: Of the soft-NMS of the proposals of all windows, which are not suppressed before.
        top_k: Proposals kept of a video.
        min_coverage: Smallest share of an action that a window must hold to be trained on it; windows
            without an action are not trained on.
        batch_size: Windows that go through the localizer at the same time when it predicts.

    Raises:
        ValueError: ``stride`` is not in ``[1, length]``.
    """

    length: int
    stride: int
    decay: Decay
    top_k: int = 100
    min_coverage: float = 0.9
    batch_size: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.length:
            raise ValueError(f'stride={self.stride} must be between 1 and the length of a window, '
                             f'{self.length}')

    def starts(self, total: int) -> list[int]:
        """First snippet of each window of a video of ``total`` snippets.

        >>> SlidingWindows(8, 4, decay=None).starts(21)
        [0, 4, 8, 12, 13]
        """
        last = max(total - self.length, 0)
        return [*range(0, last, self.stride), last]

    def spans(self, total: int, span: tuple[float, float]) -> list[tuple[float, float]]:
        """Start and end of each window in seconds.

        Args:
            total: Snippets of the video.
            span: ``(start, end)`` in seconds of what they cover.
        """
        begin, seconds = span[0], (span[1] - span[0]) / total
        return [(begin + start * seconds, begin + (start + self.length) * seconds)
                for start in self.starts(total)]

    def cut(self, video: Tensor) -> tuple[list[int], Tensor]:
        """Cut the features of a video.

        Args:
            video: ``(C, T)``.

        Returns:
            First snippet of each of W windows, and ``(W, C, length)``.
        """
        starts = self.starts(video.shape[1])
        video = F.pad(video, (0, max(self.length - video.shape[1], 0)))
        return starts, torch.stack([video[:, start:start + self.length] for start in starts])

    def training_windows(self, features: Sequence[Tensor],
                         data_samples: Sequence | None) -> tuple[list[Tensor], list | None]:
        """The windows of a batch that hold an action; if there is none, the first of all.

        Args:
            features: ``(C, T_i)`` of each video.
            data_samples: Their data samples; ``None``: every window is returned.

        Returns:
            ``(C, length)`` of each window, and data samples with the truth of each.
        """
        if data_samples is None:
            return [window for video in features for window in self.cut(video)[1]], None
        cut = [(window, self._truth(sample, start, video.shape[1]))
               for video, sample in zip(features, data_samples)
               for start, window in zip(*self.cut(video))]
        kept = [pair for pair in cut if len(pair[1].gt_instances)] or cut[:1]
        return [window for window, _ in kept], [sample for _, sample in kept]

    def _truth(self, sample, start: int, total: int):
        """A data sample with the actions of one window of a video, in fractions of the window."""
        segments = sample.gt_instances['gt_bbox'] * total - start
        inside = segments.clamp(0, self.length)
        covered = inside[:, 1] - inside[:, 0]
        kept = (covered > 0) & (covered >= self.min_coverage * (segments[:, 1] - segments[:, 0]))
        truth = sample.gt_instances[kept]
        truth.gt_bbox = inside[kept] / self.length
        of_window = sample.new()
        of_window.gt_instances = truth
        return of_window

    def test_batches(self, video: Tensor, sample, span: tuple[float, float],
                     duration: float) -> Iterator[tuple[tuple[Tensor, ...], list]]:
        """The windows of a video, some at a time.

        Args:
            video: ``(C, T)``.
            sample: Its data sample.
            span: ``(start, end)`` in seconds of what the features cover.
            duration: Length of the video in seconds.

        Yields:
            ``(C, length)`` of each window, and data samples with the ``feature_span`` of each.
        """
        _, windows = self.cut(video)
        samples = [sample.new(metainfo=dict(sample.metainfo, duration=duration, feature_span=of_window))
                   for of_window in self.spans(video.shape[1], span)]
        for first in range(0, len(samples), self.batch_size):
            chosen = slice(first, first + self.batch_size)
            yield windows[chosen].unbind(), samples[chosen]

    def merge(self, results: Sequence[dict], duration: float) -> dict:
        """Proposals of a video from those of its windows.

        Args:
            results: ``dict(video_name, proposal_list)`` of each window, in seconds.
            duration: Length of the video in seconds.

        Returns:
            The same for the video, best first.
        """
        proposals = [proposal for result in results for proposal in result['proposal_list']]
        segments = np.array([proposal['segment'] for proposal in proposals]).reshape(-1, 2)
        scores = np.array([proposal['score'] for proposal in proposals])
        index, kept = grouped_nms(segments / duration, scores, np.zeros(len(scores), dtype=int), self.decay,
                                  self.top_k)
        return dict(video_name=results[0]['video_name'], proposal_list=[
            dict(score=float(score), segment=list(proposals[i]['segment']))
            for i, score in zip(index, kept)])
