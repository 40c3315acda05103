"""Feature pyramid of transformer blocks (ActionFormer, https://arxiv.org/abs/2202.07925, 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import rows
from .attention import (
    NORM_EPS,
    ChannelNorm,
    ConvNormReLU,
    LocalSelfAttention,
    Pointwise,
    read_positions,
)
from .layout import uses_rows
from .padding import Padding
from .position import sinusoids, stretched_sinusoids


class Residual(nn.Module):
    """Learnt scale of every channel and stochastic depth, on a branch that is added to its input.

    Args:
        channels: C.
        drop_path: Probability that a video's branch is left out in training.
        scale: First value of the scale; a small one makes a block start near the identity.
    """

    def __init__(self, channels: int, drop_path: float = 0.0, scale: float = 1e-4) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), scale))
        self.drop_path = drop_path

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """Add the branch ``(N, C, T)``, scaled and in training sometimes dropped, to ``x``."""
        drops = self.training and self.drop_path > 0
        if uses_rows(x) and not drops:
            return torch.addcmul(x, branch, self.scale[:, None])
        branch = branch * self.scale[:, None]
        if drops:
            keep = 1 - self.drop_path
            branch = branch * (torch.rand(len(branch), 1, 1, device=branch.device) < keep) / keep
        return x + branch


class TransformerBlock(nn.Module):
    """Pre-norm transformer block, which halves the length when ``stride=2``.

    Args:
        channels: C.
        num_heads: See :class:`~sola_plugin.heads.actionformer.attention.LocalSelfAttention`.
        window: See there.
        stride: 1 or 2.
        dropout: Dropout of the attention's output and in the MLP.
        drop_path: See :class:`Residual`.
        residual_scale: See :class:`Residual`.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 4,
        window: int | None = None,
        stride: int = 1,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        residual_scale: float = 1e-4,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.attention_norm = ChannelNorm(channels)
        self.attention = LocalSelfAttention(channels, num_heads, window, stride, dropout)
        self.attention_residual = Residual(channels, drop_path, residual_scale)
        self.mlp = nn.Sequential(
            ChannelNorm(channels),
            Pointwise(channels, 4 * channels),
            nn.GELU(),
            nn.Dropout(dropout),
            Pointwise(4 * channels, channels),
            nn.Dropout(dropout),
        )
        self.mlp_residual = Residual(channels, drop_path, residual_scale)

    def forward(
        self, x: Tensor, mask: Tensor | None, padding: Padding | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """``(N, C, T)`` and its mask ``(N, T)`` to ``(N, C, ceil(T / stride))`` and its mask."""
        attended, new_mask = self.attention(self.attention_norm(x), mask, padding)
        if self.stride > 1:
            x = self._pooled(x, read_positions(mask, padding))
            if new_mask is not None:  # a window without a real position has no maximum
                x = x.masked_fill(~new_mask[:, None], 0)
        if padding is not None and new_mask is not None:  # which is cleared by every block
            x, attended = (part * new_mask[:, None] for part in (x, attended))
        x = self.attention_residual(x, attended)
        change = self.mlp(x)
        if padding is not None and new_mask is not None:
            change = change * new_mask[:, None]
        return self.mlp_residual(x, change), new_mask

    def _pooled(self, x: Tensor, read: Tensor | None) -> Tensor:
        """Largest of three positions, at every second one."""
        if read is not None:
            x = x.masked_fill(~read[:, None], -torch.inf)
        if uses_rows(x):
            return rows.max_pool(x.transpose(1, 2), 3, self.stride).transpose(1, 2)
        return F.max_pool1d(x, 3, self.stride, padding=1)


class TransformerPyramid(nn.Module):
    """Projection, stem and one halving transformer block for each further level.

    In a picture::

        x (N, C, T) ─ conv ─ conv ─ (+ position) ─ block ─ block ─┬─ level 0 (N, E, T)
            ┌─────────────────────────────────────────────────────┘
            └ block, stride 2 ─┬─ level 1 (N, E, ⌈T/2⌉)
                               └ ...

    No length needs to be a multiple of anything, and a video's features do not depend on the others
    in its batch.

    Args:
        in_channels: C.
        channels: E.
        num_levels: Levels of the pyramid.
        num_heads: Heads of the attention.
        windows: Window of the attention on every level, or one for all; ``None``: all positions.
        num_convs: Convolutions of the projection.
        num_stem_blocks: Transformer blocks on level 0.
        position_encoding: Whether sinusoids of the position are added after the projection.
        dropout: See :class:`TransformerBlock`.
        drop_path: See :class:`Residual`.
        residual_scale: See :class:`Residual`.
        position_length: Position encodings of longer videos are those of so many positions,
            stretched, as in the published code; ``None``: they go on.
        norm_eps: Added to the variance in the layer norms of projection and levels.

    Raises:
        ValueError: There are not as many windows as levels, or ``position_length`` is below 1.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 512,
        num_levels: int = 6,
        num_heads: int = 4,
        windows: int | None | Sequence[int | None] = None,
        num_convs: int = 2,
        num_stem_blocks: int = 2,
        position_encoding: bool = False,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        residual_scale: float = 1e-4,
        position_length: int | None = None,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        if position_length is not None and position_length < 1:
            raise ValueError(f'position_length={position_length}: expected at least 1, or None')
        windows = list(windows) if isinstance(windows, Sequence) else [windows] * num_levels
        if len(windows) != num_levels:
            raise ValueError(
                f'expected one window for each of the {num_levels} levels, got {windows}'
            )
        self.channels = channels
        self.num_levels = num_levels
        self.windows = windows
        self.position_encoding = position_encoding
        self.position_length = position_length
        self.projection = nn.ModuleList(
            ConvNormReLU(channels if index else in_channels, channels, norm_eps=norm_eps)
            for index in range(num_convs)
        )

        def block(window: int | None, stride: int) -> TransformerBlock:
            return TransformerBlock(
                channels, num_heads, window, stride, dropout, drop_path, residual_scale
            )

        self.stem = nn.ModuleList(block(windows[0], 1) for _ in range(num_stem_blocks))
        self.levels = nn.ModuleList(block(window, 2) for window in windows[1:])
        self.norms = nn.ModuleList(ChannelNorm(channels, norm_eps) for _ in range(num_levels))

    @property
    def receptive_radius(self) -> int | None:
        """Snippets to either side that a point of the last level depends on; ``None``: all.

        The other levels depend on fewer.
        """
        blocks: list[TransformerBlock] = [*self.stem, *self.levels]  # type: ignore[list-item]
        if self.position_encoding or any(block.attention.window is None for block in blocks):
            return None
        radius, stride = len(self.projection), 1
        for block in blocks:
            radius += stride  # convolutions and pooling of size 3
            stride *= block.stride
            assert block.attention.window is not None
            radius += stride * (block.attention.window // 2)
        return radius

    def forward(
        self, x: Tensor, mask: Tensor | None, padding: Padding | None = None
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Build the pyramid.

        Args:
            x: ``(N, C, T)``.
            mask: Bool ``(N, T)``, true where a snippet is real; ``None``: all are.
            padding: What is read of the padding; ``None``: nothing.

        Returns:
            For every level, finest first, ``(N, E, T_l)`` and its mask ``(N, T_l)``.
        """
        for conv in self.projection:
            x = conv(x, mask, padding)
        if self.position_encoding:
            x = x + self._positions(x, mask, padding) / x.shape[1] ** 0.5
        for block in self.stem:
            x, mask = block(x, mask, padding)
        pyramid = [(x, mask)]
        for level, block in enumerate(self.levels):
            read = None if padding is None else padding.every(2**level)
            pyramid.append(block(*pyramid[-1], read))
        return [(norm(x), mask) for norm, (x, mask) in zip(self.norms, pyramid)]

    def _positions(self, x: Tensor, mask: Tensor | None, padding: Padding | None) -> Tensor:
        """Position encodings ``(C, T)``, or of every video ``(N, C, T)``."""
        if self.position_length is None:
            positions = sinusoids(x.shape[2], x.shape[1]).to(x)
        else:
            if padding is not None:
                lengths: Sequence[int] = padding.lengths
            else:
                lengths = [x.shape[2]] * len(x) if mask is None else mask.sum(1).tolist()
            positions = stretched_sinusoids(
                lengths, self.position_length, x.shape[2], x.shape[1]
            ).to(x)
        return positions if padding is None or mask is None else positions * mask[:, None]
