"""Tools that are killed when a seed says: at a time, at a change of a file, within a write.

A tool runs in a fork, a process group of its own, so that a kill takes its workers along.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import runpy
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from tests.processes import ROOT, START_METHOD, leave_garbage

#: What changes files, as Python's audit events name it. ``open`` counts where it is to write.
_CHANGES = ('open', 'os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'os.truncate', 'os.link')

#: Seconds that a tool may take.
_PATIENCE = 300


class Course(NamedTuple):
    """How a tool went that nobody disturbed."""

    seconds: float
    changes: int
    largest: int


class Moment(NamedTuple):
    """When to kill: after so many seconds, at a change of a file, or in a file of so many bytes."""

    kind: str
    value: float

    def __str__(self) -> str:
        return f'{self.kind} {self.value:.4g}'


def draw_moment(rng: random.Random, kind: str, course: Course) -> Moment:
    """A moment within the course of a tool."""
    if kind == 'seconds':
        return Moment(kind, rng.uniform(0, course.seconds))
    return Moment(kind, rng.randrange(course.changes if kind == 'change' else course.largest))


def run_whole(folder: Path, command: list[object]) -> Course:
    """Run a tool to its end, and note how it goes.

    Args:
        folder: Where it writes; its changes there are counted.
        command: Its name without ``.py``, and its arguments.
    """
    start = time.monotonic()
    log = folder.with_name(f'{folder.name}.changes')
    code = _wait(_start(folder, command, log=log), None)
    assert code == 0, _output(folder)
    seconds = time.monotonic() - start
    sizes = [path.stat().st_size for path in folder.rglob('*') if path.is_file()]
    return Course(seconds, len(log.read_text().splitlines()), max(sizes))


def run_killed(folder: Path, command: list[object], moment: Moment) -> bool:
    """Run a tool and kill it.

    Returns:
        Whether it was killed; it may have ended before.
    """
    process = _start(folder, command, moment)
    code = _wait(process, moment.value if moment.kind == 'seconds' else None)
    assert code in (0, -signal.SIGKILL, -signal.SIGXFSZ), _output(folder)
    return code != 0


def _start(folder: Path, command: list[object], moment: Moment | None = None, log=None):
    process = multiprocessing.get_context(START_METHOD).Process(
        target=_run, args=(folder, command, moment, log)
    )
    process.start()
    return process


def _wait(process: multiprocessing.process.BaseProcess, seconds: float | None) -> int:
    process.join(_PATIENCE if seconds is None else seconds)
    late = process.exitcode is None and seconds is None
    for kill in (os.killpg, os.kill):  # at its very start it has no group yet
        try:
            kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.join()
    assert not late, 'the tool hangs'
    return process.exitcode


def _output(folder: Path) -> str:
    path = _output_file(folder)
    return path.read_text(errors='replace')[-3000:] if path.exists() else ''


def _output_file(folder: Path) -> Path:
    return folder.with_name(f'{folder.name}.output')


def _run(folder: Path, command: list[object], moment: Moment | None, log: Path | None) -> None:
    """In the fork: the tool, as its command line would run it."""
    leave_garbage()
    os.setpgid(0, 0)
    output = os.open(_output_file(folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    name, *arguments = command
    sys.argv = [f'tools/{name}.py', *map(str, arguments)]
    if log is not None:
        _at_changes(folder, _Logging(log))
    elif moment is not None and moment.kind == 'change':
        _at_changes(folder, _Killing(int(moment.value)))
    elif moment is not None and moment.kind == 'bytes':
        # The system kills who writes beyond it, with what fits in the file.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.dont_write_bytecode = True  # Python 3.11 does not see that a file of it was cut
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(moment.value), resource.RLIM_INFINITY))
    runpy.run_path(str(ROOT / sys.argv[0]), run_name='__main__')


def _at_changes(folder: Path, act: Callable[[], None]) -> None:
    begin = str(folder)

    def look(event: str, arguments: tuple) -> None:
        if event not in _CHANGES or not str(arguments[0]).startswith(begin):
            return
        if event != 'open' or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            act()

    sys.addaudithook(look)


class _Logging:
    """Writes a line for each change; several processes may."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self) -> None:
        os.write(self._file, b'.\n')


class _Killing:
    """Kills the process group before a change."""

    def __init__(self, left: int) -> None:
        self._left = left

    def __call__(self) -> None:
        if self._left == 0:
            os.killpg(0, signal.SIGKILL)
        self._left -= 1
