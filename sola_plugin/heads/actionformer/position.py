"""Sinusoidal position encodings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def sinusoids(length: int, channels: int, dtype: torch.dtype | None = None) -> Tensor:
    """Sinusoidal position encoding (https://arxiv.org/abs/1706.03762, section 3.5).

    Args:
        length: T.
        channels: C.
        dtype: In which angles are computed; ``None``: float32.

    Returns:
        ``(C, T)`` in ``[-1, 1]``: sines on even channels, cosines on odd ones.
    """
    rate = 10000 ** -(torch.arange(channels, dtype=dtype) // 2 * 2 / channels)
    angle = rate[:, None] * torch.arange(length)
    return torch.where((torch.arange(channels) % 2 == 0)[:, None], angle.sin(), angle.cos())


def stretched_sinusoids(lengths: Sequence[int], table: int, size: int, channels: int) -> Tensor:
    """Position encodings of videos, as the published ActionFormers have them in prediction.

    Args:
        lengths: Length of each video, at most ``size`` or, with padding, more.
        table: Number of positions that are known; those of longer videos are interpolated.
        size: T.
        channels: C.

    Returns:
        Float32 ``(N, C, T)``; what is behind the end of a video does not count.
    """
    # As a table in single precision that is computed in double.
    known = sinusoids(max(table, size), channels, torch.float64).float()
    of_length = {
        length: known
        if length <= table
        else F.interpolate(known[None, :, :table], length, mode='linear', align_corners=False)[0]
        for length in set(lengths)
    }
    return torch.stack(
        [F.pad(of_length[n][:, :size], (0, max(0, size - of_length[n].shape[1]))) for n in lengths]
    )
