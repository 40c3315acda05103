"""What mmengine keeps of every run in a process, the newest being the current one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from .random_state import keep_random_state

_MANAGERS = (MMLogger, MessageHub, DefaultScope, Visualizer)


@contextlib.contextmanager
def nested_run() -> Iterator[None]:
    """Let another Runner live inside; the outer one's globals and random state stay as they were.

    mmengine's loggers, message hubs and visualizers are found through "the newest instance", and a
    Runner seeds every generator.
    """
    newest = [next(reversed(manager._instance_dict), None) for manager in _MANAGERS]
    try:
        with keep_random_state():
            yield
    finally:
        for manager, name in zip(_MANAGERS, newest):
            if name is not None:
                manager._instance_dict.move_to_end(name)


@contextlib.contextmanager
def forget_runs() -> Iterator[None]:
    """Let go of the runs that were inside, so that a process can have any number of them.

    mmengine keeps their log files open, which the system admits some thousand of, and their
    histories in memory.
    """
    before = [set(manager._instance_dict) for manager in _MANAGERS]
    try:
        yield
    finally:
        for manager, known in zip(_MANAGERS, before):
            for name in set(manager._instance_dict) - known:
                instance = manager._instance_dict.pop(name)
                for handler in instance.handlers if isinstance(instance, MMLogger) else ():
                    handler.close()
