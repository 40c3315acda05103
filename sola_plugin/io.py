"""Reading and writing of files: complete or not at all; standard library only."""

from __future__ import annotations

import collections
import contextlib
import errno
import gzip
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .size_limits import allowed_bytes, check_size
from .temporary_files import temporary_file

#: Bytes that are unpacked at once.
_PIECE = 1 << 20

#: The largest float has 309 digits.
_MAX_DIGITS = 300

#: Errors of the system that come of a disk which takes no more.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


@contextlib.contextmanager
def naming_file(path: str | os.PathLike) -> Iterator[None]:
    """Let errors of a full or read-only disk that are raised inside name a file.

    The system does not name the file that was open when there was no more room.

    Args:
        path: Name for errors that have none.

    Raises:
        OSError: What was raised inside.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in DISK_ERRORS:
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = 'w') -> Iterator[IO]:
    """Open a file for writing that appears under its name only when it is complete.

    The data goes to a temporary file in the same folder, is flushed to disk and then renamed. A
    full disk or a kill in the middle of the write leaves an older file of that name as it was.

    Args:
        path: Final name. Missing parent folders are made.
        mode: ``'w'`` (UTF-8 text; what is no character, a lone surrogate, is written as its escape)
            or ``'wb'``, or ``'w+b'`` for libraries that read what they have written.

    Yields:
        The open temporary file.

    Raises:
        OSError: The write failed (no space, no permission), with the final name; the temporary file
            is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding, errors = (None, None) if 'b' in mode else ('utf-8', 'backslashreplace')
    with temporary_file(path) as (descriptor, temporary):
        with (
            naming_file(path),
            _naming_torn_array(path),
            os.fdopen(descriptor, mode, encoding=encoding, errors=errors) as file,
        ):
            yield file
            file.flush()
            os.fsync(file.fileno())
        # They are made for their owner alone; a result file follows the umask instead.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)


@contextlib.contextmanager
def _naming_torn_array(path: Path) -> Iterator[None]:
    """Say what NumPy does not where an array does not fit: it gives two numbers of bytes only."""
    try:
        yield
    except OSError as error:
        if error.errno is None and 'requested and' in str(error):
            raise OSError(
                errno.EIO, f'{error}, perhaps as the disk is full', os.fspath(path)
            ) from error
        raise


def read_bytes(path: str | os.PathLike, max_bytes: int = -1) -> bytes:
    """Read a file, plain or gzipped.

    Args:
        path: The file.
        max_bytes: Read the beginning only, to look at; a negative number reads all.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: The gzipped data are cut short or damaged.
        SizeError: They unpack to more than :func:`~sola_plugin.size_limits.allowed_bytes`.
    """
    with Path(path).open('rb') as file:
        compressed = file.read(2) == b'\x1f\x8b'
        file.seek(0)
        if not compressed:
            return file.read(max_bytes)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                if max_bytes >= 0:
                    return unpacked.read(max_bytes)
                return _unpack(path, file, unpacked)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f'{path}: not complete gzip data ({error}): the file may be truncated; '
                'write or download it again'
            ) from error


def read_text(path: str | os.PathLike, max_bytes: int = -1) -> str:
    """Read a UTF-8 text file, plain or gzipped, with or without a byte-order mark; or UTF-16.

    UTF-16, which spreadsheets call Unicode text, is told by its byte-order mark or by the NULs of
    its first two characters.

    Args:
        path: The file.
        max_bytes: Read the beginning only, to look at; a negative number reads all.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: It is neither, or damaged.
    """
    data = read_bytes(path, max_bytes)
    encoding = json.detect_encoding(data)
    name = encoding.upper().removesuffix('-SIG')
    try:
        # 'utf-8-sig' and 'utf-16' take the mark away; without one, the name has the byte order.
        return data.decode(
            'utf-8-sig' if name == 'UTF-8' else encoding,
            errors='strict' if max_bytes < 0 else 'ignore',
        )
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        hint = ', as in Windows-1252 or Latin-1' if name == 'UTF-8' else ''
        raise ValueError(
            f'{path}: expected {name}, got byte 0x{data[error.start]:02x} in line {line}{hint}: '
            'save the file as UTF-8'
        ) from error


