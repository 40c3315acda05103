"""From texts and JSON values to checked numbers and times, and back. Standard library only."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from sola_plugin.utils import atomic_write

from .records import AnnotationError

_CLOCK = re.compile(r'(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:\.\d*)?)')


def read_text(path: Path, max_bytes: int = -1) -> str:
    """Read a UTF-8 text file, plain or gzipped, with or without a byte-order mark.

    Args:
        path: The file.
        max_bytes: Read the beginning only, to look at; a negative number reads all.

    Raises:
        AnnotationError: It is not UTF-8, or damaged.
        FileNotFoundError: There is no such file.
    """
    try:
        with path.open('rb') as plain:
            compressed = plain.read(2) == b'\x1f\x8b'
        with gzip.open(path) if compressed else path.open('rb') as file:
            data = file.read(max_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise AnnotationError(
            f'{path}: not complete gzip data ({error}): the file may be truncated; '
            'write or download it again'
        ) from error
    try:
        return data.decode('utf-8-sig', errors='strict' if max_bytes < 0 else 'ignore')
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        raise AnnotationError(
            f'{path}: expected UTF-8, got byte 0x{data[error.start]:02x} in line {line}: '
            'save the file as UTF-8'
        ) from error


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8, atomically; gzipped if the name ends with ``.gz``."""
    data = text.encode()
    with atomic_write(path, 'wb') as file:
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


def is_finite_number(value: Any) -> bool:
    """Whether a JSON value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


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
    return float(3600 * Decimal(hours or 0) + 60 * Decimal(minutes) + Decimal(seconds))


def clock_text(seconds: float) -> str:
    """``HH:MM:SS.ss`` of seconds from 0, with as many digits as it takes to read the same number
    back.

    >>> clock_text(3600.14), clock_text(83), clock_text(25.81087088455538)
    ('01:00:00.14', '00:01:23.00', '00:00:25.81087088455538')
    """
    minutes, rest = divmod(Decimal(repr(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    digits = max(2, -int(rest.as_tuple().exponent))
    return f'{int(hours):02}:{int(minutes):02}:{rest:0{digits + 3}.{digits}f}'
