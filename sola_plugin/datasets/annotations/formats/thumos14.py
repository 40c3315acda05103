"""THUMOS14's official text files, one a class, ``BaseballPitch_val.txt``: ``video start end``."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sola_plugin.file_names import FileNameError, check_file_names
from sola_plugin.messages import first_few

from .csv_tables import read_durations, write_table
from .records import (
    AnnotationError,
    AnnotationFile,
    Durations,
    Options,
    Video,
    group_rows,
    new_folder,
    parse_number,
    read_text,
    require_subsets,
    write_text,
)

#: Stretches that are neither an action nor none; the official evaluation takes them out.
AMBIGUOUS = 'Ambiguous'
#: Not official: what :func:`write` puts beside the text files, which have no durations.
DURATIONS_NAME = 'durations.csv'

_NO_DURATIONS = (
    'The official files have none: give --durations FILE to tools/convert_annotations.py, or '
    f'put it into the folder as {DURATIONS_NAME}'
)


def read(paths: Sequence[Path], options: Options) -> AnnotationFile:
    """Read text files, or folders of them, of any classes and subsets.

    The name of a file tells class and subset: ``BaseballPitch_val.txt``. Files named otherwise,
    such as ``readme.txt``, are left out, and so are ``Ambiguous_val.txt`` and
    ``Ambiguous_test.txt``.

    Args:
        paths: Files or folders.
        options: ``durations`` of the videos; without them, ``durations.csv`` in the folders is
            read.

    Returns:
        The videos; the actions of each are in the order of the file names.

    Raises:
        AnnotationError: There is no such file, or no durations.
        FileNotFoundError: There is no such file.
    """
    rows, notes = [], []
    for path in _text_files(paths):
        label, _, subset = path.stem.rpartition('_')
        if not label:
            notes.append(
                f'{path.name} is not read: no file of a class, such as BaseballPitch_val.txt'
            )
            continue
        lines = [
            (number, line)
            for number, line in enumerate(read_text(path).splitlines(), 1)
            if line.strip()
        ]
        if label == AMBIGUOUS:
            notes.append(
                f'{path.name}: {len(lines)} stretches that may be an action or not are not kept'
            )
        else:
            rows += [
                (line.split()[0], f'{path.name} line {number}', (line, label, subset))
                for number, line in lines
            ]
    if not rows:
        raise AnnotationError(
            f'{first_few(paths)}: expected text files such as BaseballPitch_val.txt, with '
            'lines "video start end", got none'
        )
    durations = options.durations or _durations_beside(paths)
    videos, faults = group_rows(rows, _parse, durations, first_few(paths), _NO_DURATIONS)
    return AnnotationFile(videos, faults, notes=tuple(notes), form='thumos14')


def write(path: Path, videos: Mapping[str, Video], options: Options) -> list[str]:
    """Write a folder: one text file for each class and subset, and ``durations.csv``.

    Args:
        path: The folder, which is made.
        videos: Videos by id; each with a subset.
        options: Not used.

    Returns:
        What else was not kept: nothing.

    Raises:
        AnnotationError: A video has no subset, or an id, label or subset cannot be part of such
            files.
    """
    require_subsets(videos)
    files: dict[str, list[str]] = collections.defaultdict(list)
    for video_id, video in videos.items():
        for action in video.annotations:
            start, end = action['segment']
            name = _file_name(action['label'], video.subset or '')
            files[name].append(f'{_word(video_id)}  {start!r} {end!r}\n')
    with new_folder(path) as folder:
        for name, lines in files.items():
            try:
                check_file_names(folder, name, ('',))
            except FileNameError as error:
                raise AnnotationError(
                    f'{name!r:.90}: no file can have this name, which is that of a label and a '
                    'subset: give them shorter or plainer ones'
                ) from error
            write_text(folder / name, ''.join(lines))
        write_table(
            folder / DURATIONS_NAME,
            ('video', 'duration'),
            (dict(video=video_id, duration=video.duration) for video_id, video in videos.items()),
        )
    return []


def _text_files(paths: Iterable[Path]) -> list[Path]:
    return [
        file
        for path in paths
        for file in (sorted(path.rglob('*.txt')) if path.is_dir() else [path])
    ]


def _durations_beside(paths: Iterable[Path]) -> Durations | None:
    tables = [
        read_durations(path / DURATIONS_NAME) for path in paths if (path / DURATIONS_NAME).is_file()
    ]
    known = collections.ChainMap(*tables)
    return (lambda video_id: known.get(video_id, {}).get('duration')) if tables else None


def _parse(row: tuple[str, str, str], where: str) -> tuple[dict, dict[str, Any]]:
    line, label, subset = row
    times = [parse_number(text) for text in line.split()[1:]]
    if len(times) != 2 or None in times:
        raise AnnotationError(
            f'{where}: expected "video start end" with times in seconds, got {line!r}'
        )
    return dict(segment=times, label=label), dict(subset=subset)


def _word(video_id: str) -> str:
    # At the start of a file '\ufeff' is a byte-order mark, and a NUL near it looks like UTF-16.
    is_word = video_id.split() == [video_id]
    if not is_word or video_id.startswith('\ufeff') or '\0' in video_id:
        raise AnnotationError(
            f"{video_id!r}: THUMOS14's files cannot hold ids with blanks or NUL characters"
        )
    return video_id


def _file_name(label: str, subset: str) -> str:
    name = f'{label}_{subset}.txt'
    if label in ('', AMBIGUOUS) or '_' in subset or os.path.basename(name) != name:
        raise AnnotationError(
            f'label {label!r} of subset {subset!r} cannot be part of a file name such as '
            'BaseballPitch_val.txt'
        )
    return name
