"""A random window of what a localizer trains on, behind neck and resizing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from sola_plugin.datasets.crops import check_crop, random_length, random_window


@dataclasses.dataclass(frozen=True)
class RandomCrop:
    """Cuts a random part of the cells of every training video.

    Where features are resized, a crop of the snippets before it would be stretched again; this one
    keeps the length of a cell.

    Attributes:
        scale: Smallest and largest share of a video that is kept.
        min_coverage: Smallest share of an action that must lie in the window and its margin.
        margin: Cells before and behind the window up to which the boundaries of an action that is
            cut may lie.

    Raises:
        ValueError: A number is out of its range.
    """

    scale: Sequence[float] = (0.9, 1.0)
    min_coverage: float = 0.5
    margin: Sequence[float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        check_crop(self.scale, self.min_coverage, self.margin)

    def __call__(
        self, features: Sequence[Tensor], data_samples: Sequence
    ) -> tuple[list[Tensor], list]:
        """Cut each video.

        Args:
            features: ``(C, T_i)`` of each video.
            data_samples: Their data samples; they stay as they are.

        Returns:
            ``(C, T)`` of each window, and data samples with the actions in it, in fractions of it.
        """
        pairs = [self._cut(*pair) for pair in zip(features, data_samples)]
        return [window for window, _ in pairs], [sample for _, sample in pairs]

    def _cut(self, video: Tensor, sample) -> tuple[Tensor, object]:
        total = video.shape[1]
        length = random_length(total, self.scale)
        if length == total:
            return video, sample
        boxes = sample.gt_instances['gt_bbox']
        start, kept, segments = random_window(
            boxes.cpu().numpy() * total, total, length, self.min_coverage, self.margin
        )
        truth = sample.gt_instances[torch.from_numpy(kept).to(boxes.device)]
        truth.gt_bbox = torch.from_numpy(segments / length).to(boxes)
        of_window = sample.new()
        of_window.gt_instances = truth
        return video[:, start : start + length], of_window
