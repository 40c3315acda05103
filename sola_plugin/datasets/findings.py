"""What a check of a data set found, and how messages name it. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

#: From worst to least. ``error``: training or evaluation stops, or results are near zero.
#: ``warning``: data is lost, or counts otherwise than one may think. ``info``: good to know.
LEVELS = ('error', 'warning', 'info')

#: Examples that a finding keeps.
_NUM_EXAMPLES = 5


@dataclasses.dataclass(frozen=True)
class Finding:
    """One kind of fault and how often it occurs.

    Attributes:
        level: One of :data:`LEVELS`.
        kind: Short name that stays the same between versions, such as ``'zero-length'``.
        message: What was found, what was expected, and what to do.
        count: Number of cases.
        examples: The first cases.

    Raises:
        ValueError: There is no such level.
    """

    level: str
    kind: str
    message: str
    count: int = 1
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f'level is {self.level!r}, expected one of {LEVELS}')

    @classmethod
    def of(cls, level: str, kind: str, message: str, cases: Iterable[Any]) -> Finding:
        """Make a finding of all of its cases.

        >>> cases = [f'v_{i}' for i in range(9)]
        >>> Finding.of('warning', 'zero-length', 'segments without length', cases)
        ... # doctest: +NORMALIZE_WHITESPACE
        Finding(level='warning', kind='zero-length', message='segments without length', count=9,
                examples=('v_0', 'v_1', 'v_2', 'v_3', 'v_4'))
        """
        texts = [str(case) for case in cases]
        return cls(level, kind, message, len(texts), tuple(texts[:_NUM_EXAMPLES]))


def prevalence_level(count: int, total: int) -> str:
    """``'error'`` where more than half is concerned: the set-up is wrong, not single videos.

    >>> prevalence_level(6, 10), prevalence_level(5, 10)
    ('error', 'warning')
    """
    return 'error' if 2 * count > total else 'warning'


def segment_text(video_id: str, segment: Sequence[float], duration: float) -> str:
    """Name a segment in a message.

    >>> segment_text('v_1', [2, 4.5], 4)
    "'v_1' [2, 4.5] of 4 s"
    """
    return f'{video_id!r} [{segment[0]:g}, {segment[1]:g}] of {duration:g} s'
