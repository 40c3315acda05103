"""Charades: ``Charades_v1_train.csv`` and ``Charades_v1_test.csv``, one video a row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .class_names import read_class_names
from .csv_tables import TextTable, positive, read_table
from .records import (
    AnnotationError,
    AnnotationFile,
    NoDurationError,
    Options,
    Video,
    checked_segment,
    parse_number,
)

REQUIRED = ('id', 'actions')

_CLASSES = 'Charades_v1_classes.txt'
_FILE_NAME = re.compile(r'Charades_v1_([a-z]+)\.csv(?:\.gz)?')


def read(path: Path, options: Options) -> AnnotationFile:
    """Read a table whose column ``actions`` holds ``c092 11.90 21.20;c147 0.00 12.60``.

    Times are seconds. ``length`` is the duration. The name of the file tells the subset. Classes
    get their names from ``Charades_v1_classes.txt`` beside the file; without it, a class is called
    by its code.

    Args:
        path: The file.
        options: ``labels`` is another file of class names; ``durations`` of videos without length.

    Returns:
        The videos.

    Raises:
        AnnotationError: It is no such table, or a video stands there twice.
        NoDurationError: A length is missing.
        FileNotFoundError: There is no such file.
    """
    table = read_table(path)
    table.require(REQUIRED, ('length',))
    names = _class_names(path, options.labels)
    subset = name[1] if (name := _FILE_NAME.fullmatch(path.name)) else None
    videos, faults = {}, []
    for video_id, (line, row) in _rows(table).items():
        where = f'line {line}'
        try:
            duration = _duration(video_id, row, where, options)
            actions = [
                _action(text, names, where) for text in row['actions'].split(';') if text.strip()
            ]
        except NoDurationError:
            raise
        except AnnotationError as error:
            faults.append(str(error))
        else:
            videos[video_id] = Video(duration, subset, tuple(actions))
    others = ', '.join(name for name in table.columns if name not in {*REQUIRED, 'length'})
    notes = [f'columns {others} are not kept'] if others else []
    if names is None:
        notes.append(
            f'labels are the codes of classes: {_CLASSES}, beside it or in --labels, names them'
        )
    return AnnotationFile(videos, tuple(faults), notes=tuple(notes), form='charades')


def _rows(table: TextTable) -> dict[str, tuple[int, dict[str, str]]]:
    rows: dict[str, tuple[int, dict[str, str]]] = {}
    for line, row in table.rows:
        video_id = row['id']
        if not video_id:
            raise AnnotationError(
                f"{table.path}: line {line}: expected a video under 'id', got nothing"
            )
        if video_id in rows:
            raise AnnotationError(
                f'{table.path}: line {line}: expected one row a video, got {video_id!r} as in line '
                f'{rows[video_id][0]}'
            )
        rows[video_id] = line, row
    return rows


def _class_names(path: Path, given: str | None) -> dict[str, str] | None:
    beside = path.parent / _CLASSES
    if given is not None:
        return read_class_names(Path(given))
    return read_class_names(beside) if beside.is_file() else None


def _duration(video_id: str, row: Mapping[str, str], where: str, options: Options) -> float:
    if row.get('length'):
        return positive(row['length'], 'length', where)
    duration = options.durations(video_id) if options.durations else None
    if duration is None:
        raise NoDurationError(
            f"{where}: expected the duration of {video_id!r} under 'length', got nothing: "
            'fill it in, or give --durations FILE'
        )
    return duration


def _action(text: str, names: Mapping[str, str] | None, where: str) -> dict:
    words = text.split()
    if len(words) != 3:
        raise AnnotationError(
            f"{where}: expected 'CLASS START END' between semicolons under 'actions', got {text!r}"
        )
    code, start, end = words
    if names is not None and code not in names:
        raise AnnotationError(f'{where}: {code!r} is not among the {len(names)} named classes')
    segment = checked_segment(parse_number(start), parse_number(end), where, repr(text))
    return dict(segment=segment, label=code if names is None else names[code])
