"""Similarity matching as pure functions, at least in float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Similarities are kept this far from 0 and 1, as in the authors' code.
_MARGIN = 1e-5


def interval_target(length: int, k: float) -> Tensor:
    """Target similarity of every pair of positions.

    1 on the diagonal, ``sigmoid(k / |i - j|^2)`` elsewhere: near 1 for neighbours, towards 0.5,
    which is cosine 0, for far pairs.

    Args:
        length: Number of positions L.
        k: Decay K > 0; the larger, the longer neighbours stay similar.

    Returns:
        Float tensor ``(L, L)`` in ``(0.5, 1]``.

    Raises:
        ValueError: ``length`` or ``k`` is not positive.

    Example:
        >>> interval_target(3, 1.0)
        tensor([[1.0000, 0.7311, 0.5622],
                [0.7311, 1.0000, 0.7311],
                [0.5622, 0.7311, 1.0000]])
    """
    if length < 1 or k <= 0:
        raise ValueError(f'expected length >= 1 and k > 0, got length={length}, k={k}')
    position = torch.arange(length, dtype=torch.get_default_dtype())
    interval = (position[:, None] - position).square()
    # k / 0 is infinite, and its sigmoid is the 1 of the diagonal.
    return torch.sigmoid(k / interval)


def temporal_similarity(z: Tensor, p: Tensor) -> Tensor:
    """Rescaled cosine of every pair of positions, kept off 0 and 1 by 1e-5.

    Args:
        z: ``(B, L, C)``; its positions are the rows of the result.
        p: ``(B, L, C)``; its positions are the columns.

    Returns:
        TSM ``(B, L, L)`` with ``tsm[b, i, j] = (1 + cos(z[b, i], p[b, j])) / 2``, in float32 or
        wider. An entry at the limit passes no gradient.

    Raises:
        ValueError: The shapes differ or are not ``(B, L, C)``.
    """
    if z.dim() != 3 or z.shape != p.shape:
        raise ValueError(
            f'expected two tensors (B, L, C), got {tuple(z.shape)} and {tuple(p.shape)}'
        )
    # 1 - 1e-5 is 1 in half precision, where the logarithm of the loss would be infinite.
    with torch.autocast(z.device.type, enabled=False):
        z, p = (F.normalize(at_least_float32(v), dim=2) for v in (z, p))
        return ((1 + z @ p.transpose(1, 2)) / 2).clamp(_MARGIN, 1 - _MARGIN)


def similarity_matching_loss(tsm: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross entropy between a TSM and its target.

    Args:
        tsm: ``(B, L, L)`` in ``(0, 1)``.
        target: ``(L, L)`` in ``[0, 1]``.

    Returns:
        Scalar; NaN if an entry is.

    Raises:
        ValueError: The last two dimensions differ.
    """
    if tsm.shape[-2:] != target.shape:
        raise ValueError(
            f'expected a target {tuple(tsm.shape[-2:])} like the TSM, got {tuple(target.shape)}'
        )
    with torch.autocast(tsm.device.type, enabled=False):
        tsm = at_least_float32(tsm)
        # NaN would be an error that names no cause, on a GPU one that ends the process.
        loss = F.binary_cross_entropy(tsm.nan_to_num(0.5), target.to(tsm).expand_as(tsm))
        return loss + 0 * tsm.sum()


def at_least_float32(x: Tensor) -> Tensor:
    """Widen half precision; float32 and float64 stay as they are.

    >>> at_least_float32(torch.zeros(1, dtype=torch.float16)).dtype
    torch.float32
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
