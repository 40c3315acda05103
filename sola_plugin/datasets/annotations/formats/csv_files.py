"""Plain CSV: one action a row, ``video,start,end,label``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .csv_tables import by_video, positive, read_table, require_cell, write_table
from .records import (
    AnnotationError,
    AnnotationFile,
    Options,
    Video,
    group_rows,
    parse_number,
    parse_seconds,
)

REQUIRED = ('video', 'start', 'end', 'label')
OPTIONAL = ('duration', 'subset', 'fps', 'frames')

_NO_DURATIONS = (
    'Add a column duration; or give --durations FILE to tools/convert_annotations.py; or give '
    'feature_stride to the dataset, which then takes the length of the features'
)


def read(path: Path, options: Options) -> AnnotationFile:
    """Read plain CSV.

    The header says which column is which: ``video``, ``start``, ``end``, ``label``, and, if there
    are such, ``duration``, ``subset``, ``fps``, ``frames``, which are those of the video and may be
    given in any of its rows. Times are seconds or ``HH:MM:SS.ss``. A row with neither start nor end
    nor label is a video without actions. Cells are apart by commas, semicolons or tabs.

    Args:
        path: The file.
        options: ``durations`` of videos without ``duration``.

    Returns:
        The videos.

    Raises:
        AnnotationError: It is no such table, or durations are not known.
        FileNotFoundError: There is no such file.
    """
    table = read_table(path)
    others = table.require(REQUIRED, OPTIONAL)
    videos, faults = group_rows(
        by_video(table, 'video'), _parse, options.durations, path, _NO_DURATIONS
    )
    notes = [f'column {name!r} is not kept' for name in others]
    return AnnotationFile(videos, faults, notes=tuple(notes), form='csv')


def write(path: Path, videos: Mapping[str, Video], options: Options) -> list[str]:
    """Write plain CSV, with the optional columns for which there are values.

    Args:
        path: The file.
        videos: Videos by id.
        options: Not used.

    Returns:
        What else was not kept: nothing.

    Raises:
        AnnotationError: A label or an id is empty, or has blanks around it.
    """
    facts = {
        video_id: dict(
            duration=video.duration, subset=video.subset, fps=video.fps, frames=video.num_frames
        )
        for video_id, video in videos.items()
    }
    used = [name for name in OPTIONAL if any(known[name] is not None for known in facts.values())]
    write_table(path, (*REQUIRED, *used), _rows(videos, facts))
    return []


def _parse(row: Mapping[str, str], where: str) -> tuple[dict | None, dict[str, Any]]:
    facts: dict[str, Any] = {}
    for column in ('duration', 'fps'):
        if row.get(column):
            facts[column] = positive(row[column], column, where)
    if row.get('frames'):
        facts['num_frames'] = round(positive(row['frames'], 'frames', where))
    if row.get('subset'):
        facts['subset'] = row['subset']
    if not (row['start'] or row['end'] or row['label']):
        return None, facts
    segment = [_time(row[column], column, where) for column in ('start', 'end')]
    if not row['label']:
        raise AnnotationError(f"{where}: expected text under 'label', got nothing")
    return dict(segment=segment, label=row['label']), facts


def _time(text: str, column: str, where: str) -> float:
    seconds = parse_seconds(text)
    if seconds is None:
        comma = parse_number(text.replace(',', '.')) is not None
        raise AnnotationError(
            f'{where}: expected seconds or HH:MM:SS.ss under {column!r}, got {text!r}'
            + (': write a point, not a comma' if comma else '')
        )
    return seconds


def _rows(videos: Mapping[str, Video], facts: Mapping[str, dict]) -> Iterator[dict[str, Any]]:
    for video_id, video in videos.items():
        known = {key: value for key, value in facts[video_id].items() if value is not None}
        for action in video.annotations or (None,):
            row = dict(video=video_id, **known)
            if action is not None:
                row.update(zip(REQUIRED[1:], (*action['segment'], action['label'])))
            for name in ('video', 'label', 'subset'):
                require_cell(row.get(name, '-'), name, video_id)
            yield row
