"""Detections of one video for people and other programs: choosing, CSV and subtitles."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sola_plugin.csv_cells import to_line
from sola_plugin.io import atomic_write
from sola_plugin.messages import printable

#: Stands where a detection has no label.
NO_LABEL = 'action'
#: Detections below this share of the best score are not shown to people unless they ask.
_WORTH_SHOWING = 0.25

#: Players take ``<b>`` and ``{\\an8}`` for markup.
_NO_MARKUP = str.maketrans('<>{}', '‹›()')

Detection = Mapping[str, Any]


def select_detections(
    detections: Sequence[Detection],
    threshold: float | None = None,
    top_k: int | None = None,
    classes: Collection[str] | None = None,
) -> list[Detection]:
    """Keep some detections, in their order.

    Args:
        detections: Dicts with ``score`` and, where ``classes`` are given, ``label``; best first.
        threshold: Smallest score.
        top_k: Largest number.
        classes: Labels.

    Returns:
        Those that meet all conditions.

    Example:
        >>> scored = [(0.9, 'run'), (0.5, 'jump'), (0.1, 'run')]
        >>> found = [dict(score=score, label=label) for score, label in scored]
        >>> select_detections(found, threshold=.2, classes=['run'])
        [{'score': 0.9, 'label': 'run'}]
    """
    kept = [
        item
        for item in detections
        if (threshold is None or item['score'] >= threshold)
        and (classes is None or item.get('label') in classes)
    ]
    return kept[:top_k]


def viewing_threshold(detections: Sequence[Detection]) -> float:
    """Score from which on detections are worth showing: a quarter of the best one's.

    Heads differ in the scale of their scores, and most of what they return is there for recall.

    Args:
        detections: Dicts with ``score``; may be empty.
    """
    return _WORTH_SHOWING * max((item['score'] for item in detections), default=0.0)


def write_csv(path: str | os.PathLike, results: Mapping[str, Sequence[Detection]]) -> None:
    """Write ``video,start,end,label,score``, one detection a line; seconds.

    Text that a spreadsheet would compute stands after an apostrophe, which
    :func:`~sola_plugin.csv_cells.from_cell` takes away.

    Args:
        path: File; it appears under its name only when it is complete.
        results: Detections by video. Without ``label``, the field is empty.
    """
    with atomic_write(path) as file:
        file.write(to_line(['video', 'start', 'end', 'label', 'score']))
        for video, detections in results.items():
            for item in detections:
                row = [video, *item['segment'], item.get('label', ''), item['score']]
                file.write(to_line(row))


def write_srt(
    path: str | os.PathLike, detections: Sequence[Detection], threshold: float = 0.0
) -> None:
    """Write SubRip subtitles that name what is going on.

    One line at a time: of detections that overlap, the one with the highest score is taken.

    Args:
        path: File; it appears under its name only when it is complete.
        detections: Dicts with ``segment`` in seconds, ``score`` and perhaps ``label``.
        threshold: Smallest score.
    """
    cues = [
        f'{number}\n{_timestamp(start)} --> {_timestamp(end)}\n{text}\n'
        for number, (start, end, text) in enumerate(_cues(detections, threshold), 1)
    ]
    with atomic_write(path) as file:
        file.write('\n'.join(cues))


def _cues(detections: Sequence[Detection], threshold: float) -> list[tuple[int, int, str]]:
    """``(start, end, text)`` in milliseconds, in the order of time."""
    taken: list[tuple[int, int, str]] = []
    for item in sorted(detections, key=lambda item: -item['score']):
        if item['score'] < threshold:
            break
        start, end = (round(1000 * time) for time in item['segment'])
        if start < end and all(end <= other[0] or other[1] <= start for other in taken):
            taken.append((start, end, f'{_caption(item)} ({item["score"]:.2f})'))
    return sorted(taken)


def _caption(item: Detection) -> str:
    """The label without what players obey: SubRip has no way to quote it."""
    # A line break or an arrow would end the cue or begin another.
    label = ' '.join(item.get('label', NO_LABEL).split()).replace('-->', '→')
    return printable(label).translate(_NO_MARKUP)


def _timestamp(milliseconds: int) -> str:
    """SubRip's form of a time.

    >>> _timestamp(3_723_004)
    '01:02:03,004'
    """
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours:02d}:{minutes:02d}:{seconds:02d},{rest:03d}'
