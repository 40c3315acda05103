"""Files on their way to their name, and those that a kill has left; standard library only."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None  # type: ignore[assignment]

#: Of a name in that of its temporary file: 240 of the 255 bytes of a name, if all are of four.
_CHARACTERS = 60

#: End of the names of temporary files.
_SUFFIX = '.tmp'


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[tuple[int, str]]:
    """Make the temporary file of a file; it is removed after an error.

    It is locked until the end, so that :func:`remove_abandoned` knows that it is being written.

    Args:
        path: Final name.

    Yields:
        Its descriptor, to be closed inside, and its name, ``.<final name>.<anything>.tmp`` in the
        same folder, to be renamed inside.

    Raises:
        OSError: No file can be made; with the final name.
    """
    descriptor, temporary = _make(path)
    # A lock ends with the last descriptor of the file.
    held = None if fcntl is None else os.dup(descriptor)
    try:
        yield descriptor, temporary
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    finally:
        if held is not None:
            os.close(held)


def _make(path: Path) -> tuple[int, str]:
    while True:
        try:
            descriptor, temporary = tempfile.mkstemp(
                # Short enough where the name itself is as long as names can be.
                dir=path.parent,
                prefix=_prefix(path.name),
                suffix=_SUFFIX,
            )
        except OSError as error:
            error.filename = os.fspath(path)
            raise
        if fcntl is not None:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, temporary
        os.close(descriptor)  # another process has removed it before it was locked


def remove_abandoned(folder: str | os.PathLike, name: str | None = None) -> None:
    """Remove temporary files whose writers were killed.

    Those that are being written, in this process or in others, stay; all stay where the file system
    knows no locks.

    Args:
        folder: Where they are; it need not exist.
        name: Final name of those to remove; ``None``: any.
    """
    begin = '.' if name is None else _prefix(name)
    with contextlib.suppress(OSError), os.scandir(os.fspath(folder)) as entries:
        for entry in entries:
            if entry.name.startswith(begin) and entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    _remove_unlocked(entry.path)


def _prefix(name: str) -> str:
    return f'.{name[:_CHARACTERS]}.'


def _remove_unlocked(path: str) -> None:
    if fcntl is None:
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)
