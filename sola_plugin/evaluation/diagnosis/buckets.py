"""Characteristics of true segments and the buckets that they are sorted into, after DETAD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_NAMES = ('XS', 'S', 'M', 'L', 'XL')


@dataclass(frozen=True)
class Buckets:
    """Ranges of one characteristic that together hold every value.

    Attributes:
        edges: Upper ends of all ranges but the last, ascending; a value at an end is inside. The
            first range is open below, the last one above.
        whole: Whether the values are whole numbers.

    Raises:
        ValueError: The edges are not finite or do not ascend.

    Example:
        >>> Buckets((30, 60)).place(np.array([0, 30, 31, 1000])).tolist()
        [0, 0, 1, 2]
        >>> Buckets((30, 60)).names, Buckets((30, 60)).ranges
        (('XS', 'S', 'M'), ('≤ 30', '30–60', '> 60'))
        >>> Buckets((1, 4, 5), whole=True).ranges
        ('≤ 1', '2–4', '5', '> 5')
    """

    edges: tuple[float, ...]
    whole: bool = False

    def __post_init__(self) -> None:
        if not np.isfinite(self.edges).all() or not np.all(np.diff(self.edges) > 0):
            raise ValueError(f'bucket edges: expected finite, ascending numbers, got {self.edges}')

    def __len__(self) -> int:
        return len(self.edges) + 1

    def place(self, values: np.ndarray) -> np.ndarray:
        """Return the number of the bucket of every value, ``(n,)``."""
        return np.searchsorted(self.edges, values, side='left')

    @property
    def ranges(self) -> tuple[str, ...]:
        """The ranges in words: ``'30–60'`` is above 30 and up to 60, of whole numbers 31 to 60."""
        if not self.edges:
            return ('all',)
        ends = [f'{edge:.3g}' if edge < 1000 else f'{edge:.0f}' for edge in self.edges]
        starts = [f'{edge + 1:.0f}' for edge in self.edges] if self.whole else ends
        inner = [low if low == high else f'{low}–{high}' for low, high in zip(starts, ends[1:])]
        return (f'≤ {ends[0]}', *inner, f'> {ends[-1]}')

    @property
    def names(self) -> tuple[str, ...]:
        """``'XS', 'S', 'M', 'L', 'XL'``; where these are too few, ``'1', '2', ...``."""
        if len(self) <= len(_NAMES):
            return _NAMES[: len(self)]
        return tuple(str(number) for number in range(1, len(self) + 1))


#: DETAD's buckets by data set.
PRESETS: Mapping[str, Mapping[str, Buckets]] = {
    'activitynet': {
        'coverage': Buckets((0.2, 0.4, 0.6, 0.8)),
        'length': Buckets((30, 60, 120, 180)),
        'instances': Buckets((1, 4, 8), whole=True),
    },
    'thumos14': {
        'coverage': Buckets((0.02, 0.04, 0.06, 0.08)),
        'length': Buckets((3, 6, 12, 18)),
        'instances': Buckets((1, 40, 80), whole=True),
    },
}


def segment_properties(
    true: np.ndarray, true_class: np.ndarray, true_video: np.ndarray, duration: np.ndarray
) -> dict[str, np.ndarray]:
    """Describe every true segment.

    Args:
        true: Segments ``(m, 2)``, seconds.
        true_class: Number of the class ``(m,)``.
        true_video: Number of the video ``(m,)``.
        duration: Length of the segment's video ``(m,)``, seconds.

    Returns:
        ``coverage``, the segment's share of its video (above 1 for a segment longer than that);
        ``length`` in seconds; and ``instances``, how many segments of its class its video has,
        itself included; each ``(m,)``.
    """
    length = true[:, 1] - true[:, 0]
    pair = true_video * (true_class.max() + 1) + true_class
    _, number, count = np.unique(pair, return_inverse=True, return_counts=True)
    return {'coverage': length / duration, 'length': length, 'instances': count[number]}


def resolve_buckets(
    buckets: str | Mapping[str, Buckets], values: Mapping[str, np.ndarray]
) -> dict[str, Buckets]:
    """Return the buckets of every characteristic.

    Args:
        buckets: ``'activitynet'`` or ``'thumos14'`` (DETAD's), ``'quantiles'`` (edges near the 20,
            40, 60 and 80% quantiles of these segments), or buckets by characteristic. A
            characteristic without buckets is left out.
        values: Result of :func:`segment_properties`.

    Raises:
        ValueError: The name or a characteristic is unknown.
    """
    if isinstance(buckets, str):
        if buckets == 'quantiles':
            return {name: _quantiles(column) for name, column in values.items()}
        if buckets not in PRESETS:
            raise ValueError(
                f"buckets {buckets!r}: expected one of {sorted(PRESETS)}, 'quantiles', "
                'or buckets by characteristic'
            )
        buckets = PRESETS[buckets]
    unknown = sorted(set(buckets) - set(values))
    if unknown:
        raise ValueError(f'buckets of {unknown}: expected characteristics among {sorted(values)}')
    return dict(buckets)


def _quantiles(values: np.ndarray) -> Buckets:
    """Five buckets of about the same number of values; fewer where many values are equal."""
    exact = np.quantile(values, [0.2, 0.4, 0.6, 0.8], method='lower')
    edges = np.unique([float(f'{edge:.2g}') for edge in exact])  # round numbers to read
    return Buckets(
        tuple(edges[edges < values.max()].tolist()), whole=np.issubdtype(values.dtype, np.integer)
    )
