"""Focal loss (Lin et al., https://arxiv.org/abs/1708.02002)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .precision import at_least_float32


def sigmoid_focal_loss(
    logits: Tensor, targets: Tensor, alpha: float | None = 0.25, gamma: float = 2.0
) -> Tensor:
    """Binary cross entropy in which easy entries count little.

    ``-alpha_t (1 - p_t)^gamma log(p_t)`` with ``p_t`` the probability given to the target. Targets
    between 0 and 1 interpolate ``p_t`` and ``alpha_t`` linearly.

    Args:
        logits: Any shape.
        targets: The same shape, in ``[0, 1]``.
        alpha: Weight of the positive entries, ``1 - alpha`` is that of the negative ones. ``None``:
            both weigh 1.
        gamma: Focus; 0 is binary cross entropy.

    Returns:
        Loss of every entry, in float32 or wider.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> import torch
        >>> loss = sigmoid_focal_loss(torch.tensor([0.]), torch.tensor([1.]), alpha=None)
        >>> round(loss.item(), 4)  # (1 - 0.5)^2 log 2
        0.1733
    """
    if logits.shape != targets.shape:
        raise ValueError(
            f'expected targets {tuple(logits.shape)} like the logits, got {tuple(targets.shape)}'
        )
    logits = at_least_float32(logits)
    targets = targets.to(logits)
    probability = logits.sigmoid()
    missed = probability + targets - 2 * probability * targets  # 1 - p_t
    loss = missed**gamma * F.binary_cross_entropy_with_logits(logits, targets, reduction='none')
    return loss if alpha is None else loss * (alpha * targets + (1 - alpha) * (1 - targets))
