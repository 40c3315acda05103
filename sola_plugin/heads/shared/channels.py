"""Channels of features before a grouped convolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

#: Groups of the first convolution of the heads with maps; their channels must be a multiple.
INPUT_GROUPS = 4


def grouped_channels(feat_dim: int) -> int:
    """Channels that the first, grouped convolution takes: ``feat_dim``, or the next multiple of it.

    >>> grouped_channels(400), grouped_channels(18)
    (400, 20)
    """
    return -(-feat_dim // INPUT_GROUPS) * INPUT_GROUPS


def fill_channels(x: Tensor) -> Tensor:
    """Add zero channels until the first convolution can divide them into its groups.

    Args:
        x: Features ``(N, C, T)``, whatever ``C``.

    Returns:
        ``(N, grouped_channels(C), T)``; ``x`` itself where nothing is missing.
    """
    missing = grouped_channels(x.shape[1]) - x.shape[1]
    return F.pad(x, (0, 0, 0, missing)) if missing else x
