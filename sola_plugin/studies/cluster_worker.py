"""What a dask worker does with a task: hand it to a process of its own, and watch over it.

Light: the worker itself, and the scheduler, which unpickles all that passes, import no torch.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import pickle
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import sola_plugin

from .workers import WorkerPool

#: Seconds between two looks at what is running, and those that an idle process is kept.
_INTERVAL, _PATIENCE = 0.5, 30

#: What the results of a stage depend on, beside its settings.
_PACKAGES = ('torch', 'numpy', 'mmengine', 'mmaction2')


@dataclass(frozen=True)
class Order:
    """A task as it is sent.

    Attributes:
        run: Name of the run that it belongs to; its tasks share processes.
        task: What to call, pickled.
        folder: Working directory; relative paths count from there.
        mark: A file that is there as long as the run.
        versions: See :func:`versions`.
    """

    run: str
    task: bytes
    folder: str
    mark: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What came of an order.

    Attributes:
        error: What went wrong; empty if nothing did.
        worker: Address of the dask worker.
        unfit: Whether it did not begin, as this worker cannot do what another one could.
    """

    error: str
    worker: str
    unfit: bool = False


def versions() -> dict[str, str]:
    """Versions that must be the same on all machines, of this process."""
    found = {'sola_plugin': sola_plugin.__version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name).partition('+')[0]  # one for the CPU is the same
        except metadata.PackageNotFoundError:
            found[name] = 'none'
    return {'Python': '.'.join(map(str, sys.version_info[:2])), **found}


def carry_out(order: Order) -> Answer:
    """Do a task in a process of its own; what a dask worker calls.

    If the process dies, it fails this task and not the worker. It is killed when nobody waits for
    the task any more, or the worker closes; a free one is kept for a while, as it takes seconds to
    import torch.

    Args:
        order: The task.
    """
    import distributed

    worker = distributed.get_worker()
    process = _take(worker, worker.get_current_task(), order.run)
    try:
        if error := process.call(functools.partial(_check, order)):
            return Answer(error.partition(': ')[2], worker.address, unfit=True)
        return Answer(process.call(functools.partial(_do, order)), worker.address)
    finally:
        process.task, process.since = None, time.monotonic()


class _UnfitError(Exception):
    """This machine cannot do the task."""


def _check(order: Order) -> None:
    """See whether a process finds what the run needs."""
    here = versions()
    others = [
        f'{name} {here[name]} instead of {version}'
        for name, version in order.versions.items()
        if here[name] != version
    ]
    if others:
        raise _UnfitError(f'it has {", ".join(others)}: start it in the same environment')
    for path in (order.folder, order.mark):
        if not os.path.exists(path):
            folder = path if path == order.folder else os.path.dirname(path)
            raise _UnfitError(f'it does not see the folder {folder}: expected a shared one')


def _do(order: Order) -> None:
    os.chdir(order.folder)
    pickle.loads(order.task)()  # a cluster does what it is told: docs/security.md


@dataclass
class _Process:
    """A process that does one task after another.

    Attributes:
        worker, run: Whose it is.
        task: Key of the task that it is doing; ``None``: it is idle, ``since`` then.
        pool: The process.
    """

    worker: Any
    run: str
    task: Any
    pool: WorkerPool
    since: float = 0.0

    def call(self, task: functools.partial[None]) -> str:
        (result,) = self.pool.run({'': task})
        return result[1]

    @property
    def is_closing(self) -> bool:
        return self.worker.status.name in ('closing', 'closed', 'failed', 'stopping', 'stopped')

    def look(self) -> None:
        """Kill what nobody waits for."""
        state = self.worker.state.tasks.get(self.task)
        if self.is_closing or state is None or state.state == 'cancelled':
            self.pool.kill()


_processes: list[_Process] = []
_lock = threading.Lock()


def _take(worker: Any, task: Any, run: str) -> _Process:
    """An idle process of a run, or a new one."""
    with _lock:
        for process in _processes:
            if process.task is None and (process.worker, process.run) == (worker, run):
                process.task = task
                return process
        # dask's nanny starts workers as daemons, which may have no processes of their own lest
        # these outlive them: ours do not.
        multiprocessing.current_process().daemon = False
        process = _Process(worker, run, task, WorkerPool(1))
        _processes.append(process)
        if len(_processes) == 1:
            threading.Thread(target=_watch, name='stages', daemon=True).start()
        return process


def _watch() -> None:
    """End what is not needed, until there is nothing left."""
    while True:
        time.sleep(_INTERVAL)
        with _lock:
            ended = []
            for process in _processes:
                if process.task is not None:
                    process.look()
                elif process.is_closing or time.monotonic() - process.since > _PATIENCE:
                    ended.append(process)
            for process in ended:
                _processes.remove(process)
            is_last = not _processes
        for process in ended:
            process.pool.__exit__(None)
        if is_last:
            return


def place_mark(folder: Path, run: str) -> Path:
    """A file in the shared folder by which a worker sees that it is the same one.

    Args:
        folder: The folder.
        run: Name of the run.
    """
    mark = folder.resolve() / f'.run-{run}'
    mark.touch()
    return mark
