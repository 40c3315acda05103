"""The grid of proposals, and convolutions over their samples without a sampled map."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import csr_array, hstack
from torch import Tensor, nn

from .fixed_matrix import FixedMatrix, Plan


def valid_cells(size: int, max_duration: int) -> tuple[np.ndarray, np.ndarray]:
    """Durations and starts of the valid cells.

    Args:
        size: Number of temporal positions T.
        max_duration: Rows D of the map, in ``[1, T]``.

    Returns:
        Two int arrays ``(V,)``: ``d`` in ``[0, D)`` and ``s`` in ``[0, T)``; ``V = T(T+1)/2`` if D
        = T.

    Raises:
        ValueError: ``max_duration`` is not in ``[1, T]``.

    Example:
        >>> duration, start = valid_cells(3, 2)
        >>> duration.tolist(), start.tolist()
        ([0, 0, 0, 1, 1], [0, 1, 2, 0, 1])
    """
    if not 1 <= max_duration <= size:
        raise ValueError(f'max_duration={max_duration} must be between 1 and temporal_dim={size}')
    duration, start = np.ogrid[:max_duration, :size]
    durations, starts = np.nonzero(duration + start < size)
    return durations, starts


def interpolation_weights(positions: np.ndarray, size: int) -> csr_array:
    """Weights of linear interpolation at fixed positions.

    A point at ``t + f`` has weight ``1 - f`` on position ``t`` and ``f`` on ``t + 1``; what falls
    on positions outside ``[0, T)`` is lost, so features fade to zero over one position beyond each
    edge. A caller that wants the edge value there clips its positions. A sample is the mean of its
    points.

    Args:
        positions: ``(V, N, P)`` float64, in units of positions, ``0`` is the first: N samples of
            every cell, P points for every sample. NaN stands for no point, where samples have
            different numbers of them.
        size: Number of temporal positions T.

    Returns:
        Sparse ``(V, T * N)`` float32; column ``t * N + n`` is the weight of position ``t`` in
        sample ``n``.

    Example:
        >>> interpolation_weights(np.array([[[0.25], [1.0]]]), size=2).toarray()
        array([[0.75, 0.  , 0.25, 1.  ]], dtype=float32)
    """
    cells, samples, _ = positions.shape
    points = np.isfinite(positions).sum(2, keepdims=True)
    before = np.floor(positions)
    fraction = positions - before
    frames = np.stack([before, before + 1], axis=-1)
    weights = np.stack([1 - fraction, fraction], axis=-1) / points[..., None]
    columns = frames * samples + np.arange(samples)[:, None, None]
    inside = (frames >= 0) & (frames < size) & (weights > 0)
    row_ends = np.count_nonzero(inside, axis=(1, 2, 3)).cumsum()
    row_offsets = np.append(0, row_ends).astype(np.int32)
    matrix = csr_array(
        (weights[inside], columns[inside].astype(np.int32), row_offsets),
        shape=(cells, size * samples),
    )
    matrix.sum_duplicates()
    return matrix.astype(np.float32)


def bmn_positions(
    duration: np.ndarray,
    start: np.ndarray,
    num_samples: int,
    num_samples_per_bin: int,
    boundary_ratio: float,
) -> np.ndarray:
    """Where BMN (https://arxiv.org/abs/1907.09702) samples the features of a proposal.

    The points are evenly spaced over the proposal, extended on both sides by ``boundary_ratio`` of
    its length. As in mmaction2, positions are truncated towards zero: a point in ``(-1, 0)`` reads
    position 0 with full weight, while one in ``(T - 1, T)`` fades out.

    Args:
        duration: ``(V,)``, see :func:`valid_cells`.
        start: ``(V,)``.
        num_samples: Samples N of a proposal.
        num_samples_per_bin: Points P that are averaged for one sample.
        boundary_ratio: Extension on each side, as a fraction of the proposal.

    Returns:
        Positions ``(V, N, P)`` for :func:`interpolation_weights`.

    Raises:
        ValueError: There are less than two points.
    """
    points = num_samples * num_samples_per_bin
    if points < 2:
        raise ValueError(
            f'num_samples={num_samples} times num_samples_per_bin={num_samples_per_bin} must be '
            'at least 2: one point cannot span a proposal'
        )
    margin = (duration + 1.0) * boundary_ratio
    first, last = start - margin, start + duration + margin
    step = (last - first) / (points - 1.0)
    positions = first[:, None] + step[:, None] * np.arange(points)
    positions[(positions > -1) & (positions < 0)] = 0
    return positions.reshape(-1, num_samples, num_samples_per_bin)


def project(x: Tensor, weight: Tensor) -> Tensor:
    """Apply the kernel of every sample to every position.

    Args:
        x: ``(B, C, T)``.
        weight: ``(H, C, N)``.

    Returns:
        Tensor ``(B, T * N, H)``.
    """
    out, channels, samples = weight.shape
    kernel = weight.reshape(out, -1).t().reshape(channels, samples * out)
    return (x.transpose(1, 2) @ kernel).view(len(x), -1, out)


class FoldedSampling(nn.Module):
    r"""Convolution over the samples of every proposal of a ``(D, T)`` map.

    Naively, N samples of every proposal are interpolated from the features, a sampled map ``(C, N,
    D, T)``, and a convolution takes each proposal's samples to H channels. Both are linear, so they
    can be exchanged::

        x (C, T) ─ project x^T W ─▶ (T * N, H) ─ combine A ─▶ (V + 1, H)
                                              ─ + bias, ReLU, 1x1 ─▶ (V + 1, K)

    ``W (C, N * H)`` is the kernel of the convolution, ``A (V, T * N)`` are the sparse interpolation
    weights of the V valid cells, see :func:`~.sampling.interpolation_weights`. The work goes
    by chunks of the H channels, which enter the following 1x1 convolution at once. Autograd keeps
    x, the weights and the activations after the ReLU. The product with A and the size of the chunks
    are chosen by the device, see :meth:`.FixedMatrix.plan`; all choices are equal up to rounding.

    The row V of the result is the value of every cell outside the video; :meth:`to_map` puts it
    there. Its samples are all zero, unless the weights have a row for them.

    Several feature sequences may be sampled, each at its own positions (the features and the graph
    context of G-TAD): the results are summed before the bias.

    Args:
        weights: Sparse interpolation weights ``(V, T * N_i)`` or ``(V + 1, T * N_i)`` of each
            source.
        temporal_dim: T.
        max_duration: D.
        chunk: Channels H that are worked on at a time on a CPU.

    Attributes:
        plan: How to compute, whatever the device.

    Raises:
        ValueError: The weights have not one row for every valid cell (and one for the others).

    Example:
        >>> from sola_plugin.heads.shared.sampling import interpolation_weights, valid_cells
        >>> duration, start = valid_cells(size=10, max_duration=4)
        >>> middle = (start + duration / 2)[:, None, None]  # one sample, one point
        >>> weights = interpolation_weights(middle, 10)
        >>> sampling = FoldedSampling([weights], temporal_dim=10, max_duration=4)
        >>> x, weight, bias = torch.randn(2, 8, 10), torch.randn(16, 8, 1), torch.zeros(16)
        >>> rows = sampling([x], [weight], bias)
        >>> rows.shape, sampling.to_map(rows).shape
        (torch.Size([2, 35, 16]), torch.Size([2, 16, 4, 10]))
    """

    cell_rows: Tensor

    def __init__(
        self, weights: Sequence[csr_array], temporal_dim: int, max_duration: int, chunk: int = 64
    ) -> None:
        super().__init__()
        duration, start = valid_cells(temporal_dim, max_duration)
        number = len(duration)
        rows = {matrix.shape[0] for matrix in weights}
        if rows not in ({number}, {number + 1}):
            raise ValueError(
                f'the weights have {sorted(rows)} rows, expected one for each of the {number} '
                'valid cells (and at most one for all others): see valid_cells'
            )
        matrix = hstack(weights, format='csr')
        matrix.resize(number + 1, matrix.shape[1])
        self.combine = FixedMatrix(matrix)
        cell_rows = np.full((max_duration, temporal_dim), number)
        cell_rows[duration, start] = np.arange(number)
        self.register_buffer('cell_rows', torch.from_numpy(cell_rows), persistent=False)
        self.chunk = chunk
        self.plan: Plan | None = None

    def forward(
        self,
        sources: Sequence[Tensor],
        weights: Sequence[Tensor],
        bias: Tensor,
        pointwise: Tensor | None = None,
    ) -> Tensor:
        """Sample, convolve, ReLU, and (if given) the 1x1 convolution that follows.

        Args:
            sources: Features ``(B, C_i, T)``.
            weights: Kernel ``(H, C_i, N_i)`` for each of them.
            bias: ``(H,)``.
            pointwise: Kernel ``(K, H)`` of the 1x1 convolution, whose bias is left to the caller.

        Returns:
            ``(B, V + 1, K)``, or ``(B, V + 1, H)`` without ``pointwise``.
        """
        product, size = self.plan or self.combine.plan(sources[0], len(bias), self.chunk)
        if torch.onnx.is_in_onnx_export():
            size = len(bias)  # a file would hold the matrix once for every chunk
        kernels = zip(*(weight.split(size) for weight in weights))
        chunks = (
            self._active(product, sources, *chunk) for chunk in zip(kernels, bias.split(size))
        )
        if pointwise is None:
            return torch.cat(list(chunks), dim=2)
        parts = pointwise.split(size, dim=1)
        return functools.reduce(
            torch.add, (active @ part.t() for active, part in zip(chunks, parts))
        )

    def _active(
        self, product: str, sources: Sequence[Tensor], kernels: Sequence[Tensor], bias: Tensor
    ) -> Tensor:
        """Activations ``(B, V + 1, chunk)`` of one chunk of channels."""
        tables = [project(x, kernel) for x, kernel in zip(sources, kernels)]
        table = torch.cat(tables, dim=1) if len(tables) > 1 else tables[0]
        return self.combine(table, product).add_(bias).relu_()

    def to_map(self, rows: Tensor) -> Tensor:
        """Lay the rows out as a map; cells outside the video get the last row.

        Args:
            rows: ``(B, V + 1, K)``.

        Returns:
            Tensor ``(B, K, D, T)``, channels last in memory.
        """
        cells = rows.index_select(1, self.cell_rows.flatten())
        return cells.view(len(rows), *self.cell_rows.shape, -1).permute(0, 3, 1, 2)
