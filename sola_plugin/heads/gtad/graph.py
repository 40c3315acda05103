"""Graph layers of G-TAD: snippets are nodes, neighbours in time and feature space are joined."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

#: More than the rounding error of a position, less than the distance between two different ones.
_ROUNDING = 1e-6


def nearest_neighbors(x: Tensor, k: int) -> Tensor:
    """The k snippets with the nearest features (Euclidean distance), the snippet itself among them.

    Args:
        x: Features ``(N, C, T)``.
        k: Number of neighbours, at most T.

    Returns:
        Int64 ``(N, T, k)``, nearest first.

    Raises:
        ValueError: There are fewer snippets than neighbours.
    """
    if x.shape[2] < k:
        raise ValueError(
            f'expected at least k={k} snippets, got features {tuple(x.shape)}: use fewer neighbours'
        )
    x = x.detach()
    # |x_i - x_j|^2 without |x_i|^2, which does not change the order of the j.
    distance = x.square().sum(1)[:, None] - 2 * x.transpose(1, 2) @ x
    return distance.topk(k, dim=2, largest=False).indices


def gather_snippets(x: Tensor, index: Tensor) -> Tensor:
    """Features of other snippets of the same video.

    Args:
        x: Features ``(N, C, T)``.
        index: Int64 ``(N, T, k)``.

    Returns:
        ``(N, C, T, k)``.
    """
    flat = index.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return x.gather(2, flat).unflatten(2, index.shape[1:])


class GCNeXt(nn.Module):
    """Graph block of G-TAD (https://arxiv.org/abs/1911.11462, section 3.3).

    In a picture::

        x ─┬─ temporal edges: 1 ─ 3 (grouped) ─ 1 ──────────────────────────┐
           ├─ semantic edges: (neighbour, x) ─ 1 ─ 1 (grouped) ─ 1 ─ max ───(+)─ ReLU
           └────────────────────────────────────────────────────────────────┘

    The semantic edges lead to the nearest snippets in feature space and change with the features.
    The grouped convolutions are the paths of ResNeXt. State-dict keys are the authors'.

    Args:
        channels: Channels C of input and output.
        num_neighbors: Semantic edges of a snippet, one of them to itself.
        groups: Number of paths (cardinality).
        group_width: Channels of a path.
    """

    def __init__(
        self, channels: int, num_neighbors: int = 3, groups: int = 32, group_width: int = 4
    ) -> None:
        super().__init__()
        self.num_neighbors = num_neighbors
        width = groups * group_width
        self.tconvs = nn.Sequential(
            nn.Conv1d(channels, width, 1),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, width, 3, padding=1, groups=groups),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, channels, 1),
        )
        self.sconvs = nn.Sequential(
            nn.Conv2d(2 * channels, width, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1, groups=groups),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, channels, 1),
        )

    def forward(self, x: Tensor, nearest: Tensor | None = None) -> Tensor:
        """Pass messages along the edges.

        Args:
            x: ``(N, C, T)``.
            nearest: Its :func:`nearest_neighbors`, if they are known already.

        Returns:
            ``(N, C, T)``, not negative.
        """
        if nearest is None:
            nearest = nearest_neighbors(x, self.num_neighbors)
        neighbors = gather_snippets(x, nearest)
        edges = torch.cat([neighbors, x[..., None].expand_as(neighbors)], dim=1)
        return (x + self.tconvs(x) + self.sconvs(edges).max(3).values).relu()


def sgalign_positions(
    first: np.ndarray, last: np.ndarray, size: int, num_samples: int
) -> np.ndarray:
    """Where SGAlign (section 3.4) samples a sub-graph's features, as the authors' CUDA operator.

    The interval is cut into bins of equal width, and a sample is the mean of points evenly spaced
    in its bin, about one a position. A point less than one position outside the features takes the
    edge value, one further out is zero.

    Args:
        first: ``(V,)``, start of each interval in units of positions; position ``t`` is snippet
            ``t``.
        last: ``(V,)``, its end.
        size: Number of temporal positions T.
        num_samples: Samples N of an interval.

    Returns:
        Positions ``(V, N, P)`` for :func:`~.sampling.interpolation_weights`, where P is the
        number of points in the widest bin and NaN fills the others up.

    Example:
        >>> sgalign_positions(np.array([0.]), np.array([2.]), size=3, num_samples=2).tolist()
        [[[0.5], [1.5]]]
    """
    length = np.maximum(last - first, 1.0)[:, None, None]
    points = np.ceil(length / num_samples)
    point = np.arange(points.max())
    bins = np.arange(num_samples)[:, None]
    positions = first[:, None, None] + (bins + (point + 0.5) / points) * length / num_samples
    # A point exactly on the border is inside; rounding must not move it out.
    outside = (positions < -1 - _ROUNDING) | (positions > size + _ROUNDING)
    # Two positions before the first one, nothing is interpolated.
    positions = np.where(outside, -2.0, positions.clip(0, size - 1))
    return np.where(point < points, positions, np.nan)
