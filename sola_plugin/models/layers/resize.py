"""Batches of videos of different lengths, and the one temporal resize of the package."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_features(features: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Make one batch of the features of several videos.

    Args:
        features: One ``(C, T_i)`` for each video.

    Returns:
        The batch ``(N, C, max T_i)``, zero where a video has ended, and its mask, bool
        ``(N, max T_i)``, true at real snippets; the mask is ``None`` when all lengths are equal.
    """
    lengths = [video.shape[1] for video in features]
    longest = max(lengths)
    if min(lengths) == longest:
        return torch.stack(list(features)), None
    batch = torch.stack([F.pad(video, (0, longest - video.shape[1])) for video in features])
    position = torch.arange(longest, device=batch.device)
    return batch, position < torch.tensor(lengths, device=batch.device)[:, None]


def resize_features(x: Tensor, size: int, mask: Tensor | None = None) -> Tensor:
    """Resize every video to the same number of cells, by linear interpolation.

    Snippets and cells are intervals that share their outer borders (``align_corners=False``), so
    that fractions of the video keep their meaning. A video of the right length is returned as it
    is.

    Args:
        x: Features ``(N, C, T)``.
        size: Number of cells.
        mask: Bool ``(N, T)``, see :func:`pad_features`; only real snippets are interpolated.

    Returns:
        Tensor ``(N, C, size)``.
    """
    if mask is None:
        return x if x.shape[2] == size else F.interpolate(x, size, mode='linear')
    return torch.cat(
        [
            resize_features(video[None, :, :length], size)
            for video, length in zip(x, mask.sum(1).tolist())
        ]
    )
