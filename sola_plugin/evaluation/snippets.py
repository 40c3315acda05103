"""Where snippets lie in time, and what segments say about them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
