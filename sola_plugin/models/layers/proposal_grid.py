"""The grid of proposals of a boundary-matching map, and fixed interpolation weights of its cells.

Cell ``(d, s)`` of a map ``(D, T)`` is the proposal of ``d + 1`` cells that starts with cell ``s``.
It is valid when it ends inside the video, ``s + d < T``. Wherever a function takes or gives one row
for every valid cell, the rows are ordered by duration, then by start: the order of
:func:`valid_cells`.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array


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
