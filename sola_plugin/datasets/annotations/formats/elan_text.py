"""ELAN's tab-delimited export: an annotation a row, or a column a tier."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from .records import AnnotationError, parse_number, parse_seconds

_TIER_NAMES = ('tier', 'tier name')
_PARTICIPANT_NAMES = ('participant',)
_FILE_NAMES = ('file', 'file name', 'file path')
#: What may stand behind ``Begin Time - `` and ``End Time - ``, and how it is read to seconds.
_UNITS = ('hh:mm:ss.ms', 'ss.msec', 'msec')

_CLOCK = re.compile(r'\d+:\d\d:\d\d\.\d+')
_SECONDS = re.compile(r'-?\d+\.\d+')
_WHOLE = re.compile(r'-?\d+')

#: Milliseconds by which two forms of the same time may differ.
_ROUNDING = 0.0015


@dataclasses.dataclass(frozen=True)
class Entry:
    """An annotation of ELAN.

    Attributes:
        tier: Name of its tier.
        video: Id of its video.
        where: Where it stands, for messages.
        start: Seconds; ``None``, where it is no time.
        end: Seconds; ``None``, where it is no time.
        given: What stands there as times, for messages.
        label: Its text.
    """

    tier: str
    video: str
    where: str
    start: float | None
    end: float | None
    given: str
    label: str


def name_of(path: Path | PurePosixPath) -> str:
    """What a video is called after a file: its name without the ending."""
    return Path(path.name.removesuffix('.gz')).stem


def looks_like(text: str) -> bool:
    """Whether a text begins as an export: ELAN's names of columns, or two clock times in a row."""
    cells = next((line for line in text.splitlines() if line.strip()), '').split('\t')
    return _is_header(cells) or sum(bool(_CLOCK.fullmatch(cell.strip())) for cell in cells) >= 2


def read_entries(path: Path, text: str) -> list[Entry]:
    """Read an export, with or without names of columns.

    With names, the times are in ``Begin Time - UNIT`` and ``End Time - UNIT``; there is a column
    ``Tier`` and one more for the annotations, or every other column is a tier. Without names, the
    order is ELAN's: tier, participant, begin, end and perhaps duration, each in one or more
    forms, annotation, and perhaps the file.

    Args:
        path: The file.
        text: What is in it.

    Returns:
        All annotations.

    Raises:
        AnnotationError: The columns cannot be told; the message names the file and the line.
    """
    rows = [
        (number, [cell.strip() for cell in line.split('\t')])
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]
    if not rows:
        raise AnnotationError(f'{path}: the file is empty: expected annotations of ELAN')
    if _is_header(rows[0][1]):
        return list(_with_names(path, rows[0][1], rows[1:]))
    return list(_without_names(path, rows))


def _is_header(cells: Sequence[str]) -> bool:
    return any(cell.strip().lower().startswith('begin time - ') for cell in cells)


def _with_names(
    path: Path, header: Sequence[str], rows: Sequence[tuple[int, list[str]]]
) -> Iterator[Entry]:
    names = [name.lower() for name in header]
    begin, end = (_time_column(path, names, kind) for kind in ('begin time', 'end time'))
    tier = next((names.index(name) for name in _TIER_NAMES if name in names), None)
    file = next((names.index(name) for name in _FILE_NAMES if name in names), None)
    others = [
        column
        for column, name in enumerate(names)
        if name
        and not name.startswith(('begin time', 'end time', 'duration'))
        and name not in (*_TIER_NAMES, *_PARTICIPANT_NAMES, *_FILE_NAMES)
    ]
    if not others or (tier is not None and len(others) > 1):
        raise AnnotationError(
            f'{path}: expected one column of annotations beside tier and times, or a column for '
            f'each tier, got {[header[column] for column in others]}'
        )
    for number, cells in rows:
        cells = cells + [''] * (len(header) - len(cells))
        start, stop = (_read_time(cells[column], unit) for column, unit in (begin, end))
        given = f'{cells[begin[0]]!r} and {cells[end[0]]!r}'
        video = name_of(path if file is None else _any_path(cells[file]))
        for column in others:
            if cells[column] or tier is not None:
                name = header[column] if tier is None else cells[tier]
                yield Entry(name, video, f'line {number}', start, stop, given, cells[column])


