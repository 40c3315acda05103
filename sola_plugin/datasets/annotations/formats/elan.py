"""ELAN: its ``.eaf`` files, and its export as tab-delimited text (:mod:`.elan_text`)."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from sola_plugin.io import read_bytes
from sola_plugin.messages import first_few

from . import elan_text
from .elan_text import Entry
from .records import (
    AnnotationError,
    AnnotationFile,
    Options,
    checked_segment,
    group_rows,
    read_text,
)

_ROOT = 'ANNOTATION_DOCUMENT'
#: Tiers stand below others a few times; more are a circle.
_MAX_PARENTS = 100
_NO_DURATIONS = (
    'ELAN does not store them: give --durations FILE to tools/convert_annotations.py; or give '
    'feature_stride to the dataset, which then takes the length of the features'
)


def read(paths: Sequence[Path], options: Options) -> AnnotationFile:
    """Read ``.eaf`` files and text exports; the label of an action is the text of its annotation.

    A video is called as its file (as the file that a row names, in an export of several). Of
    several tiers, those to read must be named; their names are part of no label.

    Args:
        paths: Files, or folders of ``.eaf`` files (of ``.txt`` where there is none).
        options: ``tiers`` to read, and ``durations``, which ELAN does not store.

    Returns:
        The videos.

    Raises:
        AnnotationError: A file is no such file, or two are of one video.
        NoDurationError: A duration is not known.
        FileNotFoundError: There is no such file.
    """
    rows: list[tuple[str, str, Entry | None]] = []
    notes: list[str] = []
    origin: dict[str, Path] = {}
    for path in _files(paths):
        entries, more = _entries(path)
        notes += [f'{path.name}: {note}' for note in more]
        chosen, left_out = _choose(path, entries, options)
        notes += left_out
        videos = dict.fromkeys([entry.video for entry in entries] or [elan_text.name_of(path)])
        for video_id in videos:
            if origin.setdefault(video_id, path) != path:
                raise AnnotationError(
                    f'{origin[video_id]} and {path}: expected one file a video, got two of '
                    f'{video_id!r}'
                )
            rows.append((video_id, path.name, None))
        rows += [(entry.video, f'{path.name} {entry.where}', entry) for entry in chosen]
    found, faults = group_rows(rows, _parse, options.durations, first_few(paths), _NO_DURATIONS)
    return AnnotationFile(found, faults, notes=tuple(notes), form='elan')


def looks_like(text: str) -> bool:
    """Whether a file that begins so is an ``.eaf`` file or a text export."""
    return f'<{_ROOT}' in text if text.startswith('<') else elan_text.looks_like(text)


def _files(paths: Sequence[Path]) -> list[Path]:
    files = []
    for path in paths:
        if path.is_dir():
            files += sorted(path.rglob('*.eaf')) or sorted(path.rglob('*.txt'))
        else:
            files.append(path)
    if not files:
        raise AnnotationError(f'{first_few(paths)}: expected .eaf files, got none')
    return files


def _entries(path: Path) -> tuple[list[Entry], list[str]]:
    try:
        data = read_bytes(path)
    except ValueError as error:
        raise AnnotationError(str(error)) from error
    # A byte-order mark, or NULs of UTF-16, may stand before and in the first tag.
    if b'<' in data[:8]:
        return _eaf_entries(path, _parse_xml(path, data))
    return elan_text.read_entries(path, read_text(path)), []


def _choose(
    path: Path, entries: Sequence[Entry], options: Options
) -> tuple[list[Entry], list[str]]:
    """The entries of the wanted tiers, and what is left out."""
    counts = collections.Counter(entry.tier for entry in entries)
    known = ', '.join(f'{tier!r} ({count})' for tier, count in counts.items())
    if options.tiers is None:
        if len(counts) > 1:
            raise AnnotationError(
                f'{path}: there are several tiers with annotations, {known}: name those to read, '
                'tools/convert_annotations.py --tier NAME'
            )
        return list(entries), []
    missing = [tier for tier in options.tiers if tier not in counts]
    if missing:
        raise AnnotationError(
            f'{path}: there are no annotations in a tier {missing[0]!r}, but in {known or "none"}'
        )
    others = {tier: count for tier, count in counts.items() if tier not in options.tiers}
    notes = [f'{path.name}: tier {tier!r} ({count}) is not kept' for tier, count in others.items()]
    return [entry for entry in entries if entry.tier in options.tiers], notes


def _parse(entry: Entry | None, where: str) -> tuple[dict | None, dict[str, Any]]:
    if entry is None:
        return None, {}
    segment = checked_segment(entry.start, entry.end, where, entry.given)
    if not entry.label:
        raise AnnotationError(f'{where}: expected an annotation with text, got an empty one')
    return dict(segment=segment, label=entry.label), {}


def _parse_xml(path: Path, data: bytes) -> ElementTree.Element:
    """Parse XML that declares nothing: entities can take any memory, or read other files."""
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise AnnotationError(
            f'{path}: expected XML without DOCTYPE and entities, which ELAN never writes, got some'
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        root = builder.close()
    except (expat.ExpatError, ValueError, LookupError, AssertionError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(
            f'{path}: not complete XML ({error}): the file may be truncated; save it again'
        ) from error
    if root.tag != _ROOT:
        raise AnnotationError(f'{path}: expected {_ROOT} of ELAN, got {root.tag!r}')
    return root


def _eaf_entries(path: Path, root: ElementTree.Element) -> tuple[list[Entry], list[str]]:
    header = root.find('HEADER')
    unit = 'milliseconds' if header is None else header.get('TIME_UNITS', 'milliseconds')
    if unit != 'milliseconds':
        raise AnnotationError(f"{path}: expected TIME_UNITS 'milliseconds', got {unit!r}")
    document = _Document(path, root)
    entries = [
        entry
        for tier in root.iter('TIER')
        for entry in document.entries(tier, tier.get('TIER_ID', ''))
    ]
    return entries, list(_media_notes(path, root))


def _media_notes(path: Path, root: ElementTree.Element) -> Iterator[str]:
    media = list(root.iter('MEDIA_DESCRIPTOR'))
    names = [
        elan_text.name_of(Path(descriptor.get('MEDIA_URL', '').replace('\\', '/')))
        for descriptor in media
    ]
    if names and elan_text.name_of(path) not in names:
        yield (
            f'the video is called {elan_text.name_of(path)!r} as the file, which is linked to '
            f'{first_few(map(repr, names))}'
        )
    for descriptor in media:
        if descriptor.get('TIME_ORIGIN', '0') not in ('', '0'):
            yield (
                f'{descriptor.get("MEDIA_URL")} begins at {descriptor.get("TIME_ORIGIN")} ms of '
                'the time line (TIME_ORIGIN): times are those of the time line'
            )


@dataclasses.dataclass(frozen=True)
class _Times:
    """What is said of the times of an annotation: seconds, and how they are given."""

    start: float | None
    end: float | None
    given: str


class _Document:
    """Annotations of a document with their times, which slots or other annotations have."""

    def __init__(self, path: Path, root: ElementTree.Element) -> None:
        self._path = path
        self._slots: dict[str, str | None] = {}
        for slot in root.iter('TIME_SLOT'):
            name = slot.get('TIME_SLOT_ID', '')
            if name in self._slots:
                raise AnnotationError(f'{path}: expected time slot {name!r} once, got it twice')
            self._slots[name] = slot.get('TIME_VALUE')
        self._annotations: dict[str, ElementTree.Element] = {}
        for annotation in _annotations(root):
            name = annotation.get('ANNOTATION_ID', '')
            if name in self._annotations:
                raise AnnotationError(f'{path}: expected annotation {name!r} once, got it twice')
            self._annotations[name] = annotation

    def entries(self, tier: ElementTree.Element, tier_name: str) -> Iterator[Entry]:
        """What stands in a tier."""
        parents: set[str] = set()
        for annotation in _annotations(tier):
            name = annotation.get('ANNOTATION_ID', '')
            where = f'tier {tier_name!r}, annotation {name!r}'
            times = self._times(annotation, where)
            parent = annotation.get('ANNOTATION_REF')
            if parent in parents:
                raise AnnotationError(
                    f'{self._path}: {where}: expected one annotation for {parent!r}, got several '
                    '(a subdivision), which have no times of their own'
                )
            parents.update([parent] if parent else [])
            yield Entry(
                tier_name,
                elan_text.name_of(self._path),
                where,
                times.start,
                times.end,
                times.given,
                (annotation.findtext('ANNOTATION_VALUE') or '').strip(),
            )

    def _times(self, annotation: ElementTree.Element, where: str) -> _Times:
        parents = 0
        while annotation.tag == 'REF_ANNOTATION':
            parent = annotation.get('ANNOTATION_REF', '')
            if parents == _MAX_PARENTS or parent not in self._annotations:
                raise AnnotationError(
                    f'{self._path}: {where}: expected the annotation that it refers to, got '
                    f'{parent!r}'
                )
            parents += 1
            annotation = self._annotations[parent]
        names = [annotation.get(f'TIME_SLOT_REF{number}', '') for number in (1, 2)]
        unknown = [name for name in names if name not in self._slots]
        if unknown:
            raise AnnotationError(
                f'{self._path}: {where}: expected a time slot of the file, got {unknown[0]!r}'
            )
        values = [self._slots[name] for name in names]
        start, end = map(_seconds, values)
        given = ' and '.join(
            f'{name} ' + ('without a time' if value is None else repr(value))
            for name, value in zip(names, values)
        )
        return _Times(start, end, given)


def _annotations(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    for annotation in element.iter('ANNOTATION'):
        yield from annotation


def _seconds(milliseconds: str | None) -> float | None:
    """Seconds of ELAN's whole milliseconds."""
    try:
        return int(milliseconds or '') / 1000
    except (ValueError, OverflowError):
        return None
