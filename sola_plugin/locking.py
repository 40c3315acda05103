"""One writer at a time: a lock file that the system releases when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None  # type: ignore[assignment]

#: What file systems without locks answer, such as Lustre that is mounted without ``flock``.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class BusyError(OSError):
    """Another process is writing to the same place."""


@contextlib.contextmanager
def hold_lock(
    target: str | os.PathLike,
    wait: Callable[[str], None] | None = None,
    inside: bool = False,
) -> Iterator[None]:
    """Be the only process that writes to a file or folder.

    The lock is a file beside it, ``.<name>.lock``, or ``.lock`` in the folder, that names its
    holder. The system releases it when the holder dies, however that comes about; a file that
    stays behind means nothing. Where the file system knows no locks, a warning says so, and nothing
    is locked.

    Args:
        target: File or folder; it need not exist.
        wait: Wait for another holder, after this was called with who it is. ``None``: refuse.
        inside: Put the lock into the folder, which is then neither removed nor renamed meanwhile.

    Raises:
        BusyError: Another process has the lock, and ``wait`` is ``None``.
        OSError: The lock cannot be written.
    """
    target = Path(target)
    path = target / '.lock' if inside else target.with_name(f'.{target.name}.lock')
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire(target, path, wait)
    try:
        yield
    finally:
        if descriptor is not None:
            # First the name: whoever waits finds that it is gone, and makes a new file.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # child processes may have it open too
            os.close(descriptor)


def _acquire(target: Path, path: Path, wait: Callable[[str], None] | None) -> int | None:
    """Open and lock the file; ``None`` where there are no locks."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(descriptor, target, path, wait):
                os.close(descriptor)
                return None
            if _is_file(descriptor, path):
                os.truncate(descriptor, 0)
                os.write(descriptor, f'process {os.getpid()} on {socket.gethostname()}\n'.encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it after we had opened it


def _lock(descriptor: int, target: Path, path: Path, wait: Callable[[str], None] | None) -> bool:
    """Lock an open file; whether this is possible on its file system."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 1000, 0).decode(errors='replace').strip()
        holder = holder or 'another process'
        if wait is None:
            raise BusyError(
                f'{target}: {holder} is writing to it: wait until it has ended, or take another '
                f'name (lock: {path})'
            ) from None
        wait(holder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f'{path.parent}: the file system knows no locks ({error.strerror}): make sure that no '
            f'other process writes to {target.name}',
            stacklevel=4,
        )
        return False
    return True


def _is_file(descriptor: int, path: Path) -> bool:
    """Whether the open file is still that of the path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
