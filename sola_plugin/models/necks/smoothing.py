"""Temporal smoothing: the trivial baseline that a learnt neck must beat to mean anything."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor

from .neck import Neck


@MODELS.register_module()
class TemporalSmoothing(Neck):
    """Average every snippet with its neighbours. No weights.

    Args:
        in_channels: Not used; accepted so that it can stand where a :class:`SoLa` stands.
        kernel_size: Number of snippets averaged, odd. At the ends of a video the average is over
            the snippets that there are.

    Example:
        >>> import torch
        >>> TemporalSmoothing(kernel_size=3)(torch.tensor([[[0., 3., 6., 9.]]]))
        tensor([[[1.5000, 3.0000, 6.0000, 7.5000]]])
    """

    def __init__(self, in_channels: int | None = None, kernel_size: int = 3) -> None:
        super().__init__(in_channels)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f'TemporalSmoothing expects an odd kernel_size, got {kernel_size}')
        self.kernel_size = kernel_size
        self.reach = kernel_size // 2

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Smooth features.

        Args:
            x: Features ``(N, C, T)``.
            mask: Bool ``(N, T)``, true where a snippet is real.

        Returns:
            Tensor ``(N, C, T)``; padded positions are zero.
        """
        real = (x.new_ones(x.shape[0], x.shape[2]) if mask is None else mask.to(x.dtype))[:, None]
        window, pad = self.kernel_size, self.kernel_size // 2
        total = F.avg_pool1d(x * real, window, stride=1, padding=pad)
        count = F.avg_pool1d(real, window, stride=1, padding=pad)
        return total / torch.where(real > 0, count, torch.ones_like(count)) * real
