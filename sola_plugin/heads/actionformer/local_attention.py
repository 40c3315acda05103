"""Attention of every position to a window around it."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import uses_rows

#: Least positions of a block, by rows: a window of the published models is less than a GPU's tile.
_BLOCK = 64

#: By rows, a block sees a multiple of so many positions; others are padded by PyTorch.
_ALIGNMENT = 16


def local_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, window: int | None = None
) -> Tensor:
    """Attention of every position to the real positions in a window around it.

    The positions are cut into blocks of ``window``; a block attends to itself and to the ``window -
    1`` positions around it, under a band mask. So time and memory are ``O(T * window)``.

    Args:
        query: ``(N, H, T, D)``.
        key: Like ``query``.
        value: Like ``query``.
        mask: Bool ``(N, T)``, true where a position is real; ``None``: all are.
        window: Number of positions that each position sees: ``window // 2`` before it, itself, and
            ``(window - 1) // 2`` after it. ``None``: all.

    Returns:
        ``(N, H, T, D)``; padded positions hold anything finite.
    """
    exports = torch.onnx.is_in_onnx_export()
    # Of the mask: the exporter to ONNX would take the query's for fixed.
    length = query.shape[2] if mask is None else mask.shape[1]
    if window is None or window >= 2 * length - 1 and not exports:
        return _full_attention(query, key, value, mask)
    if exports:
        assert mask is not None
        return _gathered_attention(query, key, value, mask, window)
    blocks, block = -(-length // window), window
    missing = blocks * block - length
    before, after = window // 2, (window - 1) // 2

    def around(x: Tensor) -> Tensor:
        """Blocks and their neighbours: ``(N, H, T, D)`` to ``(N, H, blocks, span, D)``."""
        padded = F.pad(x, (0, 0, before, after + missing))
        return padded.unfold(2, block + window - 1, block).transpose(3, 4)

    visible = _visible(mask, length, window, block, query.device)
    out = F.scaled_dot_product_attention(
        F.pad(query, (0, 0, 0, missing)).unflatten(2, (blocks, block)),
        around(key),
        around(value),
        attn_mask=visible[:, None],
    )
    return out.flatten(2, 3)[:, :, :length]


def _full_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None and uses_rows(query):
        return F.scaled_dot_product_attention(query, key, value)
    if mask is None:
        mask = torch.ones(1, query.shape[2], dtype=torch.bool, device=query.device)
    # A padded position may see itself, so that no row of the softmax is empty.
    position = torch.arange(mask.shape[1], device=mask.device)
    visible = mask[:, None, :] | (position[:, None] == position)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=visible[:, None])


def row_attention(parts: Tensor, mask: Tensor | None, window: int | None = None) -> Tensor:
    """:func:`local_attention` by rows, with fewer and larger blocks.

    The blocks are items of a batch: PyTorch's fused kernels take four dimensions.

    Args:
        parts: Queries, keys and values ``(3, N, T, H, D)``.
        mask: See :func:`local_attention`.
        window: See there.

    Returns:
        ``(N, T, H, D)``.
    """
    _, batch, length, heads, _ = parts.shape
    if window is None or window >= 2 * length - 1:
        query, key, value = parts.transpose(2, 3)
        return _full_attention(query, key, value, mask).transpose(1, 2)
    span = -(-(max(window, _BLOCK) + window - 1) // _ALIGNMENT) * _ALIGNMENT
    block = span - (window - 1)
    blocks, before = -(-length // block), window // 2
    after = window - 1 - before
    padded = F.pad(parts, (0, 0, 0, 0, before, blocks * block - length + after))
    # (N * blocks, H, span, D)
    key, value = padded[1:].unfold(2, span, block).transpose(4, 5).flatten(1, 2)
    inside = padded[0, :, before : before + blocks * block]
    query = inside.reshape(batch * blocks, block, heads, -1).transpose(1, 2)
    if mask is None:
        bias = _bias_everywhere(batch, length, window, block, parts.dtype, parts.device)
    else:
        bias = _visible(mask, length, window, block, parts.device).flatten(0, 1)[:, None]
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return out.transpose(1, 2).unflatten(0, (batch, blocks)).flatten(1, 2)[:, :length]


def _visible(
    mask: Tensor | None, length: int, window: int, block: int, device: torch.device
) -> Tensor:
    """Which positions see which.

    Args:
        mask: See :func:`local_attention`.
        length: T.
        window: See there.
        block: Positions of a block.
        device: Where it is needed.

    Returns:
        Bool ``(N or 1, blocks, block, block + window - 1)``.
    """
    if mask is None:
        return _visible_everywhere(length, window, block, device)
    band, itself = _band(window, block, device)
    missing = -length % block
    padded = F.pad(mask, (window // 2, (window - 1) // 2 + missing))
    real = padded.unfold(1, block + window - 1, block)[:, :, None]
    return real & band | itself


@functools.lru_cache(maxsize=64)
def _bias_everywhere(
    batch: int, length: int, window: int, block: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """What is added to scores of videos without padding: 0, or minus infinity where unseen.

    Returns:
        ``(N * blocks, 1, block, block + window - 1)``.
    """
    with torch.inference_mode(False):
        visible = _visible_everywhere(length, window, block, device)
        bias = torch.zeros_like(visible, dtype=dtype).masked_fill(~visible, -torch.inf)
        return bias.repeat(batch, 1, 1, 1).flatten(0, 1)[:, None]


@functools.lru_cache(maxsize=64)
def _visible_everywhere(length: int, window: int, block: int, device: torch.device) -> Tensor:
    """:func:`_visible` of videos without padding."""
    with torch.inference_mode(False):  # it may be used in training later
        mask = torch.ones(1, length, dtype=torch.bool, device=device)
        return _visible(mask, length, window, block, device)


@functools.lru_cache(maxsize=64)
def _band(window: int, block: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What a position of a block may see, and itself, which it sees even if it is padding.

    Returns:
        Bool, twice ``(block, block + window - 1)``.
    """
    with torch.inference_mode(False):
        seen = torch.arange(block + window - 1, device=device) - window // 2
        distance = seen - torch.arange(block, device=device)[:, None]
        band = (distance >= -(window // 2)) & (distance <= (window - 1) // 2)
        return band, distance == 0


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
