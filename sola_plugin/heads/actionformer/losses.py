"""Losses of segments and classes: distance-IoU and focal loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sola_plugin.pretraining.losses import at_least_float32

#: Smallest length divided by.
_EPSILON = 1e-8


def diou_loss(distances: Tensor, targets: Tensor) -> Tensor:
    """Distance-IoU loss of segments that contain a common point.

    ``1 - tIoU + (distance of the centres / length of the hull)^2``.

    Args:
        distances: Distances ``>= 0`` of the predicted start and end from the point, ``(..., 2)``.
        targets: The true distances, in the same unit.

    Returns:
        Loss of every segment ``(...)`` in ``[0, 1.25]``, in float32 or wider.

    Raises:
        ValueError: The shapes differ, or the last dimension is not 2.

    Example:
        >>> loss = diou_loss(torch.tensor([[1., 1.]]), torch.tensor([[1., 3.]]))
        >>> loss.tolist()  # 1 - 2/4 + (1/4)^2
        [0.5625]
    """
    if distances.shape != targets.shape or distances.shape[-1:] != (2,):
        raise ValueError(
            f'expected two tensors (..., 2), got {tuple(distances.shape)} and '
            f'{tuple(targets.shape)}'
        )
    distances = at_least_float32(distances)
    targets = targets.to(distances)
    intersection = torch.minimum(distances, targets).sum(-1)
    union = distances.sum(-1) + targets.sum(-1) - intersection
    hull = torch.maximum(distances, targets).sum(-1)
    centres = (distances[..., 1] - distances[..., 0] - targets[..., 1] + targets[..., 0]) / 2
    tiou = intersection / union.clamp(min=_EPSILON)
    return 1 - tiou + (centres / hull.clamp(min=_EPSILON)).square()


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
