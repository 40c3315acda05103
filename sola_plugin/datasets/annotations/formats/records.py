"""What the readers of annotation formats share: values, records, faults."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import math
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from sola_plugin import io
from sola_plugin.messages import first_few

_CLOCK = re.compile(r'(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:\.\d*)?)')


def read_text(path: Path) -> str:
    """Read a text file, see :func:`sola_plugin.io.read_text`.

    Raises:
        AnnotationError: It is neither UTF-8 nor UTF-16, or damaged.
        FileNotFoundError: There is no such file.
    """
    try:
        return io.read_text(path)
    except ValueError as error:
        raise AnnotationError(str(error)) from error


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8, atomically; gzipped if the name ends with ``.gz``.

    What is no character, a lone surrogate, is written as its escape.
    """
    data = text.encode('utf-8', 'backslashreplace')
    with io.atomic_write(path, 'wb') as file:
        file.write(gzip.compress(data, mtime=0) if os.fspath(path).endswith('.gz') else data)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder that appears under its name only when all of its files are written.

    Args:
        path: Final name; there is no such file or folder yet.

    Yields:
        The temporary folder.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary)
        raise


def parse_number(text: str) -> float | None:
    """The finite number that a text is; ``None`` if it is not one.

    >>> parse_number(' 12.50 '), parse_number('nan'), parse_number('1,5'), parse_number('1_000')
    (12.5, None, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and '_' not in text else None


def parse_seconds(text: str) -> float | None:
    """Seconds of a text, ``'83.5'`` or ``'[HH:]MM:SS.ss'``; ``None`` if it is neither.

    >>> [parse_seconds(text) for text in ('83.5', '00:01:23.50', '1:23.5', '1:99')]
    [83.5, 83.5, 83.5, None]
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock is None:
        return parse_number(text)
    hours, minutes, seconds = clock.groups()
    # Decimal: 1 h 0.14 s is 3600.14, and not a sum of rounded parts.
    value = float(3600 * Decimal(hours or 0) + 60 * Decimal(minutes) + Decimal(seconds))
    return value if math.isfinite(value) else None


