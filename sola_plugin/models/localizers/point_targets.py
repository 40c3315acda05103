"""What the points of a pyramid should predict (ActionFormer, https://arxiv.org/abs/2202.07925,
3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..layers.points import Points

#: Actions whose lengths differ by less, in cells, are equally short.
_SAME_LENGTH = 1e-3


def point_targets(
    points: Points, segments: Tensor, labels: Tensor, num_classes: int, radius: float | None = 1.5
) -> tuple[Tensor, Tensor]:
    """Classes and distances of every point, for the actions of one video.

    A point belongs to an action when it lies inside it, within ``radius`` strides of its centre,
    and when its distance to the farther boundary is in the range of its level. Of several actions
    the shortest counts; when several are equally short, the point gets the classes of all.

    Args:
        points: P points.
        segments: Start and end of the actions ``(G, 2)``, in cells.
        labels: Classes of the actions, int64 ``(G,)``.
        num_classes: K.
        radius: In strides of the level; ``None``: every point inside an action.

    Returns:
        Float targets ``(P, K)``, 0 or 1, all 0 at a point of the background; distances ``(P, 2)``
        to start and end in strides of the level, 0 at a point of the background.
    """
    position = points.position[:, None]
    segments = segments.to(position)
    classes = position.new_zeros(len(position), num_classes)
    if not len(segments):
        return classes, position.new_zeros(len(position), 2)
    start, end = segments.unbind(1)
    distances = torch.stack([position - start, end - position], dim=2)
    farther = distances.amax(2)
    candidate = (
        (_distance_inside(points, start, end, radius) > 0)
        & (farther >= points.low[:, None])
        & (farther <= points.high[:, None])
    )
    lengths = (end - start).expand_as(farther).masked_fill(~candidate, torch.inf)
    shortest, chosen = lengths.min(1)
    positive = shortest.isfinite()
    counts = candidate & (lengths <= shortest[:, None] + _SAME_LENGTH)
    one_hot = torch.nn.functional.one_hot(labels.to(position.device), num_classes).to(position)
    classes = (counts.to(position) @ one_hot).clamp(max=1)
    distances = distances[torch.arange(len(position), device=position.device), chosen]
    return classes, distances / points.stride[:, None] * positive[:, None]


def _distance_inside(points: Points, start: Tensor, end: Tensor, radius: float | None) -> Tensor:
    """How far inside the action, or the part of it around its centre, a point lies: ``(P, G)``."""
    position = points.position[:, None]
    if radius is not None:
        centre, reach = (start + end) / 2, radius * points.stride[:, None]
        start, end = torch.maximum(start, centre - reach), torch.minimum(end, centre + reach)
    return torch.minimum(position - start, end - position)
