"""The points of a pyramid: where on the time axis they are, and which actions they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


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
    levels = [
        (
            torch.arange(length, dtype=torch.float32) * 2**level + 0.5,
            *(torch.full((length,), float(value)) for value in (2**level, low, high)),
        )
        for level, (length, (low, high)) in enumerate(zip(lengths, ranges))
    ]
    return Points(*(torch.cat(parts).to(device) for parts in zip(*levels)))
