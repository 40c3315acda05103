"""From per-video lists of dicts to flat NumPy columns, the form that the evaluators compute in."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: ``{video: [{'segment': [start, end], 'label': str, 'score': float}]}``; times in seconds.
PerVideo = Mapping[str, Sequence[Mapping[str, Any]]]


def column(results: PerVideo, key: str, what: str) -> list:
    """Return ``entry[key]`` of all entries of all videos, in order.

    Args:
        results: Entries by video.
        key: The key to read.
        what: Name of ``results`` in error messages.

    Raises:
        ValueError: An entry lacks the key; the message names its video.
    """
    try:
        return [entry[key] for entries in results.values() for entry in entries]
    except KeyError:
        video = next(v for v, entries in results.items() if any(key not in e for e in entries))
        raise ValueError(f'{what}: an entry of video {video!r} has no {key!r}') from None


def video_column(results: PerVideo) -> list[str]:
    """Return the video id of every entry, in the order of :func:`column`."""
    return [video for video, entries in results.items() for _ in entries]


def segment_column(results: PerVideo, what: str) -> np.ndarray:
    """Return all segments as a float64 array ``(n, 2)`` in seconds.

    Raises:
        ValueError: A segment is not a pair of finite numbers with ``start <= end``.
    """
    values = column(results, 'segment', what)
    if not values:
        return np.zeros((0, 2))
    if any(len(segment) != 2 for segment in values):
        row = next(i for i, segment in enumerate(values) if len(segment) != 2)
        _reject(results, what, row, 'segment', values[row], 'a pair [start, end]')
    segments = np.array(values, dtype=np.float64)
    good = np.isfinite(segments).all(axis=1) & (segments[:, 0] <= segments[:, 1])
    if not good.all():
        row = int(np.argmin(good))
        _reject(results, what, row, 'segment', values[row], 'finite seconds with start <= end')
    return segments


def score_column(results: PerVideo, what: str) -> np.ndarray:
    """Return all scores as a float64 array ``(n,)``.

    Raises:
        ValueError: A score is not finite.
    """
    scores = np.array(column(results, 'score', what), dtype=np.float64)
    good = np.isfinite(scores)
    if not good.all():
        row = int(np.argmin(good))
        _reject(results, what, row, 'score', scores[row], 'a finite number')
    return scores


def _reject(results: PerVideo, what: str, row: int, key: str, value: Any, expected: str) -> None:
    video = video_column(results)[row]
    raise ValueError(f'{what}: {key} {value!r} of video {video!r} is not {expected}')


def descending_order(scores: np.ndarray) -> np.ndarray:
    """Return the row order of falling score ``(n,)``; of equal scores the later row comes first.

    The official evaluators write ``argsort()[::-1]`` with an unstable sort, which leaves ties to
    the NumPy build. This is what that expression gives when the sort is stable.
    """
    return np.argsort(scores, kind='stable')[::-1]


def equal_pairs(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find all pairs of rows with equal keys (an inner join).

    Args:
        left: Integer keys ``(n,)``.
        right: Integer keys ``(m,)``.

    Returns:
        Row numbers ``i`` of ``left`` and ``j`` of ``right``, both ``(n_pairs,)``, sorted by ``i``
        and then by ``j``, with ``left[i] == right[j]``.

    Example:
        >>> i, j = equal_pairs(np.array([7, 5]), np.array([5, 7, 7]))
        >>> i.tolist(), j.tolist()
        ([0, 0, 1], [1, 2, 0])
    """
    order = np.argsort(right, kind='stable')
    first = np.searchsorted(right[order], left, side='left')
    count = np.searchsorted(right[order], left, side='right') - first
    position = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(np.arange(len(left)), count), order[np.repeat(first, count) + position]
