"""Convolution and normalisation of videos of different lengths in one batch."""

from __future__ import annotations

from torch import Tensor, nn


class MaskedConv1d(nn.Conv1d):
    """``Conv1d`` with "same" padding that reads zeros where a video has ended.

    A real position gets what it would get without padding. Padded positions hold anything: whoever
    reads neighbours masks its own input.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Odd.
        stride: Output position ``j`` is centred at input position ``stride * j``.
        groups: See ``nn.Conv1d``.
        bias: See ``nn.Conv1d``; it starts at zero.

    Raises:
        ValueError: ``kernel_size`` is even.

    Example:
        >>> import torch
        >>> conv = MaskedConv1d(1, 1, 3, bias=False)
        >>> _ = nn.init.ones_(conv.weight)
        >>> y, mask = conv(torch.full((1, 1, 4), 5.), torch.tensor([[True, True, False, False]]))
        >>> y[0, 0, :2].tolist()
        [10.0, 10.0]
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f'MaskedConv1d expects an odd kernel_size, got {kernel_size}')
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=bias,
        )
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Convolve.

        Args:
            x: ``(N, C, T)``.
            mask: Bool ``(N, T)``, true where a position is real.

        Returns:
            ``(N, C', ceil(T / stride))`` and its mask.
        """
        return super().forward(x * mask[:, None]), mask[:, :: self.stride[0]]


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of ``(N, C, T)``, at every position by itself."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(N, C, T)``."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class ConvNormReLU(nn.Module):
    """Masked convolution, layer norm, ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = MaskedConv1d(in_channels, out_channels, kernel_size, bias=False)
        self.norm = ChannelNorm(out_channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(N, C, T)`` and its mask ``(N, T)`` to ``(N, C', T)``."""
        return self.norm(self.conv(x, mask)[0]).relu()
