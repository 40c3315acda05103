"""Worker processes that read data: what they read is known when one dies or is stuck."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader, get_worker_info

from sola_plugin.messages import first_few

#: Seconds that a batch may take, where the loader of the config says nothing: ``timeout`` of the
#: loader. A worker that reads from a file system that does not answer waits for ever.
TIMEOUT = 1800

#: Items of a batch that are noted, and named.
_NOTED = 64

#: Seconds in which a worker that is being ended is dead: its connections close before.
_DYING = 1.0

#: What torch says of a worker that is dead, and of one that gives nothing.
_DEAD = re.compile(r'DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)')
_SIGNAL = re.compile(r'is killed by signal: ([^.]+)\.')
_STUCK = re.compile(r'DataLoader timed out after ([\d.]+) seconds')


class WorkerError(RuntimeError):
    """A worker process that reads data has died, or gives nothing."""


class WorkerNotes:
    """What each worker of a loader is reading.

    Args:
        init: The loader's own ``worker_init_fn``, if it has one.
        num_workers: Of the loader.
    """

    def __init__(self, init: Callable[[int], None] | None, num_workers: int) -> None:
        self.init = init
        # Of each worker: its process, how many items it reads now, and which. Seen by all.
        self._notes = multiprocessing.RawArray('q', num_workers * (2 + _NOTED))

    def __call__(self, worker_id: int) -> None:
        """Begin a worker: it notes the items of each batch while it reads them."""
        begin = worker_id * (2 + _NOTED)
        notes = self._notes
        notes[begin], notes[begin + 1] = os.getpid(), 0
        info = get_worker_info()
        assert info is not None
        dataset: Any = info.dataset  # the worker's own copy
        whole = getattr(dataset, '__getitems__', None)

        def note(items: Sequence[int]) -> None:
            notes[begin + 2 : begin + 2 + len(items)] = items
            notes[begin + 1] = len(items)

        def read(batch: Sequence) -> Any:
            items = list(map(_number, batch))
            if whole is not None:
                note(items[:_NOTED])
                content = whole(batch)
            else:
                content = []
                for index, number in zip(batch, items):
                    note([number])
                    content.append(dataset[index])
            note([])
            return content

        dataset.__getitems__ = read  # torch reads a batch by it, where it is there
        if self.init is not None:
            self.init(worker_id)

    def reading(self) -> dict[int, list[int]]:
        """Items that are being read, by the process."""
        size = 2 + _NOTED
        workers = [self._notes[i : i + size] for i in range(0, len(self._notes), size)]
        return {worker[0]: worker[2 : 2 + worker[1]] for worker in workers if worker[0]}


def _number(index: Any) -> int:
    """Number of an item; samplers of windows draw tuples that begin with it."""
    first = index[0] if isinstance(index, tuple) else index
    return int(first) if isinstance(first, Integral) else -1


class LoaderHook(Hook):
    """Notes what workers read, waits for none without an end, and leaves none when all is over."""

    # After whatever seeds workers anew.
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Look after the workers of the training."""
        watch_workers(runner.train_dataloader)

    def before_val(self, runner: Runner) -> None:
        """Look after the workers of the validation."""
        watch_workers(runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Look after the workers of the test."""
        watch_workers(runner.test_dataloader)

    def after_train(self, runner: Runner) -> None:
        """End the workers of the training and of its validation."""
        for loop in (runner._train_loop, runner._val_loop):
            end_workers(getattr(loop, 'dataloader', None))


def watch_workers(loader: DataLoader) -> None:
    """Note what the workers of a loader read.

    Args:
        loader: Changed in place, unless it has no workers: ``worker_init_fn``, and ``timeout``,
            which is :data:`TIMEOUT` if there was none.
    """
    if not loader.num_workers or isinstance(loader.worker_init_fn, WorkerNotes):
        return
    loader.worker_init_fn = WorkerNotes(loader.worker_init_fn, loader.num_workers)
    loader.timeout = loader.timeout or TIMEOUT


def end_workers(loader: Any) -> None:
    """End the workers that a loader keeps for its next epoch.

    Those of a loader that is collected as a part of a cycle, as a runner is, may be told so by
    queues that are collected already: torch then waits 5 s for each and kills it.

    Args:
        loader: Starts others if it is read again. What is no ``DataLoader`` is left alone.
    """
    if isinstance(loader, DataLoader):
        loader._iterator = None


@contextlib.contextmanager
def watching_workers(runner: Runner) -> Iterator[None]:
    """Let the error of a worker of a run say what it was reading.

    Args:
        runner: That is run inside.

    Raises:
        WorkerError: A worker has died, or gives nothing; what was raised inside otherwise.
    """
    if not any(isinstance(hook, LoaderHook) for hook in runner.hooks):
        runner.register_hook(LoaderHook())
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        loaders = [
            loop.dataloader
            for loop in (runner._train_loop, runner._val_loop, runner._test_loop)
            if isinstance(getattr(loop, 'dataloader', None), DataLoader)
        ]
        text = f'{error} {error.__context__}'
        if _is_lost_connection(error):
            text += _death_of_worker()
        message = explain_worker_error(text, loaders)
        if message is None:
            raise
        raise WorkerError(message) from error


def _is_lost_connection(error: Exception) -> bool:
    """Whether it may come of a worker whose tensors can no longer be fetched."""
    if isinstance(error, RuntimeError):
        return 'ancdata' in str(error)  # a descriptor that did not arrive
    return getattr(error, 'filename', None) is None


def _death_of_worker() -> str:
    """What torch says of a worker that is about to be dead; it says so by a signal, at any line."""
    try:
        time.sleep(_DYING)
    except RuntimeError as error:
        return f' {error}'
    return ''


def explain_worker_error(text: str, loaders: Sequence[DataLoader]) -> str | None:
    """One line for what torch says of workers.

    Args:
        text: Of torch's error, and of the one that led to it.
        loaders: Those whose workers it may be about; see :func:`watch_workers`. Workers that are
            stuck are ended.

    Returns:
        The line; ``None``: it is about something else.
    """
    dead, stuck = _DEAD.search(text), _STUCK.search(text)
    if not (dead or stuck):
        return None
    items = {
        process: _names(loader.dataset, numbers)
        for loader in loaders
        if isinstance(loader.worker_init_fn, WorkerNotes)
        for process, numbers in loader.worker_init_fn.reading().items()
    }
    if dead:
        processes = list(map(int, dead[1].split(',')))
        signalled = _SIGNAL.search(text)
        cause = f'was ended by a signal ({signalled[1]})' if signalled else 'has ended'
        where = _where(items, processes)
        return (
            f'a worker process that reads data (process {first_few(processes)}) {cause}{where}: '
            'memory may have run out, or the file may have been cut while it was read; try '
            'num_workers=0, which shows an error where it is'
        )
    waiting = [process for process, names in items.items() if names]
    end_processes(waiting)
    assert stuck is not None
    return (
        f'no worker process has given a batch for {float(stuck[1]):g} s{_where(items, waiting)}: '
        'is the disk there? If a batch may take longer, set timeout=SECONDS in the loader of the '
        'config'
    )


def _where(items: Mapping[int, Sequence[str]], processes: Sequence[int]) -> str:
    names = [name for process in processes for name in items.get(process, ())]
    return f' while it read {first_few(map(repr, names))}' if names else ''


def _names(dataset: Any, numbers: Sequence[int]) -> list[str]:
    """Ids of videos, where the data set tells them; otherwise the numbers of the items."""
    names = []
    for number in dict.fromkeys(numbers):
        name = None
        with contextlib.suppress(Exception):  # this must not hide the error that it is about
            name = dataset.video_id(number) if hasattr(dataset, 'video_id') else None
            if name is None and hasattr(dataset, 'get_data_info'):
                name = dataset.get_data_info(number).get('video_name')
        names.append(str(name) if name is not None else f'item {number}')
    return names


def end_processes(processes: Sequence[int]) -> None:
    """End child processes that hear nothing else: this one waits for them when it ends."""
    for child in multiprocessing.active_children():
        if child.pid in processes:
            child.kill()
