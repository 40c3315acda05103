"""From per-video lists of dicts to flat NumPy columns, the form that the evaluators compute in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, overload

import numpy as np

#: ``{video: [{'segment': [start, end], 'label': str, 'score': float}]}``; times in seconds.
PerVideo = Mapping[str, Sequence[Mapping[str, Any]]]


class Entries(Sequence):
    """Reads like a list of ``{'segment': [start, end], 'score': float, 'label': str}``.

    The dicts are made when they are asked for.

    Args:
        segments: ``(n, 2)`` float64, seconds.
        scores: ``(n,)`` float64.
        labels: Number of the label of each ``(n,)``; below 0: it has none.
        names: The labels by number.
    """

    def __init__(
        self, segments: np.ndarray, scores: np.ndarray, labels: np.ndarray, names: Sequence[str]
    ) -> None:
        self.segments, self.scores = segments, scores
        self._labels, self._names = labels, names

    def __len__(self) -> int:
        return len(self.scores)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Entries: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Entries:
        """One entry, or those of a slice."""
        segments, scores, labels = self.segments[index], self.scores[index], self._labels[index]
        if isinstance(index, slice):
            return Entries(segments, scores, labels, self._names)
        entry = {'segment': segments.tolist(), 'score': float(scores)}
        return entry if labels < 0 else {**entry, 'label': self._names[int(labels)]}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def column(self, key: str) -> Any:
        """``entry[key]`` of all entries.

        Raises:
            KeyError: Some have none.
        """
        if key == 'segment':
            return self.segments
        if key == 'score':
            return self.scores
        if key != 'label' or (self._labels < 0).any():
            raise KeyError(key)
        return self.labels()

    def labels(self) -> list[str]:
        """The labels of the entries that have one."""
        return [self._names[number] for number in self._labels.tolist() if number >= 0]


def column(results: PerVideo, key: str, what: str) -> list:
    """Return ``entry[key]`` of all entries of all videos, in order.

    Args:
        results: Entries by video.
        key: The key to read.
        what: Name of ``results`` in error messages.

    Raises:
        ValueError: An entry lacks the key; the message names its video.
    """
    values: list = []
    try:
        for entries in results.values():
            if isinstance(entries, Entries):
                values.extend(entries.column(key))
            else:
                values.extend([entry[key] for entry in entries])
        return values
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
    packed = _all_packed(results)
    if packed:
        return np.concatenate([entries.segments for entries in packed])
    values = column(results, 'segment', what)
    if not values:
        return np.zeros((0, 2))
    if set(map(len, values)) != {2}:
        row = next(i for i, segment in enumerate(values) if len(segment) != 2)
        _reject(results, what, row, 'segment', values[row], 'a pair [start, end]')
    segments = np.fromiter(chain.from_iterable(values), np.float64, 2 * len(values)).reshape(-1, 2)
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
    packed = _all_packed(results)
    if packed:
        return np.concatenate([entries.scores for entries in packed])
    scores = np.array(column(results, 'score', what), dtype=np.float64)
    good = np.isfinite(scores)
    if not good.all():
        row = int(np.argmin(good))
        _reject(results, what, row, 'score', scores[row], 'a finite number')
    return scores


def _all_packed(results: PerVideo) -> list[Entries]:
    """The entries of all videos if they are columns already, which were checked when packed."""
    packed = [entries for entries in results.values() if isinstance(entries, Entries)]
    return packed if len(packed) == len(results) else []


def _reject(results: PerVideo, what: str, row: int, key: str, value: Any, expected: str) -> None:
    video = video_column(results)[row]
    raise ValueError(f'{what}: {key} {value!r} of video {video!r} is not {expected}')


@dataclass(frozen=True, eq=False)
class ClassColumns:
    """``m`` true segments and ``n`` detections as flat columns, classes and videos numbered.

    The detections stand class by class and, within a class, in order of falling score.

    Attributes:
        labels: The classes of the ground truth, sorted; classes are numbered by them.
        num_videos: Number of videos of the ground truth and the detections together.
        true: True segments ``(m, 2)``, seconds, in the order of the ground truth.
        true_class: ``(m,)``.
        true_video: Number of the video ``(m,)``.
        found: Detected segments ``(n, 2)``.
        found_class: ``(n,)``, ascending.
        found_video: Number of the video ``(n,)``.
        ignored: How many detections were left out, by label: labels that the ground truth does not
            have.
        unknown_videos: Number of detections in videos that the ground truth does not list.
    """

    labels: tuple[str, ...]
    num_videos: int
    true: np.ndarray
    true_class: np.ndarray
    true_video: np.ndarray
    found: np.ndarray
    found_class: np.ndarray
    found_video: np.ndarray
    ignored: Mapping[str, int]
    unknown_videos: int


def class_columns(ground_truth: PerVideo, detections: PerVideo) -> ClassColumns:
    """Return true segments and detections as columns.

    Args:
        ground_truth: ``{video: [{'segment': [start, end], 'label': str}]}``, seconds.
        detections: ``{video: [{'segment', 'label', 'score'}]}``, in the same unit.

    Raises:
        ValueError: The ground truth has no segments, an entry lacks a key, or a number is not
            finite or a segment reversed; the message names the video.
    """
    true_labels = column(ground_truth, 'label', 'ground truth')
    if not true_labels:
        raise no_segments(ground_truth)
    labels = tuple(sorted(set(true_labels)))
    class_of = {label: i for i, label in enumerate(labels)}
    found_labels = column(detections, 'label', 'detections')
    found_class = np.fromiter(
        map(class_of.get, found_labels, repeat(-1)), np.int64, len(found_labels)
    )
    ignored = Counter(found_labels[row] for row in np.flatnonzero(found_class < 0))

    order = descending_order(score_column(detections, 'detections'))
    order = order[found_class[order] >= 0]
    order = order[np.argsort(found_class[order], kind='stable')]
    number = {video: i for i, video in enumerate({**ground_truth, **detections})}
    return ClassColumns(
        labels=labels,
        num_videos=len(number),
        true=segment_column(ground_truth, 'ground truth'),
        true_class=np.array([class_of[label] for label in true_labels]),
        true_video=_video_numbers(ground_truth, number),
        found=segment_column(detections, 'detections')[order],
        found_class=found_class[order],
        found_video=_video_numbers(detections, number)[order],
        ignored=dict(ignored),
        unknown_videos=sum(len(d) for video, d in detections.items() if video not in ground_truth),
    )


def _video_numbers(results: PerVideo, number: Mapping[str, int]) -> np.ndarray:
    return np.repeat(
        np.array([number[video] for video in results], dtype=np.int64),
        [len(entries) for entries in results.values()],
    )


def no_segments(ground_truth: PerVideo) -> ValueError:
    """The error of a ground truth to which no detection can be compared."""
    return ValueError(
        f'ground truth: none of the {len(ground_truth)} videos has an annotated segment, so there '
        'is nothing to evaluate against; check the subset and the annotation file'
    )


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
    if not len(right):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    order = np.argsort(right, kind='stable')
    keys, start, size = np.unique(right[order], return_index=True, return_counts=True)
    group = np.minimum(np.searchsorted(keys, left), len(keys) - 1)
    matched = np.flatnonzero(keys[group] == left)
    first, count = start[group[matched]], size[group[matched]]
    position = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(matched, count), order[np.repeat(first, count) + position]
