"""Segments in time, their overlap, the snippets inside: NumPy only, the base of the rest."""

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
    """The tIoU of segments that lie side by side in two arrays.

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
    """The tIoU of every segment of one array with every segment of another.

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


#: Snippets that are summed at once.
_BLOCK = 1024


def snippet_centers(feature_span: tuple[float, float], num_snippets: int) -> np.ndarray:
    """Return the centres of equally long snippets.

    Args:
        feature_span: ``(start, end)`` in seconds that all snippets together cover.
        num_snippets: ``T``, at least 1.

    Returns:
        float64 ``(T,)`` in seconds, ascending.

    Raises:
        ValueError: The span has no length or there are no snippets.
    """
    start, end = feature_span
    if not (np.isfinite(start) and np.isfinite(end) and start < end):
        raise ValueError(f'feature_span must be (start, end) with start < end, got {feature_span}')
    if num_snippets < 1:
        raise ValueError(f'expected at least one snippet, got {num_snippets}')
    return start + (np.arange(num_snippets) + 0.5) * ((end - start) / num_snippets)


def snippet_labels(
    segments: Sequence[Sequence[float]] | np.ndarray,
    feature_span: tuple[float, float],
    num_snippets: int,
) -> np.ndarray:
    """Tell foreground from background: a snippet whose centre lies in a segment is foreground.

    Args:
        segments: Annotated segments ``(n, 2)`` in seconds; may be empty.
        feature_span: ``(start, end)`` in seconds that all snippets together cover.
        num_snippets: ``T``.

    Returns:
        bool ``(T,)``, True for foreground.

    Example:
        >>> snippet_labels([[1.5, 3.5]], (0, 5), 5).tolist()
        [False, True, True, True, False]
    """
    centers = snippet_centers(feature_span, num_snippets)[:, None]
    segments = np.asarray(segments, dtype=np.float64).reshape(-1, 2)
    inside = (centers >= segments[:, 0]) & (centers <= segments[:, 1])
    return np.any(inside, axis=1)


def segment_means(
    features: np.ndarray,
    feature_span: tuple[float, float],
    segments: Sequence[Sequence[float]] | np.ndarray,
) -> np.ndarray:
    """Average the snippets inside of each segment.

    Inside are the snippets whose centre lies in the segment. A segment without any takes the
    snippet nearest to its own centre.

    Args:
        features: ``(C, T)``; an array, or what has ``shape`` and slices ``[:, start:stop]`` as an
            array: of a long video, some snippets are read at a time.
        feature_span: ``(start, end)`` in seconds that the snippets cover.
        segments: ``(n, 2)`` in seconds, ``start <= end``.

    Returns:
        float64 ``(n, C)``.

    Raises:
        ValueError: ``features`` is not two-dimensional.
    """
    if len(features.shape) != 2:
        raise ValueError(f'features must have shape (C, T), got {features.shape}')
    length = features.shape[1]
    centers = snippet_centers(feature_span, length)
    segments = np.asarray(segments, dtype=np.float64).reshape(-1, 2)
    first = np.searchsorted(centers, segments[:, 0], side='left')
    last = np.searchsorted(centers, segments[:, 1], side='right')

    start, end = feature_span
    middle = (segments.mean(axis=1) - start) / (end - start) * length
    nearest = np.clip(np.floor(middle), 0, length - 1).astype(np.int64)
    empty = first >= last
    first, last = np.where(empty, nearest, first), np.where(empty, nearest + 1, last)

    positions, index = np.unique([first, last], return_inverse=True)
    sums = _sums_before(features, positions)[index.reshape(2, -1)]
    return (sums[1] - sums[0]) / (last - first)[:, None]


def _sums_before(features: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Sums of all snippets before some positions.

    Args:
        features: ``(C, T)``.
        positions: ``(n,)`` in ``[0, T]``.

    Returns:
        float64 ``(n, C)``.
    """
    sums = np.zeros((len(positions), features.shape[0]))
    total = np.zeros((features.shape[0], 1))
    for start in range(0, max(positions, default=0), _BLOCK):
        block = np.asarray(
            features[:, start : min(start + _BLOCK, features.shape[1])], dtype=np.float64
        )
        running = np.cumsum(np.concatenate([total, block], axis=1), axis=1)
        here = (positions >= start) & (positions < start + running.shape[1])
        sums[here] = running[:, positions[here] - start].T
        total = running[:, -1:]
    return sums


#: Class of a snippet outside of all actions.
BACKGROUND = -1


def snippet_classes(
    segments: Sequence[Sequence[float]],
    classes: Sequence[int],
    feature_span: tuple[float, float],
    num_snippets: int,
) -> np.ndarray:
    """Give every snippet the class of the (shortest) action that its centre lies in.

    Args:
        segments: ``(n, 2)`` in seconds.
        classes: Number of the class of each.
        feature_span: ``(start, end)`` in seconds that all snippets together cover.
        num_snippets: T.

    Returns:
        int64 ``(T,)``, :data:`BACKGROUND` outside of all actions.

    Example:
        >>> snippet_classes([[0, 4], [1, 2]], [7, 3], (0, 6), 6).tolist()
        [7, 3, 7, 7, -1, -1]
    """
    labels = np.full(num_snippets, BACKGROUND, dtype=np.int64)
    centers = snippet_centers(feature_span, num_snippets)
    for (start, end), number in sorted(
        zip(segments, classes), key=lambda pair: pair[0][0] - pair[0][1]
    ):
        labels[(centers >= start) & (centers <= end)] = number
    return labels


def fits_duration(num_snippets: int, stride: float, duration: float) -> bool:
    """Whether features are about as long as their video.

    >>> fits_duration(100, 0.5, 52), fits_duration(100, 16, 52)
    (True, False)
    """
    return abs(num_snippets * stride - duration) <= max(2 * stride, 0.05 * duration)
