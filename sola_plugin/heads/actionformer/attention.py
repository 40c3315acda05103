"""Masked convolutions and local attention."""

from __future__ import annotations

from torch import Tensor, nn

from . import rows
from .layout import uses_rows
from .local_attention import local_attention, row_attention
from .padding import Padding

#: Of layer norms, as PyTorch has it.
NORM_EPS = 1e-5


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

    def forward(  # type: ignore[override]
        self, x: Tensor, mask: Tensor | None, padding: Padding | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Convolve.

        Args:
            x: ``(N, C, T)``.
            mask: Bool ``(N, T)``, true where a position is real; ``None``: all are.
            padding: Read what stands in the padding, as published, and clear it in the output.

        Returns:
            ``(N, C', ceil(T / stride))`` and its mask.
        """
        read = read_positions(mask, padding)
        if read is not None:
            x = x * read[:, None]
        if uses_rows(x) and self.groups == 1:
            by_rows = rows.convolution(x.transpose(1, 2), self.weight, self.bias, self.stride[0])
            x = by_rows.transpose(1, 2)
        else:
            x = super().forward(x)
        new_mask = None if mask is None else mask[:, :: self.stride[0]]
        if padding is not None and new_mask is not None:
            x = x * new_mask[:, None]
        return x, new_mask


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of ``(N, C, T)``, at every position by itself."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(N, C, T)``."""
        if uses_rows(x):
            return rows.layer_norm(x.transpose(1, 2), self).transpose(1, 2)
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Pointwise(nn.Conv1d):
    """1×1 convolution whose bias starts at zero.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    bias: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, T)`` to ``(N, C', T)``."""
        if uses_rows(x):
            return rows.convolution(x.transpose(1, 2), self.weight, self.bias).transpose(1, 2)
        return super().forward(x)


def read_positions(mask: Tensor | None, padding: Padding | None) -> Tensor | None:
    """Bool ``(N, T)``: what layers read; behind it they read zeros. ``None``: everything."""
    return mask if padding is None else padding.inside


class ConvNormReLU(nn.Module):
    """Masked convolution, layer norm, ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Odd.
        norm_eps: Added to the variance in the layer norm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        self.conv = MaskedConv1d(in_channels, out_channels, kernel_size, bias=False)
        self.norm = ChannelNorm(out_channels, norm_eps)

    def forward(self, x: Tensor, mask: Tensor | None, padding: Padding | None = None) -> Tensor:
        """``(N, C, T)`` and its mask ``(N, T)`` to ``(N, C', T)``."""
        x = self.norm(self.conv(x, mask, padding)[0]).relu()
        if mask is None or padding is None or padding.activations:
            return x
        return x * mask[:, None]


class LocalSelfAttention(nn.Module):
    """Multi-head local attention with convolutions before its projections.

    The depthwise convolutions tell positions apart, so that no position encoding is needed, and
    with ``stride=2`` they halve the length (ActionFormer, section 3.2).

    Args:
        channels: C.
        num_heads: H, a divisor of C.
        window: See :func:`local_attention`.
        stride: Stride of queries, keys and values.
        dropout: Dropout of the output.

    Raises:
        ValueError: ``channels`` is not a multiple of ``num_heads``, or ``window`` is below 1.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 4,
        window: int | None = None,
        stride: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f'channels={channels} must be a multiple of num_heads={num_heads}')
        if window is not None and window < 1:
            raise ValueError(f'window={window} must be at least 1, or None for all positions')
        self.num_heads = num_heads
        self.window = window
        self.convs = nn.ModuleList(
            MaskedConv1d(channels, channels, 3, stride, groups=channels, bias=False)
            for _ in range(3)
        )
        self.norms = nn.ModuleList(ChannelNorm(channels) for _ in range(3))
        self.projections = nn.ModuleList(Pointwise(channels, channels) for _ in range(3))
        self.out = Pointwise(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor | None, padding: Padding | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            x: ``(N, C, T)``.
            mask: Bool ``(N, T)``; ``None``: all positions are real.
            padding: What the convolutions read of the padding; the attention reads nothing.

        Returns:
            ``(N, C, ceil(T / stride))`` and its mask.
        """
        if uses_rows(x):
            return self._by_rows(x, mask, padding)
        parts, new_mask = [], mask
        for conv, norm, projection in zip(self.convs, self.norms, self.projections):
            part, new_mask = conv(x, mask, padding)
            part = projection(norm(part))
            parts.append(part.unflatten(1, (self.num_heads, -1)).transpose(2, 3))
        query, key, value = parts
        attended = local_attention(query, key, value, new_mask, self.window)
        return self.dropout(self.out(attended.transpose(2, 3).flatten(1, 2))), new_mask

    def _by_rows(
        self, x: Tensor, mask: Tensor | None, padding: Padding | None
    ) -> tuple[Tensor, Tensor | None]:
        """:meth:`forward`, queries, keys and values at once."""
        read = read_positions(mask, padding)
        if read is not None:
            x = x * read[:, None]
        new_mask = None if mask is None else mask[:, :: self.convs[0].stride[0]]  # type: ignore[index]
        parts = rows.convolve_normalise_project(
            x.transpose(1, 2),
            self.convs,  # type: ignore[arg-type]
            self.norms,  # type: ignore[arg-type]
            self.projections,  # type: ignore[arg-type]
            keep=None if padding is None else new_mask,
        )
        attended = row_attention(parts.unflatten(3, (self.num_heads, -1)), new_mask, self.window)
        return self.dropout(self.out(attended.flatten(2).transpose(1, 2))), new_mask
