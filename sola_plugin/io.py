"""Reading and writing of files: complete or not at all; standard library only."""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

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
        mode: ``'w'`` (UTF-8 text) or ``'wb'``.

    Yields:
        The open temporary file.

    Raises:
        OSError: The write failed (no space, no permission), with the final name; the temporary file
            is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = None if 'b' in mode else 'utf-8'
    try:
        descriptor, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp'
        )
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    try:
        with naming_file(path), os.fdopen(descriptor, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only the owner may read; a result file follows the umask instead.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def read_bytes(path: str | os.PathLike) -> bytes:
    """Read a file, plain or gzipped.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: The gzipped data are cut short or damaged.
    """
    data = Path(path).read_bytes()
    if data[:2] != b'\x1f\x8b':
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f'{path}: not complete gzip data ({error}): the file may be truncated; '
            'write or download it again'
        ) from error


def read_json(path: str | os.PathLike, **options: Any) -> Any:
    """Read a JSON file, plain or gzipped.

    Args:
        path: The file.
        **options: Of ``json.loads``.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: This is not JSON, or it is cut short.
    """
    data = read_bytes(path)
    # Python code that is called now and then: without it, nothing hears Ctrl-C until the end.
    options.setdefault('object_hook', _as_it_is)
    try:
        return json.loads(data, **options)
    except ValueError as error:
        raise ValueError(
            f'{path}: not complete JSON ({error}): the file may be truncated; '
            'write or download it again'
        ) from error


def _as_it_is(content: dict) -> dict:
    return content
