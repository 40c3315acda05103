"""How far a job is: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Collection, Iterator
from typing import TextIO, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

#: How every long job tells how far it is: ``show(what, done, total)``.
Show = Callable[[str, int, int], None]

Item = TypeVar('Item')

#: Seconds between two lines.
_INTERVAL = 30.0


@contextlib.contextmanager
def show_progress(name: str, transient: bool = True) -> Iterator[Show]:
    """Show how far a job is, on the error stream.

    Args:
        name: What is being done; stands before plain lines, and beside the bar until something
            else is told.
        transient: Remove the bar at the end.

    Yields:
        Function that is told ``(what, done, total)``.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield ProgressLines(name)
        return
    columns = (
        TextColumn('{task.description:<24}'),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=transient) as bar:
        task = bar.add_task(name, total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what or name, completed=done, total=total)

        yield show


def counted(items: Collection[Item], show: Show | None, what: str) -> Iterator[Item]:
    """Give items one by one, and tell after each how many are done.

    Args:
        items: The items.
        show: Is told; ``None``: nobody.
        what: What they are.

    >>> list(counted('ab', lambda what, done, total: print(what, done, 'of', total), 'files'))
    files 1 of 2
    files 2 of 2
    ['a', 'b']
    """
    for done, item in enumerate(items, 1):
        yield item
        if show is not None:
            show(what, done, len(items))


class ProgressLines:
    """Plain lines: what is done, how fast, and how long the rest will take.

    What is told at once was done before, and tells nothing of the rate.

    Args:
        name: What is being done.
        interval: Seconds between two lines, and before the first. Shorter jobs are silent.
        stream: Where to; the error stream by default.
        clock: Gives the time in seconds.

    >>> now = iter([0.0, 0.5, 40.0, 50.0, 100.0])
    >>> show = ProgressLines('pack', stream=sys.stdout, clock=lambda: next(now))
    >>> for done in (10, 20, 25, 30):
    ...     show('', done, 30)
    pack: 20 of 30, 15 a minute, 40 s left
    pack: 30 of 30, 12 a minute
    """

    def __init__(
        self,
        name: str,
        interval: float = _INTERVAL,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._interval = name, interval
        self._stream, self._clock = stream, clock
        self._start = self._last = clock()
        self._before = self._done = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Write a line if it is time.

        Args:
            what: What was done last; may be empty.
            done: How much is done.
            total: Of how much.
        """
        now = self._clock()
        if done < self._done:  # the next part of the job
            self._start, self._before = now, done
        self._done = done
        seconds = now - self._start
        if seconds < 1:
            self._before = done
        ended = done >= total and self._last > self._start
        if now - self._last < self._interval and not ended:
            return
        self._last = now
        rate = (done - self._before) / seconds if seconds > 0 else 0.0
        text = f'{self._name}: {done} of {total}'
        if rate > 0:
            text += f', {_rate(rate)}'
        if rate > 0 and done < total:
            text += f', {_duration((total - done) / rate)} left'
        if what:
            text += f' ({what})'
        print(text, file=self._stream or sys.stderr, flush=True)


class _RateColumn(ProgressColumn):
    """How fast the bar goes, as :class:`ProgressLines` say it."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(_rate(speed) if speed else '', style='progress.data.speed')


def _rate(per_second: float) -> str:
    if per_second >= 1:
        return f'{per_second:.3g} a second'
    if per_second >= 1 / 60:
        return f'{60 * per_second:.3g} a minute'
    return f'{3600 * per_second:.3g} an hour'


def _duration(seconds: float) -> str:
    """Seconds in a unit that is easy to read.

    >>> _duration(40), _duration(300), _duration(9000)
    ('40 s', '5 min', '2.5 h')
    """
    if seconds < 100:
        return f'{seconds:.0f} s'
    if seconds < 6000:
        return f'{seconds / 60:.0f} min'
    return f'{seconds / 3600:.1f} h'
