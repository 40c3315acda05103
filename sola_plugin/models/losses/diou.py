"""Distance-IoU loss (Zheng et al., https://arxiv.org/abs/1911.08287) in one dimension."""

from __future__ import annotations

import torch
from torch import Tensor

from .precision import at_least_float32

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