def clock_text(seconds: float) -> str:
    """``HH:MM:SS.ss`` of seconds from 0, with the digits it takes to read the same number back.

    >>> clock_text(3600.14), clock_text(83), clock_text(25.81087088455538)
    ('01:00:00.14', '00:01:23.00', '00:00:25.81087088455538')
    """
    minutes, rest = divmod(Decimal(repr(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    digits = max(2, -int(rest.as_tuple().exponent))
    return f'{int(hours):02}:{int(minutes):02}:{rest:0{digits + 3}.{digits}f}'


#: Tells the duration of a video in seconds where the annotations do not; ``None``: not known.
Durations = Callable[[str], float | None]
#: Tells the frames per second of a video where the annotations do not; ``None``: not known.
Rates = Callable[[str], float | None]


class AnnotationError(ValueError):
    """An annotation file cannot be used; the message names the file or the video, and the key."""


class NoDurationError(AnnotationError):
    """The durations of some videos are not known."""


@dataclasses.dataclass(frozen=True)
class Video:
    """What an annotation file says of one video.

    Attributes:
        duration: Length of the video, seconds.
        subset: ``'training'``, ``'validation'``, ...; ``None`` where the file has no subsets.
        annotations: One ``dict(segment=[start, end], label=str)`` an action; seconds, values as in
            the file.
        feature_span: ``(start, end)`` of the stretch that the features cover, seconds; ``None``
            where the file does not say.
        fps: Frames per second of the video; ``None`` where the file does not say.
        num_frames: Frames in the video; ``None`` where the file does not say.
    """

    duration: float
    subset: str | None = None
    annotations: tuple[dict, ...] = ()
    feature_span: tuple[float, float] | None = None
    fps: float | None = None
    num_frames: int | None = None


@dataclasses.dataclass(frozen=True)
class AnnotationFile:
    """All that could be read of annotations.

    Attributes:
        videos: Videos by id, whole and in the order of the file.
        faults: What is wrong with each video that could not be read: the first fault of each.
        repeated_keys: Keys that occur more than once in one object of a JSON file, such as a video
            id; the last is kept.
        notes: What the file holds that ``videos`` does not.
        form: Name of the format, see ``FORMATS``.
    """

    videos: dict[str, Video]
    faults: tuple[str, ...] = ()
    repeated_keys: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    form: str = ''


@dataclasses.dataclass(frozen=True)
class Options:
    """What some formats need to know beside the file.

    Attributes:
        durations: Durations of videos whose file gives none.
        labels: Which labels of EPIC-Kitchens: ``'verb'``, ``'noun'`` or ``'action'``; of Charades
            and of frame labels, the file with the names of the classes.
        fps: Frame rates of videos whose times are frames.
        background: Labels of frames that are no action; ``None``: those of the known data sets.
        tiers: Tiers of ELAN that are read; ``None``: the only one.
        annotator: Whose annotations of Label Studio are read, an id or an e-mail address.
    """

    durations: Durations | None = None
    labels: str | None = None
    fps: Rates | None = None
    background: Collection[str] | None = None
    tiers: Collection[str] | None = None
    annotator: str | None = None


def checked_segment(start: float | None, end: float | None, where: str, given: str) -> list[float]:
    """Make a segment of times that are worth one.

    Args:
        start: Seconds; ``None``, where it is no number.
        end: Seconds; ``None``, where it is no number.
        where: Where it stands, for messages.
        given: What stands there, for messages.

    Raises:
        AnnotationError: A time is no number or negative, or the end is before the start.
    """
    if start is None or end is None or not (math.isfinite(start) and math.isfinite(end)):
        raise AnnotationError(f'{where}: expected numbers for start and end, got {given}')
    if start < 0:
        raise AnnotationError(f'{where}: expected times from 0 on, got {given}')
    if end < start:
        raise AnnotationError(f'{where}: expected an end behind the start, got {given}')
    return [start, end]


def require_subsets(videos: Mapping[str, Video]) -> None:
    """Check that every video has a subset.

    Raises:
        AnnotationError: One has none.
    """
    without = [video_id for video_id, video in videos.items() if not video.subset]
    if without:
        raise AnnotationError(
            f'{len(without)} videos have no subset, which is part of the file names: '
            f'{first_few(map(repr, without))}. Give them one with --rename-subset =NAME'
        )


#: Parses a row: the action that it describes, if any, and attributes of its ``Video``.
ParseRow = Callable[[Any, str], tuple[dict | None, dict[str, Any]]]


def group_rows(
    rows: Iterable[tuple[str, str, Any]],
    parse: ParseRow,
    durations: Durations | None,
    source: object,
    hint: str,
) -> tuple[dict[str, Video], tuple[str, ...]]:
    """Put rows, one an action, together to videos.

    Args:
        rows: Video id, where the row stands (for messages), and the row.
        parse: Parses a row; what rows say of the same video must agree.
        durations: Tells durations that no row gives.
        source: What is read, for messages.
        hint: What to do where durations are not known.

    Returns:
        The videos in the order of their first rows, and the first fault of each of the others.

    Raises:
        NoDurationError: There is no duration for some videos.
    """
    actions: dict[str, list[dict]] = {}
    facts: dict[str, dict[str, Any]] = {}
    faults: dict[str, str] = {}
    for video_id, where, row in rows:
        try:
            action, said = parse(row, where)
            known = facts.setdefault(video_id, {})
            _agree(video_id, known, said, where)
            known.update(said)
            actions.setdefault(video_id, []).extend([action] if action else [])
        except AnnotationError as error:
            faults.setdefault(video_id, str(error))
    good = {video_id: known for video_id, known in facts.items() if video_id not in faults}
    missing = _add_durations(good, durations)
    if missing:
        raise NoDurationError(
            f'{source}: no duration is known for {len(missing)} of {len(good)} videos: '
            f'{first_few(map(repr, missing))}. {hint}'
        )
    videos = {
        video_id: Video(annotations=tuple(actions[video_id]), **known)
        for video_id, known in good.items()
    }
    return videos, tuple(faults.values())


def _agree(video_id: str, known: Mapping[str, Any], said: Mapping[str, Any], where: str) -> None:
    for key, value in said.items():
        if known.get(key, value) != value:
            raise AnnotationError(
                f'{where}: expected one {key} for {video_id!r}, got {value!r} here and '
                f'{known[key]!r} before'
            )


def _add_durations(facts: Mapping[str, dict[str, Any]], durations: Durations | None) -> list[str]:
    """Add what ``durations`` knows, and tell the videos that it does not know."""
    for video_id, known in facts.items():
        if 'duration' not in known and durations is not None:
            known['duration'] = durations(video_id)
    return [video_id for video_id, known in facts.items() if known.get('duration') is None]
