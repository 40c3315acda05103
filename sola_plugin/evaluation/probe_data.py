"""Snippets of several videos with what the linear probe wants to know of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .boundary_distance import boundary_distances
from .snippets import snippet_labels

#: Inverse of the probe's regularisation, scikit-learn's ``C``. Normalised features that share a
#: large mean differ little, and at the usual 1 the penalty decides: the figures then tell how far a
#: method spreads the features, not whether they can be separated (docs/evaluation.md).
DEFAULT_C = 100.0
#: Units of the distance to a boundary.
UNITS = ('snippets', 'seconds')


class VideoFeatures(NamedTuple):
    """Features and segments of one video.

    Attributes:
        features: ``(C, T)``.
        feature_span: ``(start, end)`` in seconds that they cover.
        segments: ``(n, 2)`` in seconds; may be empty.
    """

    features: np.ndarray
    feature_span: tuple[float, float]
    segments: Sequence[Sequence[float]]


@dataclass(frozen=True)
class ProbeData:
    """Labelled snippets, one row each.

    Attributes:
        features: ``(n, C)``.
        labels: bool ``(n,)``, True for foreground (action); see
            :func:`~.snippets.snippet_labels`.
        videos: int64 ``(n,)``, number of the video, 0, 1, ...
        distance: float64 ``(n,)``, signed distance to the nearest boundary, in the unit asked for;
            see :func:`~.boundary_distance.boundary_distances`.
        kind: int8 ``(n,)``, kind of this boundary.
    """

    features: np.ndarray
    labels: np.ndarray
    videos: np.ndarray
    distance: np.ndarray
    kind: np.ndarray

    @property
    def num_videos(self) -> int:
        """Number of videos."""
        return int(self.videos[-1]) + 1

    @classmethod
    def of(cls, videos: Iterable[VideoFeatures], unit: str = 'snippets') -> ProbeData:
        """Label the snippets of videos.

        Args:
            videos: At least one; taken one at a time.
            unit: Of the distance: ``'snippets'``, which are the same steps in videos of different
                strides, or ``'seconds'``.

        Raises:
            ValueError: Unknown ``unit``, or no videos.
        """
        if unit not in UNITS:
            raise ValueError(f'unit of the distance: expected one of {UNITS}, got {unit!r}')
        rows = [_rows(number, video, unit) for number, video in enumerate(videos)]
        if not rows:
            raise ValueError('expected at least one video, got none')
        return cls(*(np.concatenate(column) for column in zip(*rows)))


def _rows(number: int, video: VideoFeatures, unit: str) -> tuple[np.ndarray, ...]:
    features, (start, end), segments = video
    length = features.shape[1]
    distance, kind = boundary_distances(segments, (start, end), length)
    if unit == 'snippets':
        distance = distance / ((end - start) / length)
    return (
        features.T,
        snippet_labels(segments, (start, end), length),
        np.full(length, number),
        distance,
        kind,
    )