def _unpack(path: str | os.PathLike, file: IO[bytes], unpacked: gzip.GzipFile) -> bytes:
    """Read all, in pieces, so that what is too much is refused before it is in memory."""
    stored = file.seek(0, os.SEEK_END)
    # The last four bytes tell the unpacked size, unless the file is damaged.
    file.seek(-min(4, stored), os.SEEK_END)
    claimed = int.from_bytes(file.read(4), 'little')
    file.seek(0)
    if claimed > allowed_bytes(stored):
        collections.deque(_pieces(path, unpacked, stored), maxlen=0)
        unpacked.seek(0)
    data = bytearray()
    for piece in _pieces(path, unpacked, stored):
        data += piece
    return bytes(data)


def _pieces(path: str | os.PathLike, unpacked: gzip.GzipFile, stored: int) -> Iterator[bytes]:
    size = 0
    while piece := unpacked.read(_PIECE):
        size += len(piece)
        check_size(str(path), size, stored)
        yield piece


def read_json(path: str | os.PathLike, **options: Any) -> Any:
    """Read a JSON file, plain or gzipped.

    Args:
        path: The file.
        **options: Of ``json.loads``. An ``object_pairs_hook`` calls :func:`unique_keys` itself.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: This is not JSON, it is cut short or nested too deep, a key is given twice in
            one object, or a number is longer than any float.
    """
    return parse_json(_decoded(read_bytes(path), path), path, **options)


def read_names(path: str | os.PathLike) -> list[str]:
    """Read names, such as ids of videos, from a text file, one a line, or from a JSON list.

    Args:
        path: The file.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: This is no UTF-8 text, or no complete JSON.
    """
    try:
        text = read_bytes(path).decode('utf-8')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: expected a text file, one name a line: {error}') from error
    if text.lstrip()[:1] == '[':
        return list(map(str, read_json(path)))
    if text.lstrip()[:1] == '{':
        raise ValueError(f'{path}: expected names, one a line or a JSON list, got a JSON object')
    return [line.strip() for line in text.splitlines() if line.strip()]


def parse_json(data: bytes | str, path: str | os.PathLike, **options: Any) -> Any:
    """Parse JSON that was read from a file.

    Args, Raises: As :func:`read_json`.
    """
    # The hooks are Python code that is called now and then: without it, nothing hears Ctrl-C.
    options = {'object_pairs_hook': unique_keys, 'parse_int': _whole_number, **options}
    text = _decoded(data, path) if isinstance(data, bytes) else data
    try:
        return json.loads(text, **options)
    except _RefusedJSON as error:
        raise ValueError(f'{path}: {error}') from error
    except RecursionError:
        raise ValueError(
            f'{path}: expected JSON with a few levels, got lists or objects nested too deep: '
            'write the file again'
        ) from None
    except ValueError as error:
        raise _incomplete(path, error) from error


def _decoded(data: bytes, path: str | os.PathLike) -> str:
    """The text of a JSON file. The bytes need not be kept while it is parsed."""
    try:
        return data.decode(json.detect_encoding(data), 'surrogatepass')
    except ValueError as error:
        raise _incomplete(path, error) from error


def _incomplete(path: str | os.PathLike, error: ValueError) -> ValueError:
    return ValueError(
        f'{path}: not complete JSON ({error}): the file may be truncated; '
        'write or download it again'
    )


class _RefusedJSON(ValueError):
    """JSON by its grammar, but not to be used."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of the keys and values of a JSON object.

    Raises:
        ValueError: A key is given twice.
    """
    content = dict(pairs)
    if len(content) < len(pairs):
        [(twice, _)] = collections.Counter(key for key, _ in pairs).most_common(1)
        raise _RefusedJSON(
            f'expected each key once in an object, got {twice!r} twice: only one of the two '
            'would count; remove or rename the other'
        )
    return content


def _whole_number(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise _RefusedJSON(
            f'expected numbers that a float can hold, got one of {len(text)} digits '
            f'({text[:10]}...): correct it'
        )
    return int(text)
