"""Convolutional head that all levels of a pyramid share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .masked_conv import ConvNormReLU, MaskedConv1d


class PointHead(nn.Module):
    """Some outputs at every point of a pyramid.

    Args:
        in_channels: Channels of the levels.
        channels: Channels inside the head.
        out_channels: Outputs K of a point.
        num_convs: Convolutions before the last one.
        bias: First value of the last bias.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        out_channels: int,
        num_convs: int = 2,
        bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            ConvNormReLU(channels if index else in_channels, channels) for index in range(num_convs)
        )
        self.last = MaskedConv1d(channels if num_convs else in_channels, out_channels, 3)
        assert self.last.bias is not None
        nn.init.constant_(self.last.bias, bias)

    def forward(self, levels: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Apply the head.

        Args:
            levels: For every level features ``(N, C, T_l)`` and their mask ``(N, T_l)``.

        Returns:
            ``(N, P, K)``, the points of all levels one after the other.
        """
        outputs = []
        for x, mask in levels:
            for conv in self.convs:
                x = conv(x, mask)
            outputs.append(self.last(x, mask)[0])
        return torch.cat(outputs, dim=2).transpose(1, 2)
