"""Tasks on the machines of a dask cluster that share a folder (docs/clusters.md)."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pickle
import sys
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from .cluster_worker import Order, carry_out, place_mark, versions

_Key = TypeVar('_Key', bound=Hashable)

#: Seconds in which a scheduler answers; those between two looks at the workers while nothing ends.
_ANSWER, _INTERVAL = 10, 3


class ClusterError(RuntimeError):
    """The cluster cannot be used; the message says what to do."""


class ClusterPool:
    """Does tasks on the workers of a dask scheduler, in a process of its own for each thread.

    A process that dies fails its task; the task of a worker that dies is done by another one, until
    dask gives it up (``distributed.scheduler.allowed-failures``). A worker with other versions, or
    without the folder, gets nothing to do, which is told once. While there are no workers, they are
    waited for.

    Args:
        scheduler: Address such as ``tcp://host:8786``, or dask's scheduler file.
        folder: A folder that all machines see under the same path, as they do the working
            directory. It must exist.
        resources: What a task takes of a worker's resources, such as ``{'GPU': 1}``.
    """

    def __init__(
        self, scheduler: str, folder: Path, resources: Mapping[str, float] | None = None
    ) -> None:
        self._scheduler = scheduler
        self._folder = folder
        self._resources = dict(resources or {})
        self._client: Any = None
        self._run = uuid.uuid4().hex[:12]
        self._mark: Path | None = None
        self._unfit: set[str] = set()
        self._allowed: dict[Any, list[str]] = {}  # workers of tasks that not all may do
        self._told = ''

    def __enter__(self) -> ClusterPool:
        self._client = _connect(self._scheduler)
        self._mark = place_mark(self._folder, self._run)
        return self

    def __exit__(self, *_) -> None:
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)
        self._client.close(timeout=2)

    def run(self, tasks: Mapping[_Key, Callable[[], None]]) -> Iterator[tuple[_Key, str]]:
        """Do tasks side by side, see :class:`~.workers.Pool`.

        Args:
            tasks: What to call, by a key.

        Yields:
            Key of a task, and what went wrong.

        Raises:
            ClusterError: The scheduler is gone.
        """
        assert self._mark is not None
        here, common = os.getcwd(), (str(self._mark), versions())
        orders = {
            key: Order(self._run, pickle.dumps(task), here, *common) for key, task in tasks.items()
        }
        running = {self._submit(key, order): key for key, order in orders.items()}
        while running:
            for future in self._ended(list(running)):
                key = running.pop(future)
                error, again = self._result(future)
                if again:
                    running[self._submit(key, orders[key])] = key
                else:
                    yield key, error
            for future in self._stranded(running):
                key = running.pop(future)
                future.cancel()
                running[self._submit(key, orders[key])] = key

    def _submit(self, key: Hashable, order: Order) -> Any:
        """Send an order, to workers that are not known to be unfit."""
        fit = (self._fit() if self._unfit else None) or None
        future = self._client.submit(
            carry_out,
            order,
            key=f'{os.path.basename(str(key))}-{uuid.uuid4().hex}',
            pure=False,
            resources=self._resources or None,
            workers=fit,
        )
        if fit is not None:
            self._allowed[future] = fit
        return future

    def _stranded(self, futures: Iterable) -> list:
        """Those that only workers may do that are gone."""
        fit = set(self._fit()) if self._allowed else set()
        return [f for f in futures if f in self._allowed and fit.isdisjoint(self._allowed[f])]

    def _workers(self) -> dict[str, dict]:
        """Those that have the resources."""
        try:
            workers = self._client.scheduler_info()['workers']
        except OSError as error:
            raise self._lost() from error
        return {
            address: worker
            for address, worker in workers.items()
            if all(
                worker['resources'].get(name, 0) >= number
                for name, number in self._resources.items()
            )
        }

    def _fit(self) -> list[str]:
        return [address for address in self._workers() if address not in self._unfit]

    def _ended(self, futures: list) -> list:
        """Wait until some have ended, for a while."""
        import distributed

        try:
            with self._client.as_current():
                return list(distributed.wait(futures, _INTERVAL, 'FIRST_COMPLETED').done)
        except TimeoutError:
            self._tell_of_workers()
            return []
        except concurrent.futures.CancelledError:
            raise self._lost() from None

    def _tell_of_workers(self) -> None:
        """Say once why nothing happens, if there is nobody to do it."""
        text = ''
        if not self._workers():
            which = ''.join(f' with {n}={v:g}' for n, v in self._resources.items())
            text = f'{self._scheduler} has no workers{which} yet: waiting for some'
        if text and text != self._told:
            _note(text)
        self._told = text

    def _result(self, future: Any) -> tuple[str, bool]:
        """What went wrong, and whether it is to be tried on another worker."""
        import distributed

        error = future.exception()
        if isinstance(error, distributed.KilledWorker):
            last = error.last_worker.address
            return f'the workers that did it died, the last one was {last}', False
        if error is not None:
            return f'{type(error).__name__}: {error}', False
        answer = future.result()
        if not answer.unfit:
            return answer.error, False
        text = f'worker {answer.worker}: {answer.error}'
        if answer.worker not in self._unfit:
            self._unfit.add(answer.worker)
            _note(text)
        return text, bool(self._fit())

    def _lost(self) -> ClusterError:
        return ClusterError(
            f'{self._scheduler}: the connection to the scheduler is lost: when there is one again, '
            'the same command goes on'
        )


def _note(text: str) -> None:
    print(f'note: {text}', file=sys.stderr, flush=True)


def _connect(scheduler: str) -> Any:
    """A client of a scheduler.

    Raises:
        ClusterError: dask is not installed, or nobody answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise ClusterError(
            f"a cluster needs dask ({error}): pip install 'sola_plugin[cluster]'"
        ) from error
    is_file = os.path.isfile(scheduler)
    where: dict[str, Any] = dict(scheduler_file=scheduler) if is_file else dict(address=scheduler)
    try:
        with _silent():
            return distributed.Client(**where, timeout=_ANSWER, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        reason = ' '.join(str(error).split())
        raise ClusterError(
            f'{scheduler}: no dask scheduler answers: expected an address such as '
            f'tcp://host:8786, or the file of `dask scheduler --scheduler-file` ({reason})'
        ) from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Leave it to the error to say that nobody answers."""
    import logging

    log = logging.getLogger('distributed')
    before, log.level = log.level, logging.CRITICAL
    try:
        yield
    finally:
        log.level = before
