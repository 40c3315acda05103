"""What the workers of the tests do; without torch, so that they begin at once."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

#: Bytes, thousands of pages.
_BLOCK = 2**26


def note(path: Path, text: str = '') -> None:
    part = path.with_name(f'{path.name}.part')
    part.write_text(text or str(os.getpid()))
    part.rename(path)  # a file that is there is whole


def fail() -> None:
    raise ValueError('no such thing')


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def sleep_noted(path: Path, seconds: float) -> None:
    note(path)
    time.sleep(seconds)
    note(path.with_suffix('.end'))


def note_place(path: Path) -> None:
    """Its process, threads, and working directory."""
    note(path, f'{os.getpid()} {os.environ["OMP_NUM_THREADS"]} {os.getcwd()}')


def note_faults(path: Path) -> None:
    """Pages that the system has to find for a block as large as one that was just freed."""
    bytearray(_BLOCK)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(_BLOCK)
    note(path, str(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))
