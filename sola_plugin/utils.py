"""Small helpers without a home of their own; standard library only."""
from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = 'w') -> Iterator[IO]:
    """Open a file for writing that appears under its name only when it is complete.

    The data goes to a temporary file in the same folder, is flushed to disk and then renamed. A full
    disk or a kill in the middle of the write leaves an older file of that name as it was.

    Args:
        path: Final name. Missing parent folders are made.
        mode: ``'w'`` (UTF-8 text) or ``'wb'``.

    Yields:
        The open temporary file.

    Raises:
        OSError: The write failed (no space, no permission); the temporary file is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = None if 'b' in mode else 'utf-8'
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp')
    try:
        with os.fdopen(descriptor, mode, encoding=encoding) as file:
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
