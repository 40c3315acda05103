"""Temporal intersection over union, and the lists of tIoU thresholds that benchmarks use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# linspace and not decimals: the official evaluators compare with 0.8999999999999999, not with 0.9.
ACTIVITYNET: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
THUMOS14: tuple[float, ...] = tuple(np.linspace(0.3, 0.7, 5).tolist())
#: The HACS challenge takes ActivityNet's metric as it is (hacs.csail.mit.edu/challenge2019.html).
HACS: tuple[float, ...] = ACTIVITYNET

_PRESETS = {'activitynet': ACTIVITYNET, 'hacs': HACS, 'thumos14': THUMOS14}


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
    intersection = np.maximum(overlap, 0.0)
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
        thresholds: Numbers in ``(0, 1]``, or a text: a benchmark, ``'activitynet'`` and ``'hacs'``
            (0.5:0.05:0.95) or ``'thumos14'`` (0.3:0.1:0.7); numbers with commas, ``'0.5,0.75'``;
            first, last and how many, ``'0.3:0.7:5'``; or start, step and stop, ``'0.3:0.1:0.7'``.
            No threshold exceeds 1, so a third number above 1 is a count.

    Returns:
        float64 array ``(n_tiou,)``.

    Raises:
        ValueError: The text is none of these, the list is empty, or a number lies outside of ``(0,
            1]``.

    Example:
        >>> resolve_thresholds('0.3:0.7:3').tolist()
        [0.3, 0.5, 0.7]
        >>> resolve_thresholds('0.5:0.05:0.95').tolist() == list(ACTIVITYNET)
        True
    """
    values = np.asarray(
        _parse(thresholds) if isinstance(thresholds, str) else thresholds, dtype=np.float64
    )
    if values.ndim != 1 or not values.size or not np.all((values > 0) & (values <= 1)):
        raise ValueError(
            f'tIoU thresholds must be a non-empty list of numbers in (0, 1], got {thresholds!r}'
        )
    return values


def _parse(text: str) -> Sequence[float] | np.ndarray:
    if text.lower() in _PRESETS:
        return _PRESETS[text.lower()]
    try:
        if ':' not in text:
            return [float(number) for number in text.split(',')]
        first, second, third = map(float, text.split(':'))
        if third > 1:
            start, stop, count = first, second, third
        else:  # linspace again: only its floats are those of the official evaluators
            start, stop, count = first, third, (third - first) / second + 1
        if start >= stop or round(count) < 2 or abs(count - round(count)) > 1e-6:
            raise ValueError
        return np.linspace(start, stop, round(count))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(
            f'tIoU thresholds {text!r}: expected one of {sorted(_PRESETS)}, numbers with commas '
            '(0.5,0.75), first:last:count (0.3:0.7:5) or start:step:stop (0.3:0.1:0.7)'
        ) from None


def threshold_name(threshold: float) -> str:
    """Return the short decimal form of a threshold: ``0.8999999999999999`` is ``'0.9'``."""
    return f'{threshold:g}'


def by_threshold(thresholds: np.ndarray, values: np.ndarray) -> dict:
    """Put a figure at every threshold in the form of the JSON files.

    Args:
        thresholds: ``(n_tiou,)``.
        values: ``(n_tiou,)``.

    Returns:
        ``{'average': mean, 'per_tiou': {'0.5': x, ...}}``.
    """
    return {
        'average': float(np.mean(values)),
        'per_tiou': dict(zip(map(threshold_name, thresholds), np.asarray(values).tolist())),
    }
