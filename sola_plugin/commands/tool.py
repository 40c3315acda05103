"""How a tool begins and ends: with one line and an exit code wherever it is stopped.

Light: tools import it before all that takes seconds.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from sola_plugin.io import DISK_ERRORS
from sola_plugin.messages import printable

#: Seconds that a stopped tool has to clean up, then it ends all the same.
_GRACE = 0.7
_SHOW_CURSOR = '\x1b[?25h'


class _Stop:
    """What the signals of this process do."""

    def __init__(self, advice: str) -> None:
        self.code: int | None = None
        self._said = False
        self._line = f'stopped: {advice}' if advice else 'stopped'
        self._process = os.getpid()
        # The number of a signal comes through it at once, even while the handler cannot run: the
        # main thread may be in code that waits for another rank, or for a GPU.
        self._reader, self._writer = socket.socketpair()
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background
                self._before[number] = signal.signal(number, self._handle)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self._leave_forked)
        threading.Thread(target=self._end_late, name='stop', daemon=True).start()

    def remove(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._writer.send(b'\0')

    def _leave_forked(self) -> None:
        """Signals of a forked process are not those of this one."""
        if _stop is self:
            signal.set_wakeup_fd(-1)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked process, such as a worker that reads data
            self._as_by_default(number)
            return
        if self.code is not None:
            return  # once is enough: cleaning up is not to be disturbed
        self.code = 128 + number
        atexit.register(self._say_at_exit)
        raise SystemExit(self.code)

    def _as_by_default(self, number: int) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _end_late(self) -> None:
        """End a process that does not end itself: it waits for others, or frees its memory."""
        number = 0
        while number not in self._before or signal.getsignal(number) != self._handle:
            (number,) = self._reader.recv(1)
            if not number:
                return
        time.sleep(_GRACE)
        self._say()
        os._exit(128 + number if self.code is None else self.code)

    def _say_at_exit(self) -> None:
        """After everything else was said, and bars were removed."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # Python is about to give up its handlers
        self._say()

    def _say(self) -> None:
        if self._said:
            return
        self._said = True
        text = f'{self._line}\n'
        if os.isatty(2):
            text = _SHOW_CURSOR + text  # a bar that was not removed hides it
        os.write(2, text.encode())


_stop: _Stop | None = None


def stoppable(name: str, advice: str = '') -> None:
    """From here on Ctrl-C and SIGTERM end the process with one line, exit code 130 or 143.

    A tool calls it before the imports that take seconds. Code that is running is left by
    ``SystemExit``, so that it can clean up, within a second.

    Args:
        name: ``__name__`` of the tool. Nothing is done where it is not the main program: in the
            processes that it starts, or when it is imported.
        advice: What the user may want to know then, such as how to go on.
    """
    global _stop
    if name == '__main__' and _stop is None:
        _stop = _Stop(advice)
        _stop.install()


def run_tool(main: Callable[[], None]) -> None:
    """Run the ``main`` of a tool.

    Output that nobody reads any more (``| head``) ends it silently, with exit code 141.

    Args:
        main: Runs the command; ends with ``SystemExit`` on errors.
    """
    global _stop
    prepare_streams()
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except BaseException as error:
        if _stop is not None and _stop.code is not None:
            # Whatever came of it, such as the complaint that a worker was killed too.
            raise SystemExit(_stop.code) from None
        # Some tools make an error message of it.
        broken = any(isinstance(e, BrokenPipeError) for e in (error, error.__context__))
        if broken and _is_unread():
            raise SystemExit(128 + signal.SIGPIPE) from None
        raise
    finally:
        if _stop is not None and _stop.code is None:
            _stop.remove()
            _stop = None


@contextlib.contextmanager
def data_errors(advice: str = '') -> Iterator[None]:
    """End with ``error: ...`` and exit code 1 where the user's data or files are at fault.

    Other errors keep their traceback: they may be ours.

    Args:
        advice: What the user can do when the disk takes no more.
    """
    try:
        yield
    except BaseException as error:
        from sola_plugin.pretraining.ranks import abandon_group

        abandon_group()
        if isinstance(error, _one_line_errors()):
            sys.exit(f'error: {printable(error)}')
        # An error of the system without a file is, say, a connection that another rank has closed.
        if isinstance(error, OSError) and error.filename is not None:
            sys.exit(f'error: {printable(explain_os_error(error, advice))}')
        raise


def explain_os_error(error: OSError, advice: str = '') -> str:
    """One line about a file that cannot be read or written.

    Args:
        error: It names the file.
        advice: Added when the disk is full or read-only.

    Returns:
        The line.
    """
    return f'{error}; {advice}' if advice and error.errno in DISK_ERRORS else str(error)


def _one_line_errors() -> tuple[type[Exception], ...]:
    """Errors whose text tells the user all; what raises them takes seconds to import."""
    from sola_plugin.datasets.annotations.model import AnnotationError
    from sola_plugin.datasets.features.readers import FeatureError
    from sola_plugin.evaluation.score_files import ScoreError
    from sola_plugin.heads.shared.outputs import OutputError
    from sola_plugin.locking import BusyError
    from sola_plugin.necks.checkpoint import CheckpointError
    from sola_plugin.pretraining.launchers import LauncherError
    from sola_plugin.pretraining.loader_workers import WorkerError

    from .cli import ConfigError

    return (
        AnnotationError,
        BusyError,
        CheckpointError,
        FeatureError,
        FileNotFoundError,
        ConfigError,
        LauncherError,
        OutputError,
        ScoreError,
        WorkerError,
    )


def prepare_streams() -> None:
    """Print what the encoding of stdout or stderr lacks as escapes, instead of failing.

    An ASCII terminal has no ``é``, and no encoding has the lone surrogates that JSON may hold.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')


def _is_unread() -> bool:
    """Whether nobody reads the output; then what is left of it is thrown away."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
