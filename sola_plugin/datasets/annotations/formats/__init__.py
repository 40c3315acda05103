"""Annotation formats: reading and writing, one module a format. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sola_plugin.messages import first_few

from . import (
    charades,
    csv_files,
    elan,
    epic_kitchens,
    frame_labels,
    json_reader,
    json_writer,
    label_studio,
    perception_test,
    thumos14,
)
from .detection import JSON, detect
from .records import AnnotationError, AnnotationFile, Options, Video

__all__ = [
    'FORMATS',
    'WRITABLE',
    'AnnotationError',
    'AnnotationFile',
    'Format',
    'Options',
    'Video',
    'read_annotations',
    'write_annotations',
]

#: Reads files (or folders) of one data set.
Reader = Callable[[Sequence[Path], Options], AnnotationFile]


@dataclasses.dataclass(frozen=True)
class Format:
    """How a format is read and written.

    Attributes:
        title: What it is.
        read: From files (or folders) to what is in them.
        write: Writes a file (or folder) and tells what else was not kept; ``None``: such files
            come from others and are read only.
        holds: What it can hold of a ``Video`` beside segments, labels and durations; ``'empty'``:
            videos without actions.
        own_unit: Whether times have a unit of their own, of which reading makes seconds.
    """

    title: str
    read: Reader
    write: Callable[[Path, Mapping[str, Video], Options], list[str]] | None
    holds: frozenset[str]
    own_unit: bool = False


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
    'charades': Format(
        'Charades CSV', _each(charades.read), None, frozenset({'subset', 'empty'}), own_unit=True
    ),
    'perception_test': Format(
        'Perception Test JSON',
        _each(perception_test.read),
        None,
        frozenset({'subset', 'fps', 'num_frames', 'empty'}),
        own_unit=True,
    ),
    'frame_labels': Format(
        'frame labels of Breakfast, 50 Salads and GTEA',
        frame_labels.read,
        None,
        frozenset({'fps', 'num_frames', 'empty'}),
        own_unit=True,
    ),
    'elan': Format(
        'ELAN .eaf and text export', elan.read, None, frozenset({'empty'}), own_unit=True
    ),
    'label_studio': Format(
        'Label Studio JSON', _each(label_studio.read), None, frozenset({'empty'}), own_unit=True
    ),
}

#: Formats that can be written, by name.
WRITABLE = tuple(name for name, form in FORMATS.items() if form.write is not None)


def read_annotations(
    paths: Sequence[Path], form: str | None = None, options: Options | None = None
) -> AnnotationFile:
    """Read annotations of any of the :data:`FORMATS`.

    Args:
        paths: Files of one data set; a folder for THUMOS14, frame labels and ELAN.
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
        form = detect(path)
        readers.setdefault(_read_json if form == JSON else FORMATS[form].read, []).append(path)
    return _join([(group[0], read(group, options)) for read, group in readers.items()])


def write_annotations(
    path: Path, videos: Mapping[str, Video], form: str, options: Options | None = None
) -> list[str]:
    """Write annotations.

    Args:
        path: File, or folder for THUMOS14 and EPIC-Kitchens; each file appears when it is complete.
        videos: Videos by id.
        form: One of :data:`WRITABLE`.
        options: What some formats need to know.

    Returns:
        What the format cannot hold, one line each.

    Raises:
        AnnotationError: The format cannot hold these videos, or is read only.
        OSError: Writing failed.
    """
    write = FORMATS[form].write
    if write is None:
        raise AnnotationError(
            f'{form} can be read, not written: expected one of {", ".join(WRITABLE)}'
        )
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
    return lost + write(path, videos, options or Options())
