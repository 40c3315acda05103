"""Temporal intersection over union, and the lists of tIoU thresholds that benchmarks use."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# linspace and not decimals: the official evaluators compare with 0.8999999999999999, not with 0.9.
ACTIVITYNET: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
THUMOS14: tuple[float, ...] = tuple(np.linspace(0.3, 0.7, 5).tolist())

_PRESETS = {'activitynet': ACTIVITYNET, 'thumos14': THUMOS14}


def aligned_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """tIoU of segments that lie side by side in two arrays.

    Args:
        a: Segments ``[start, end]``, shape ``(..., 2)``, any unit.
        b: Segments in the same unit; the leading dimensions broadcast against those of ``a``.

    Returns:
        float64 array of the broadcast leading shape, in ``[0, 1]``. Two segments of length zero
        have tIoU 0, wherever they lie.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    overlap = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    intersection = np.maximum(overlap, 0.)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def segment_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """tIoU of every segment of one array with every segment of another.

    Args:
        a: Segments ``[start, end]``, shape ``(n, 2)``, any unit.
        b: Segments ``[start, end]`` in the same unit, shape ``(m, 2)``.

    Returns:
        float64 array ``(n, m)`` in ``[0, 1]``.

    Raises:
        ValueError: An array has another shape.

    Example:
        >>> segment_iou([[0, 2], [5, 5]], [[1, 3], [0, 2], [5, 5]]).round(2).tolist()
        [[0.33, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    for segments in (a, b):
        if segments.ndim != 2 or segments.shape[1] != 2:
            raise ValueError(f'segments must have shape (n, 2), got {segments.shape}')
    return aligned_iou(a[:, None], b[None])


def resolve_thresholds(thresholds: str | Sequence[float] | np.ndarray) -> np.ndarray:
    """Return tIoU thresholds as an array.

    Args:
        thresholds: ``'activitynet'`` (0.5:0.05:0.95), ``'thumos14'`` (0.3:0.1:0.7), or numbers in
            ``(0, 1]``.

    Returns:
        float64 array ``(n_tiou,)``.

    Raises:
        ValueError: The name is unknown, the list is empty, or a number lies outside of ``(0, 1]``.
    """
    if isinstance(thresholds, str):
        if thresholds.lower() not in _PRESETS:
            raise ValueError(
                f'tIoU thresholds {thresholds!r}: expected one of {sorted(_PRESETS)} or a list of '
                'numbers')
        thresholds = _PRESETS[thresholds.lower()]
    values = np.asarray(thresholds, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.all((values > 0) & (values <= 1)):
        raise ValueError(
            f'tIoU thresholds must be a non-empty list of numbers in (0, 1], got {thresholds!r}')
    return values


def threshold_name(threshold: float) -> str:
    """Return the short decimal form of a threshold: ``0.8999999999999999`` is ``'0.9'``."""
    return f'{threshold:g}'
