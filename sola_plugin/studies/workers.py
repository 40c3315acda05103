"""Processes that do one task after another, and that end with the process that started them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

_CONTEXT = multiprocessing.get_context('spawn')
_Key = TypeVar('_Key', bound=Hashable)

#: What the processes read when they begin.
ENVIRONMENT = {
    'OMP_NUM_THREADS': '1',
    'MKL_NUM_THREADS': '1',
    # glibc gives large blocks back to the system when they are freed, and dask lets it give back
    # small ones, too. The next iteration of a training asks for the same, and the system fills them
    # with zeros each time.
    'MALLOC_MMAP_MAX_': '0',
    'MALLOC_TRIM_THRESHOLD_': str(2**40),
}
#: The environment is that of all threads of this process.
_starting = threading.Lock()

#: Seconds that idle workers have to end.
_PATIENCE = 10

#: Question to an idle worker, and its answer.
_ARE_YOU_THERE = 'are you there?'
#: In place of a task: there is none any more.
_END = 'end'


class Pool(Protocol):
    """Where tasks are done: processes of this machine, or those of a cluster.

    What is left by an exception, is left undone.
    """

    def __enter__(self) -> Pool: ...

    def __exit__(self, kind: type[BaseException] | None, *_) -> None: ...

    def run(self, tasks: Mapping[_Key, Callable[[], None]]) -> Iterator[tuple[_Key, str]]:
        """Do tasks side by side.

        Args:
            tasks: What to call, by a key; it must be possible to pickle it.

        Yields:
            Key of a task as it ends, and what went wrong: the exception, or how its process died;
            empty if nothing did.
        """
        ...


class WorkerPool:
    """Up to ``jobs`` processes. One that dies fails the task that it was doing, and no other.

    Each has one thread, and keeps the memory that a task frees for the next. They do not outlive
    this process, however it ends. Ctrl-C in a terminal, which reaches all processes, is left to
    this one.

    Args:
        jobs: Tasks that are done at the same time.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, Any] = {}  # and the keys of their tasks

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_) -> None:
        workers = (*self._busy, *self._idle)
        for worker in workers:
            worker.dismiss() if kind is None else worker.kill()
        for worker in workers:
            worker.join()

    def run(self, tasks: Mapping[_Key, Callable[[], None]]) -> Iterator[tuple[_Key, str]]:
        """Do tasks side by side, see :class:`Pool`.

        Args:
            tasks: What to call, by a key.

        Yields:
            Key of a task, and what went wrong.
        """
        todo = dict(tasks)
        while todo or self._busy:
            while todo and len(self._busy) < self._jobs:
                key = next(iter(todo))
                worker = self._free_worker()
                self._busy[worker] = key
                worker.begin(todo.pop(key))
            for worker in _Worker.ended(self._busy):
                key = self._busy.pop(worker)
                error = worker.result()
                self._idle.append(worker)
                yield key, error

    def kill(self) -> None:
        """Kill the processes of the tasks that are being done, which fail; from another thread."""
        for worker in tuple(self._busy):
            worker.kill()

    def _free_worker(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.answers():
                return worker
            worker.join()
        return _Worker()


class _Worker:
    """One process, as its parent sees it."""

    def __init__(self) -> None:
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs,))
        # It unblocks the signal when it begins, which is at the first process otherwise.
        resource_tracker.ensure_running()
        # The process begins with the signals blocked that are blocked here, and leaves them so.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with _environment():
                self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    @staticmethod
    def ended(workers: Iterable[_Worker]) -> list[_Worker]:
        """Wait until some have an answer or are dead."""
        of: dict[Any, _Worker] = {}
        for worker in workers:
            of[worker._connection] = of[worker._process.sentinel] = worker
        return list(dict.fromkeys(of[ready] for ready in wait(list(of))))

    def begin(self, task: Callable[[], None]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is dead: so says the result
            self._connection.send(task)

    def result(self) -> str:
        """What went wrong in the task."""
        try:
            return self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return _cause(self._process.exitcode)

    def answers(self) -> bool:
        """Whether it is there, while it is idle: one that is being killed may look alive."""
        try:
            self._connection.send(_ARE_YOU_THERE)
            return self._connection.recv() == _ARE_YOU_THERE
        except (EOFError, ConnectionError):
            return False

    def kill(self) -> None:
        self._process.kill()

    def dismiss(self) -> None:
        # The end of the connection alone does not reach a process that was forked: it holds a copy.
        with contextlib.suppress(ConnectionError):  # it is dead
            self._connection.send(_END)
        self._connection.close()

    def join(self) -> None:
        self._process.join(_PATIENCE)
        self._process.kill()
        self._process.join()


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    with _starting:
        before = {name: os.environ.get(name) for name in ENVIRONMENT}
        os.environ.update(ENVIRONMENT)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f'its process ended with exit code {code}'
    name = signal.Signals(-code).name
    hint = ', perhaps for lack of memory' if name == 'SIGKILL' else ''
    return f'its process was ended by signal {-code} ({name}{hint})'


def _serve(connection: Connection) -> None:
    """Do tasks until nobody asks for more."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        if task == _END:
            return
        if task == _ARE_YOU_THERE:
            connection.send(task)
            continue
        try:
            task()
            error = ''
        except Exception as exception:
            # As text: not every exception can be sent to another process.
            error = f'{type(exception).__name__}: {exception}'
        connection.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
