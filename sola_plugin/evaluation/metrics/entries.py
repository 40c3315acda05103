"""The detections of one video as columns, which take a tenth of the memory of dicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np


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
