"""Attention of every position to a window around it."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import uses_rows

#: Positions of a block, by rows: a window of the published models is too small for a GPU's tiles.
_BLOCK = 64


def local_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, window: int | None = None
) -> Tensor:
    """Attention of every position to the real positions in a window around it.

    The positions are cut into blocks of ``window``, by rows of at least 64; a block attends to
    itself and to the ``window - 1`` positions around it, under a band mask. So time and memory are
    ``O(T * window)``.

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
    if uses_rows(query):
        return _row_attention(query, key, value, mask, window)
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


def _row_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, window: int
) -> Tensor:
    """:func:`local_attention` of views of ``(N, T, H, D)``.

    The blocks are items of a batch: of five dimensions, PyTorch's fused kernels want nothing.
    """
    batch, _, length, _ = query.shape
    block = max(window, _BLOCK)
    missing = -length % block

    def around(x: Tensor) -> Tensor:
        """``(N, H, T, D)`` to ``(N * blocks, H, span, D)``."""
        padded = F.pad(x.transpose(1, 2), (0, 0, 0, 0, window // 2, (window - 1) // 2 + missing))
        return padded.unfold(1, block + window - 1, block).transpose(3, 4).flatten(0, 1)

    blocks = F.pad(query.transpose(1, 2), (0, 0, 0, 0, 0, missing)).unflatten(1, (-1, block))
    visible = _visible(mask, length, window, block, query.device)
    out = F.scaled_dot_product_attention(
        blocks.flatten(0, 1).transpose(1, 2),
        around(key),
        around(value),
        attn_mask=visible.expand(batch, -1, -1, -1).flatten(0, 1)[:, None],
    )
    rows = out.transpose(1, 2).unflatten(0, (batch, -1)).flatten(1, 2)
    return rows[:, :length].transpose(1, 2)


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
