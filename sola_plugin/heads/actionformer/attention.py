"""Masked convolutions and local attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        self, x: Tensor, mask: Tensor, padding: Padding | None = None
    ) -> tuple[Tensor, Tensor]:
        """Convolve.

        Args:
            x: ``(N, C, T)``.
            mask: Bool ``(N, T)``, true where a position is real.
            padding: Read what stands in the padding, as published, and clear it in the output.

        Returns:
            ``(N, C', ceil(T / stride))`` and its mask.
        """
        new_mask = mask[:, :: self.stride[0]]
        if padding is None:
            return super().forward(x * mask[:, None]), new_mask
        return super().forward(x * padding.inside[:, None]) * new_mask[:, None], new_mask


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

    def forward(self, x: Tensor, mask: Tensor, padding: Padding | None = None) -> Tensor:
        """``(N, C, T)`` and its mask ``(N, T)`` to ``(N, C', T)``."""
        x = self.norm(self.conv(x, mask, padding)[0]).relu()
        return x if padding is None or padding.activations else x * mask[:, None]


def local_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, window: int | None = None
) -> Tensor:
    """Attention of every position to the real positions in a window around it.

    The positions are cut into blocks of ``window``; a block attends to itself and to the ``window -
    1`` positions around it, under a band mask. So time and memory are ``O(T * window)``.

    Args:
        query: ``(N, H, T, D)``.
        key: Like ``query``.
        value: Like ``query``.
        mask: Bool ``(N, T)``, true where a position is real.
        window: Number of positions that each position sees: ``window // 2`` before it, itself, and
            ``(window - 1) // 2`` after it. ``None``: all.

    Returns:
        ``(N, H, T, D)``; padded positions hold anything finite.
    """
    length = mask.shape[1]  # of the mask: the exporter to ONNX would take the query's for fixed
    if window is None or window >= 2 * length - 1 and not torch.onnx.is_in_onnx_export():
        # A padded position may see itself, so that no row of the softmax is empty.
        position = torch.arange(length, device=mask.device)
        visible = mask[:, None, :] | (position[:, None] == position)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=visible[:, None])
    before, after = window // 2, (window - 1) // 2
    missing = -length % window

    if torch.onnx.is_in_onnx_export():
        return _gathered_attention(query, key, value, mask, window)

    def around(x: Tensor) -> Tensor:
        """Blocks and their neighbours: ``(N, H, T, D)`` to ``(N, H, blocks, 2 window - 1, D)``."""
        return (
            F.pad(x, (0, 0, before, after + missing))
            .unfold(2, 2 * window - 1, window)
            .transpose(3, 4)
        )

    blocks = F.pad(query, (0, 0, 0, missing)).unflatten(2, (-1, window))
    real = F.pad(mask, (before, after + missing)).unfold(1, 2 * window - 1, window)
    distance = (
        torch.arange(2 * window - 1, device=mask.device)
        - before
        - torch.arange(window, device=mask.device)[:, None]
    )
    visible = (real[:, :, None] | (distance == 0)) & (distance >= -before) & (distance <= after)
    out = F.scaled_dot_product_attention(
        blocks, around(key), around(value), attn_mask=visible[:, None]
    )
    return out.flatten(2, 3)[:, :, :length]


def _gathered_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, window: int
) -> Tensor:
    """:func:`local_attention` without what ONNX cannot do at any length: to unfold."""
    length = mask.shape[1]
    start = torch.arange(0, length, window)[:, None]
    inside = start + torch.arange(window)
    around = start + torch.arange(2 * window - 1) - window // 2

    def take(x: Tensor, positions: Tensor, dim: int = 2) -> Tensor:
        index = positions.flatten().clamp(min=0)
        index = torch.minimum(index, torch.ones_like(index) * (length - 1))
        return x.index_select(dim, index).unflatten(dim, (-1, positions.shape[1]))

    real = take(mask, around, 1) & (around >= 0) & (around < length)
    distance = around[:, None, :] - inside[:, :, None]
    visible = (real[:, :, None] | (distance == 0)) & (distance >= -(window // 2))
    visible = visible & (distance <= (window - 1) // 2)
    out = F.scaled_dot_product_attention(
        take(query, inside), take(key, around), take(value, around), attn_mask=visible[:, None]
    )
    return out.flatten(2, 3)[:, :, :length]


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
        self.projections = nn.ModuleList(pointwise(channels, channels) for _ in range(3))
        self.out = pointwise(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor, padding: Padding | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            x: ``(N, C, T)``.
            mask: Bool ``(N, T)``.
            padding: What the convolutions read of the padding; the attention reads nothing.

        Returns:
            ``(N, C, ceil(T / stride))`` and its mask.
        """
        parts = []
        new_mask = mask
        for conv, norm, projection in zip(self.convs, self.norms, self.projections):
            part, new_mask = conv(x, mask, padding)
            part = projection(norm(part))
            parts.append(part.unflatten(1, (self.num_heads, -1)).transpose(2, 3))
        query, key, value = parts
        attended = local_attention(query, key, value, new_mask, self.window)
        return self.dropout(self.out(attended.transpose(2, 3).flatten(1, 2))), new_mask


def pointwise(in_channels: int, out_channels: int) -> nn.Conv1d:
    """1×1 convolution whose bias starts at zero."""
    conv = nn.Conv1d(in_channels, out_channels, 1)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
