"""EPIC-Kitchens-100: the CSV files of the official repository ``epic-kitchens-100-annotations``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .csv_tables import TextTable, by_video, read_durations, read_table, require_cell, write_table
from .records import (
    AnnotationError,
    AnnotationFile,
    Durations,
    Options,
    Video,
    clock_text,
    group_rows,
    new_folder,
    parse_seconds,
    require_subsets,
)

LABELS = ('verb', 'noun', 'action')
REQUIRED = ('video_id', 'start_timestamp', 'stop_timestamp')

_COLUMNS = (
    'narration_id',
    'participant_id',
    'video_id',
    'narration_timestamp',
    'start_timestamp',
    'stop_timestamp',
    'start_frame',
    'stop_frame',
    'narration',
    'verb',
    'verb_class',
    'noun',
    'noun_class',
    'all_nouns',
    'all_noun_classes',
)
_VIDEO_INFO = 'EPIC_100_video_info.csv'
_FILE_NAME = re.compile(r'EPIC_100_(.+?)(?:_timestamps)?\.csv(?:\.gz)?')


def read(path: Path, options: Options) -> AnnotationFile:
    """Read ``EPIC_100_train.csv``, ``EPIC_100_validation.csv`` or ``EPIC_100_test_timestamps.csv``.

    The name of a file tells the subset. A label is a *class*: the columns ``verb`` and ``noun``
    hold the narrator's words, of which several are one class. Classes get their names from
    ``EPIC_100_verb_classes.csv`` and ``EPIC_100_noun_classes.csv`` beside the file; without these a
    class is named by its number, ``'verb 3'``. An action is both, ``'open door'``. Durations and
    frame rates come from ``EPIC_100_video_info.csv`` beside the file.

    Args:
        path: The file.
        options: ``labels`` is ``'verb'``, ``'noun'`` or ``'action'``; ``durations``, if given, come
            before those of the file beside.

    Returns:
        The videos. Those of the test set, whose labels are not public, have no
        actions.

    Raises:
        AnnotationError: ``labels`` is not given, it is no such table, or durations are not
            known.
        FileNotFoundError: There is no such file.
    """
    if options.labels not in LABELS:
        raise AnnotationError(
            f'{path}: EPIC-Kitchens has several kinds of labels: convert the '
            f'file with tools/convert_annotations.py --labels {"|".join(LABELS)}'
        )
    name = _FILE_NAME.fullmatch(path.name)
    table = read_table(path)
    table.require(REQUIRED)
    label_of = _labels(table, options.labels or '')
    info = _video_info(path.parent)

    def parse(row: Mapping[str, str], where: str) -> tuple[dict | None, dict[str, Any]]:
        facts: dict[str, Any] = dict(subset=name[1]) if name else {}
        if 'fps' in info.get(row['video_id'], {}):
            facts['fps'] = info[row['video_id']]['fps']
        segment = [_time(row[column], column, where) for column in REQUIRED[1:]]
        return (dict(segment=segment, label=label_of(row, where)) if label_of else None), facts

    durations: Durations | None = options.durations or (
        lambda video_id: info.get(video_id, {}).get('duration')
    )
    videos, faults = group_rows(
        by_video(table, 'video_id'),
        parse,
        durations,
        path,
        f'Put {_VIDEO_INFO} beside the file, or give --durations FILE',
    )
    kept = {*REQUIRED, 'verb_class', 'noun_class'}
    others = ', '.join(column for column in table.columns if column not in kept)
    notes = [f'columns {others} are not kept'] if others else []
    if label_of is None:
        notes.append('there are no labels (test set): the videos are read without actions')
    return AnnotationFile(videos, faults, notes=tuple(notes), form='epic')


def write(path: Path, videos: Mapping[str, Video], options: Options) -> list[str]:
    """Write a folder: ``EPIC_100_<subset>.csv``, the classes and ``EPIC_100_video_info.csv``.

    Args:
        path: The folder, which is made.
        videos: Videos by id; each with a subset.
        options: ``labels`` says whether the labels are verbs (``'verb'``) or nouns (``'noun'``).

    Returns:
        What else was not kept.

    Raises:
        AnnotationError: ``labels`` is neither, a video has no subset, or a time is negative.
    """
    kind = options.labels
    if kind not in ('verb', 'noun'):
        raise AnnotationError(
            'EPIC-Kitchens has columns for verbs and for nouns: expected --labels verb or '
            f'noun, got {kind}'
        )
    require_subsets(videos)
    labels = sorted({action['label'] for video in videos.values() for action in video.annotations})
    numbers = {label: number for number, label in enumerate(labels)}
    with new_folder(path) as folder:
        for subset in sorted({video.subset or '' for video in videos.values()}):
            if not _FILE_NAME.fullmatch(f'EPIC_100_{subset}.csv') or '/' in subset:
                raise AnnotationError(
                    f'subset {subset!r} cannot be part of a file name such as EPIC_100_train.csv'
                )
            rows = [
                row
                for video_id, video in videos.items()
                if video.subset == subset
                for row in _rows(video_id, video, kind, numbers)
            ]
            write_table(folder / f'EPIC_100_{subset}.csv', _COLUMNS, rows)
        write_table(
            folder / f'EPIC_100_{kind}_classes.csv',
            ('id', 'key', 'instances', 'category'),
            (dict(id=number, key=label, instances=[label]) for label, number in numbers.items()),
        )
        write_table(
            folder / _VIDEO_INFO,
            ('video_id', 'duration', 'fps', 'resolution'),
            (
                dict(video_id=video_id, duration=video.duration, fps=video.fps or '')
                for video_id, video in videos.items()
            ),
        )
    return [f'classes are numbered anew, in EPIC_100_{kind}_classes.csv']


def _labels(table: TextTable, kind: str) -> Callable[[Mapping[str, str], str], str] | None:
    """The function from a row to its label; ``None`` for the test set."""
    kinds = ('verb', 'noun') if kind == 'action' else (kind,)
    if not any(column.endswith('_class') for column in table.columns):
        return None
    table.require([f'{one}_class' for one in kinds])
    names = {one: _class_names(table.path.parent, one) for one in kinds}

    def label_of(row: Mapping[str, str], where: str) -> str:
        words = []
        for one in kinds:
            number = row[f'{one}_class']
            if not number.isdigit():
                raise AnnotationError(
                    f"{where}: expected the number of a class under '{one}_class', got {number!r}"
                )
            known = names[one]
            if known is not None and number not in known:
                raise AnnotationError(
                    f'{where}: {one}_class {number} is not in EPIC_100_{one}_classes.csv'
                )
            words.append(f'{one} {number}' if known is None else known[number])
        return ' '.join(words)

    return label_of


def _class_names(folder: Path, kind: str) -> dict[str, str] | None:
    """Names by number; of several versions of the file, the last."""
    files = sorted(folder.glob(f'EPIC_100_{kind}_classes*.csv'))
    if not files:
        return None
    table = read_table(files[-1])
    table.require(('id', 'key'))
    return {row['id']: row['key'] for _, row in table.rows}


def _video_info(folder: Path) -> dict[str, dict[str, float]]:
    path = folder / _VIDEO_INFO
    return read_durations(path) if path.is_file() else {}


def _time(text: str, column: str, where: str) -> float:
    seconds = parse_seconds(text)
    if seconds is None or ':' not in text:
        raise AnnotationError(f'{where}: expected HH:MM:SS.ss under {column!r}, got {text!r}')
    return seconds


def _rows(
    video_id: str, video: Video, kind: str, numbers: Mapping[str, int]
) -> list[dict[str, Any]]:
    rows = []
    for index, action in enumerate(video.annotations):
        require_cell(video_id, 'video', video_id)
        require_cell(action['label'], 'label', video_id)
        start, end = action['segment']
        if min(start, end) < 0:
            raise AnnotationError(
                f'{video_id!r} [{start:g}, {end:g}]: HH:MM:SS.ss cannot be negative'
            )
        row = dict(
            narration_id=f'{video_id}_{index}',
            video_id=video_id,
            start_timestamp=clock_text(start),
            stop_timestamp=clock_text(end),
            narration=action['label'],
        )
        if video.fps:
            row.update(start_frame=round(start * video.fps), stop_frame=round(end * video.fps))
        rows.append({**row, kind: action['label'], f'{kind}_class': numbers[action['label']]})
    return rows