def _time_column(path: Path, names: Sequence[str], kind: str) -> tuple[int, str]:
    """The column of a time, and its unit."""
    for unit in _UNITS:
        if f'{kind} - {unit}' in names:
            return names.index(f'{kind} - {unit}'), unit
    raise AnnotationError(
        f'{path}: expected a column {" or ".join(f"{kind} - {unit}".title() for unit in _UNITS)}, '
        f'got {[name for name in names if name.startswith(kind)]}'
    )


def _read_time(text: str, unit: str) -> float | None:
    if unit == 'hh:mm:ss.ms':
        return parse_seconds(text) if ':' in text else None
    value = parse_number(text)
    return value if value is None or unit == 'ss.msec' else value / 1000


def _without_names(path: Path, rows: Sequence[tuple[int, list[str]]]) -> Iterator[Entry]:
    begin, end, label = _columns(path, rows)
    for number, cells in rows:
        cells = cells + [''] * (label + 1 - len(cells))
        file = cells[label + 1] if len(cells) > label + 1 else ''
        yield Entry(
            cells[0],
            name_of(_any_path(file) if file else path),
            f'line {number}',
            _own_unit(cells[begin]),
            _own_unit(cells[end]),
            f'{cells[begin]!r} and {cells[end]!r}',
            cells[label],
        )


def _own_unit(text: str) -> float | None:
    """Seconds of a time whose form tells its unit: a clock, seconds with a point, or ms."""
    if _CLOCK.fullmatch(text):
        return parse_seconds(text)
    if _SECONDS.fullmatch(text):
        return float(text)
    return int(text) / 1000 if _WHOLE.fullmatch(text) and len(text) < 16 else None


def _columns(path: Path, rows: Sequence[tuple[int, list[str]]]) -> tuple[int, int, int]:
    """The columns of begin, end and annotation, by what is in most rows.

    Raises:
        AnnotationError: They are not clear.
    """
    width = max(len(cells) for _, cells in rows)
    timed = [
        2 * sum(len(cells) > column and _own_unit(cells[column]) is not None for _, cells in rows)
        > len(rows)
        for column in range(width)
    ]
    # Tier and participant stand first; tiers may be called 1 and 2.
    first = next((column for column in range(1, width) if timed[column]), width)
    last = next((column for column in range(first, width) if not timed[column]), width)
    timed_columns = last - first
    # The text of annotations may be a number too; then only durations show which one is the text.
    for run, groups in ((timed_columns, 3), (timed_columns, 2), (timed_columns - 1, 3)):
        size, rest = divmod(run, groups)
        label = first + run
        if size > 0 and not rest and label < width <= label + 2:
            columns = [first + size * group for group in range(groups)]
            if all(_fits(cells, columns, size) for _, cells in rows):
                return columns[0], columns[1], label
    raise AnnotationError(
        f'{path}: line {rows[0][0]}: expected the columns tier, participant, begin, end, duration, '
        f'annotation of an ELAN export, got {rows[0][1]}: export with a row of names, or give the '
        '.eaf file'
    )


def _fits(cells: Sequence[str], columns: Sequence[int], size: int) -> bool:
    """Whether all forms of a time agree, and the duration with begin and end; bad times do."""
    if len(cells) < columns[-1] + size:
        return True
    times = []
    for column in columns:
        forms = [_own_unit(text) for text in cells[column : column + size]]
        if None in forms:
            return True
        numbers = [form for form in forms if form is not None]
        if max(numbers) - min(numbers) > _ROUNDING:
            return False
        times.append(numbers[0])
    return len(times) < 3 or abs(times[1] - times[0] - times[2]) <= 2 * _ROUNDING


def _any_path(text: str) -> PurePosixPath:
    """A path of any system, also as an address."""
    return PurePosixPath(text.replace('\\', '/').rpartition('/')[2])
