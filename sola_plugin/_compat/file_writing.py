"""Mends of how mmengine writes files, see :mod:`sola_plugin._compat`."""

from __future__ import annotations

import functools
import logging
import sys
import tempfile
from types import ModuleType
from typing import Any

from ..io import atomic_write, naming_file


def whole_files(local_backend: ModuleType) -> bool:
    """Symptom: a kill or a full disk in the middle of a checkpoint leaves a torn file.

    The error does not name it. mmengine writes checkpoints, and whatever else it dumps, in place.
    """

    def put(self: Any, obj: bytes | memoryview, filepath: Any) -> None:
        with atomic_write(filepath, 'wb') as file:
            file.write(obj)

    backend = local_backend.LocalBackend
    backend.put = functools.wraps(backend.put)(put)
    return True


def log_errors(logger: ModuleType) -> bool:
    """Symptom: on a full disk every line of the log becomes a traceback of twenty lines.

    The run goes on without its log. The error of the system ends the run, with the name of the log
    file.
    """
    init = logger.MMLogger.__init__

    @functools.wraps(init)
    def init_and_name(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        for handler in self.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.handleError = functools.partial(_raise, handler)  # type: ignore

    logger.MMLogger.__init__ = init_and_name
    return True


def config_copies(config: ModuleType) -> bool:
    """Symptom: a full disk ends a command with ``No space left on device`` and no file name.

    mmengine reads a config from a copy that it writes to the folder of temporary files.
    """
    read = config.Config._file2dict

    @functools.wraps(read)
    def read_and_name(*args: Any, **kwargs: Any) -> Any:
        with naming_file(tempfile.gettempdir()):
            return read(*args, **kwargs)

    config.Config._file2dict = staticmethod(read_and_name)
    return True


def _raise(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    error = sys.exception()
    if not isinstance(error, OSError):
        logging.FileHandler.handleError(handler, record)
        return
    with naming_file(handler.baseFilename):
        raise error
