"""Points of the pyramid: where they lie, what they are trained on, the head that reads them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .attention import NORM_EPS, ConvNormReLU, MaskedConv1d
from .layout import uses_rows
from .padding import Padding


class Points(NamedTuple):
    """Points of all levels, finest level first; float tensors ``(P,)``.

    Attributes:
        position: Position in cells; cell ``i`` of the features is ``[i, i + 1]``.
        stride: Cells between two points of the level.
        low: Smallest distance, in cells, to the farther boundary of an action that the level
            regresses.
        high: Largest such distance.
    """

    position: Tensor
    stride: Tensor
    low: Tensor
    high: Tensor


def regression_ranges(num_levels: int, finest: float = 4.0) -> list[tuple[float, float]]:
    """Ranges of distances that the levels regress: doubling, and the last one without end.

    Args:
        num_levels: Number of levels.
        finest: End of the first range, in cells.

    Returns:
        ``(low, high)`` of every level.

    Example:
        >>> regression_ranges(4)
        [(0.0, 4.0), (4.0, 8.0), (8.0, 16.0), (16.0, inf)]
    """
    ends = [0.0, *(finest * 2**level for level in range(num_levels - 1)), math.inf]
    return list(zip(ends, ends[1:]))


def pyramid_points(
    lengths: Sequence[int],
    ranges: Sequence[tuple[float, float]],
    device: torch.device | str | None = None,
) -> Points:
    """Points of a pyramid whose level ``l`` has every ``2**l``-th snippet.

    Args:
        lengths: Number of points of every level.
        ranges: See :func:`regression_ranges`.
        device: Where the tensors go.

    Returns:
        The points; that of snippet ``i`` lies in the middle of its cell, at ``i + 0.5``.

    Raises:
        ValueError: There are not as many ranges as levels.
    """
    if len(lengths) != len(ranges):
        raise ValueError(
            f'expected a regression range for each of the {len(lengths)} levels, got {list(ranges)}'
        )
    if torch.onnx.is_in_onnx_export():  # where lengths are tensors
        return _make_points(lengths, ranges, device)
    return _kept_points(tuple(lengths), tuple(ranges), torch.device(device or 'cpu'))


def _make_points(
    lengths: Sequence[int],
    ranges: Sequence[tuple[float, float]],
    device: torch.device | str | None,
) -> Points:
    levels = [
        (
            torch.arange(length, dtype=torch.float32) * 2**level + 0.5,
            *(torch.full((length,), float(value)) for value in (2**level, low, high)),
        )
        for level, (length, (low, high)) in enumerate(zip(lengths, ranges))
    ]
    return Points(*(torch.cat(parts).to(device) for parts in zip(*levels)))


@functools.lru_cache(maxsize=64)
def _kept_points(
    lengths: tuple[int, ...], ranges: tuple[tuple[float, float], ...], device: torch.device
) -> Points:
    """Points that are made once: a GPU would wait for them."""
    with torch.inference_mode(False):  # they may be used in training later
        return _make_points(lengths, ranges, device)


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
        centre, half = (start + end) / 2, radius * points.stride[:, None]
        start, end = torch.maximum(start, centre - half), torch.minimum(end, centre + half)
    return torch.minimum(position - start, end - position)


class PointHead(nn.Module):
    """Some outputs at every point of a pyramid.

    Args:
        in_channels: Channels of the levels.
        channels: Channels inside the head.
        out_channels: Outputs K of a point.
        num_convs: Convolutions before the last one.
        bias: First value of the last bias.
        norm_eps: Added to the variance in the layer norms.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        out_channels: int,
        num_convs: int = 2,
        bias: float = 0.0,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            ConvNormReLU(channels if index else in_channels, channels, norm_eps=norm_eps)
            for index in range(num_convs)
        )
        self.last = MaskedConv1d(channels if num_convs else in_channels, out_channels, 3)
        assert self.last.bias is not None
        nn.init.constant_(self.last.bias, bias)

    def forward(
        self, levels: Sequence[tuple[Tensor, Tensor | None]], padding: Padding | None = None
    ) -> Tensor:
        """Apply the head.

        Args:
            levels: For every level features ``(N, C, T_l)`` and their mask ``(N, T_l)``, which is
                ``None`` where all positions are real.
            padding: What is read of the padding, on level 0.

        Returns:
            ``(N, P, K)``, the points of all levels one after the other.
        """
        outputs = []
        for level, (x, mask) in enumerate(levels):
            read = None if padding is None else padding.every(2**level)
            for conv in self.convs:
                x = conv(x, mask, read)
            outputs.append(self.last(x, mask, read)[0])
        return torch.cat(outputs, dim=2).transpose(1, 2)


def points_of_heads(
    heads: Sequence[PointHead],
    levels: Sequence[tuple[Tensor, Tensor | None]],
    padding: Padding | None = None,
) -> list[Tensor]:
    """Outputs of heads that read the same pyramid.

    By rows, the levels are one sequence, with a position between them that reads as padding.

    Args:
        heads: The heads.
        levels: See :meth:`PointHead.forward`.
        padding: See there.

    Returns:
        Of every head ``(N, P, K)``.
    """
    if not uses_rows(levels[0][0]):
        return [head(levels, padding) for head in heads]
    first, first_mask = levels[0]
    features = with_gaps(
        [x.transpose(1, 2) for x, _ in levels], first.new_zeros(len(first), 1, first.shape[1])
    )
    if first_mask is None:
        real = _without_padding(tuple(x.shape[2] for x, _ in levels), first.device)
    else:
        no = first_mask.new_zeros(len(first), 1)
        real = with_gaps([mask for _, mask in levels if mask is not None], no)
        if padding is not None:
            inside = [padding.every(2**level).inside for level in range(len(levels))]
            padding = dataclasses.replace(padding, inside=with_gaps(inside, no))
    joined = [(features.transpose(1, 2), real)]
    sizes = [x.shape[2] for x, _ in levels]

    def without_gaps(out: Tensor) -> Tensor:
        parts = out.split([size + 1 for size in sizes], dim=1)
        return torch.cat([part[:, :-1] for part in parts], dim=1)

    return [without_gaps(head(joined, padding)) for head in heads]


def with_gaps(parts: Sequence[Tensor], gap: Tensor) -> Tensor:
    """Join parts along the second dimension, with a gap behind each."""
    return torch.cat([each for part in parts for each in (part, gap)], dim=1)


@functools.lru_cache(maxsize=64)
def _without_padding(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Mask ``(1, P + levels)`` of joined levels, false in the gaps."""
    with torch.inference_mode(False):
        no = torch.zeros(1, 1, dtype=torch.bool, device=device)
        return with_gaps([no.new_ones(1, size) for size in sizes], no)
