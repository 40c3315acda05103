"""How far snippets are from the boundaries of actions, and how a figure depends on that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sola_plugin.segments import snippet_centers

#: Kinds of boundaries, the sign of the change of the foreground; 0: there is no boundary.
START, END, NO_BOUNDARY = 1, -1, 0
#: Name of each kind in results: background→action and action→background.
KINDS = {'start': START, 'end': END}


class BoundaryDistances(NamedTuple):
    """The nearest boundary of every snippet of a video.

    Attributes:
        distance: float64 ``(T,)`` in seconds, centre of the snippet minus boundary: negative before
            the boundary, positive after it; NaN in a video without boundaries.
        kind: int8 ``(T,)``, ``START``, ``END`` or ``NO_BOUNDARY``.
    """

    distance: np.ndarray
    kind: np.ndarray


class BinnedAccuracy(NamedTuple):
    """Accuracy in bins of the distance.

    Attributes:
        accuracy: float64 ``(B,)``, fractions; NaN in an empty bin.
        num_snippets: int64 ``(B,)``, in each bin.
    """

    accuracy: np.ndarray
    num_snippets: np.ndarray


def merge_segments(segments: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """Unite segments that overlap or touch: the stretches of foreground, whatever their labels.

    Args:
        segments: ``(n, 2)`` in seconds, in any order. Those without length, and reversed ones,
            cover no time and are left out.

    Returns:
        float64 ``(m, 2)``, ascending, with gaps between them.

    Example:
        >>> merge_segments([[4, 6], [1, 2], [2, 3], [5, 5.5]]).tolist()
        [[1.0, 3.0], [4.0, 6.0]]
    """
    segments = np.asarray(segments, dtype=np.float64).reshape(-1, 2)
    segments = segments[segments[:, 0] < segments[:, 1]]
    segments = segments[np.argsort(segments[:, 0], kind='stable')]
    covered_until = np.maximum.accumulate(segments[:, 1])
    after_gap = segments[1:, 0] > covered_until[:-1]
    first = np.append(True, after_gap)[: len(segments)]
    last = np.append(after_gap, True)[: len(segments)]
    return np.stack([segments[first, 0], covered_until[last]], axis=1)


def boundary_distances(
    segments: Sequence[Sequence[float]] | np.ndarray,
    feature_span: tuple[float, float],
    num_snippets: int,
) -> BoundaryDistances:
    """Find the nearest boundary of every snippet.

    A boundary is a moment at which the foreground, the union of all segments, begins
    (background→action) or ends (action→background), with snippets on both of its sides. The edge of
    a segment inside of another segment is none, nor is the start of an action with which the video
    begins. Of two boundaries at the same distance the earlier one counts. Labels of
    :func:`~.segments.snippet_labels` follow from the result: action is ``distance >= 0`` at a start
    and ``distance <= 0`` at an end.

    Args:
        segments: Annotated segments ``(n, 2)`` in seconds; may be empty.
        feature_span: ``(start, end)`` in seconds that all snippets together cover.
        num_snippets: ``T``.

    Returns:
        See :class:`BoundaryDistances`.

    Example:
        >>> distance, kind = boundary_distances([[1, 3]], (0, 5), 5)
        >>> distance.tolist(), kind.tolist()
        ([-0.5, 0.5, -0.5, 0.5, 1.5], [1, 1, -1, -1, -1])
    """
    centers = snippet_centers(feature_span, num_snippets)
    starts, ends = merge_segments(segments).T
    starts = starts[(centers[0] < starts) & (starts <= centers[-1])]
    ends = ends[(centers[0] <= ends) & (ends < centers[-1])]
    times = np.concatenate([starts, ends])
    if not times.size:
        return BoundaryDistances(
            np.full(num_snippets, np.nan), np.full(num_snippets, NO_BOUNDARY, dtype=np.int8)
        )
    kinds = np.repeat(np.array([START, END], dtype=np.int8), [starts.size, ends.size])
    order = np.argsort(times)
    times, kinds = times[order], kinds[order]
    following = np.searchsorted(times, centers)
    before, after = np.maximum(following - 1, 0), np.minimum(following, times.size - 1)
    nearest = np.where(
        np.abs(centers - times[before]) <= np.abs(centers - times[after]), before, after
    )
    return BoundaryDistances(centers - times[nearest], kinds[nearest])


def accuracy_by_distance(
    distance: np.ndarray, kind: np.ndarray, correct: np.ndarray, edges: Sequence[float] | np.ndarray
) -> dict[str, BinnedAccuracy]:
    """Share of correct snippets in bins of the signed distance, for each kind of boundary.

    A snippet exactly on the edge of two bins belongs to the one on the action's side: bins of
    starts hold their lower edge, bins of ends their upper one. Snippets beyond the outer edges are
    in no bin.

    Args:
        distance: ``(n,)``, see :class:`BoundaryDistances`; in seconds, or in any other unit.
        kind: ``(n,)``.
        correct: bool ``(n,)``.
        edges: ``(B + 1,)``, ascending, in the unit of ``distance``.

    Returns:
        ``'start'`` and ``'end'``, see :class:`BinnedAccuracy`.

    Raises:
        ValueError: The arrays have different lengths, or the edges are not ascending finite
            numbers.

    Example:
        >>> distances, kinds, right = [-.5, .5, -.5, 1.5], [1, 1, -1, -1], [1, 0, 1, 1]
        >>> binned = accuracy_by_distance(distances, kinds, right, [-1, 0, 1])
        >>> binned['start'].accuracy.tolist(), binned['end'].num_snippets.tolist()
        ([1.0, 0.0], [1, 0])
    """
    distance, kind, correct = (
        np.asarray(distance),
        np.asarray(kind),
        np.asarray(correct, dtype=bool),
    )
    if not distance.shape == kind.shape == correct.shape == (distance.size,):
        raise ValueError(
            f'expected distance, kind and correct of one shape (n,), got {distance.shape}, '
            f'{kind.shape} and {correct.shape}'
        )
    edges = check_edges(edges)
    return {
        name: _bin(
            distance[kind == number],
            correct[kind == number],
            edges,
            'right' if number == START else 'left',
        )
        for name, number in KINDS.items()
    }


def check_edges(edges: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return bin edges as a float64 array ``(B + 1,)``.

    Raises:
        ValueError: They are not at least two ascending finite numbers.
    """
    array = np.asarray(edges, dtype=np.float64)
    if (
        array.ndim != 1
        or array.size < 2
        or not np.isfinite(array).all()
        or not (np.diff(array) > 0).all()
    ):
        raise ValueError(f'bin edges: expected at least two ascending finite numbers, got {edges}')
    return array


def _bin(distance: np.ndarray, correct: np.ndarray, edges: np.ndarray, side: str) -> BinnedAccuracy:
    # NaN sorts behind every edge, hence into no bin.
    number = np.searchsorted(edges, distance, side=side) - 1  # type: ignore[call-overload]
    size = edges.size - 1
    inside = (number >= 0) & (number < size)
    count = np.bincount(number[inside], minlength=size)
    right = np.bincount(number[inside & correct], minlength=size)
    return BinnedAccuracy(
        np.divide(right, count, out=np.full(size, np.nan), where=count > 0), count
    )
