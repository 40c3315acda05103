"""Annotation formats: reading and writing, one module a format. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sola_plugin.io import read_text
from sola_plugin.messages import first_few

from . import csv_files, epic_kitchens, json_reader, json_writer, thumos14
from .csv_tables import header
from .records import AnnotationError, AnnotationFile, Options, Video, parse_number

__all__ = [
    'FORMATS',
    'AnnotationError',
    'AnnotationFile',
    'Format',
    'Options',
    'Video',
    'read_annotations',
    'write_annotations',
]

#: What tells the format of a file stands at its beginning: so many bytes are looked at.
_NUM_FIRST_BYTES = 1 << 16


#: Reads files (or folders) of one data set.
Reader = Callable[[Sequence[Path], Options], AnnotationFile]


@dataclasses.dataclass(frozen=True)
class Format:
    """How a format is read and written.

    Attributes:
        title: What it is.
        read: From files (or folders) to what is in them.
        write: Writes a file (or folder) and tells what else was not kept.
        holds: What it can hold of a ``Video`` beside segments, labels and durations; ``'empty'``:
            videos without actions.
    """

    title: str
    read: Reader
    write: Callable[[Path, Mapping[str, Video], Options], list[str]]
    holds: frozenset[str]


def _each(read: Callable[[Path, Options], AnnotationFile]) -> Reader:
    """From the reader of a file to one of several, which know nothing of each other."""
    return lambda paths, options: _join([(path, read(path, options)) for path in paths])


def _join(files: Sequence[tuple[Path, AnnotationFile]]) -> AnnotationFile:
    """Put files together. Where there are several, faults and notes name the file.

    Raises:
        AnnotationError: A video is in two of the files.
    """
    if len(files) == 1:
        return files[0][1]
    origin: dict[str, Path] = {}
    videos: dict[str, Video] = {}
    texts: dict[str, list[str]] = dict(faults=[], repeated_keys=[], notes=[])
    forms: list[str] = []
    for path, file in files:
        both = [video_id for video_id in file.videos if video_id in origin]
        if both:
            raise AnnotationError(
                f'{len(both)} videos are in {origin[both[0]]} and in {path}: '
                f'{first_few(map(repr, both))}. Expected each in one file'
            )
        origin.update(dict.fromkeys(file.videos, path))
        videos.update(file.videos)
        for name, found in texts.items():
            found += [f'{path}: {text}' for text in getattr(file, name)]
        forms += [file.form] * (file.form not in forms)
    return AnnotationFile(
        videos,
        tuple(texts['faults']),
        tuple(texts['repeated_keys']),
        tuple(texts['notes']),
        ' and '.join(forms),
    )


#: JSON of which only the contents tell the form.
_read_json = _each(json_reader.read_any)

#: All formats by name.
FORMATS: Mapping[str, Format] = {
    'activitynet': Format(
        'ActivityNet-1.3 JSON',
        _each(json_reader.read_database),
        json_writer.write_activitynet,
        frozenset({'subset', 'empty'}),
    ),
    'opentad': Format(
        'OpenTAD and ActionFormer JSON',
        _each(json_reader.read_database),
        json_writer.write_opentad,
        frozenset({'subset', 'fps', 'num_frames', 'empty'}),
    ),
    'hacs': Format(
        'HACS Segments v1.1 JSON',
        _each(json_reader.read_database),
        json_writer.write_hacs,
        frozenset({'subset', 'empty'}),
    ),
    'mmaction': Format(
        'mmaction2 flat JSON',
        _each(json_reader.read_flat),
        json_writer.write_mmaction,
        frozenset({'subset', 'fps', 'num_frames', 'feature_span', 'empty'}),
    ),
    'csv': Format(
        'CSV with video,start,end,label',
        _each(csv_files.read),
        csv_files.write,
        frozenset({'subset', 'fps', 'num_frames', 'empty'}),
    ),
    'thumos14': Format('THUMOS14 text files', thumos14.read, thumos14.write, frozenset({'subset'})),
    'epic': Format(
        'EPIC-Kitchens-100 CSV',
        _each(epic_kitchens.read),
        epic_kitchens.write,
        frozenset({'subset', 'fps'}),
    ),
}


def read_annotations(
    paths: Sequence[Path], form: str | None = None, options: Options | None = None
) -> AnnotationFile:
    """Read annotations of any of the :data:`FORMATS`.

    Args:
        paths: Files of one data set; a folder of text files for THUMOS14.
        form: Name of their format; ``None``: their contents tell, where that is clear.
        options: What some formats need to know.

    Returns:
        The videos of all of them together.

    Raises:
        AnnotationError: A file is of no format, or cannot be used; the message names it.
        FileNotFoundError: There is no such file.
    """
    options = options or Options()
    if form is not None:
        return FORMATS[form].read(paths, options)
    readers: dict[Reader, list[Path]] = {}
    for path in paths:
        readers.setdefault(_reader(path), []).append(path)
    return _join([(group[0], read(group, options)) for read, group in readers.items()])


def write_annotations(
    path: Path, videos: Mapping[str, Video], form: str, options: Options | None = None
) -> list[str]:
    """Write annotations.

    Args:
        path: File, or folder for THUMOS14 and EPIC-Kitchens; each file appears when it is complete.
        videos: Videos by id.
        form: One of :data:`FORMATS`.
        options: What some formats need to know.

    Returns:
        What the format cannot hold, one line each.

    Raises:
        AnnotationError: The format cannot hold these videos.
        OSError: Writing failed.
    """
    lost = []
    for name in ('subset', 'fps', 'num_frames', 'feature_span'):
        has = [video_id for video_id, video in videos.items() if getattr(video, name) is not None]
        if has and name not in FORMATS[form].holds:
            lost.append(f'{name} of {len(has)} videos is not kept')
    empty = [video_id for video_id, video in videos.items() if not video.annotations]
    if empty and 'empty' not in FORMATS[form].holds:
        lost.append(
            f'{len(empty)} videos without actions are not kept: {first_few(map(repr, empty))}'
        )
    return lost + FORMATS[form].write(path, videos, options or Options())


def _reader(path: Path) -> Reader:
    """Tell by the contents how to read."""
    if path.is_dir():
        return thumos14.read
    try:
        text = read_text(path, _NUM_FIRST_BYTES).lstrip()
    except ValueError as error:
        raise AnnotationError(str(error)) from error
    if not text:
        raise AnnotationError(f'{path}: the file is empty')
    if text[0] in '{[':
        return _read_json
    words = text.splitlines()[0].split()
    if len(words) == 3 and None not in map(parse_number, words[1:]):
        return thumos14.read
    columns = header(text)
    if set(epic_kitchens.REQUIRED) <= set(columns):
        return FORMATS['epic'].read
    if 'video' in columns or {'start', 'end'} <= set(columns):
        return FORMATS['csv'].read
    raise AnnotationError(
        f'{path}: expected JSON, a CSV with the header {",".join(csv_files.REQUIRED)}, or lines '
        f'"video start end", got {text.splitlines()[0][:80]!r}. Known formats: {", ".join(FORMATS)}'
    )
