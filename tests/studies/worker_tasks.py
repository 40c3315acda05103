"""What the workers of the tests do; without torch, so that they begin at once."""

from __future__ import annotations

import os
import time
from pathlib import Path


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
    """Its process, threads, whether memory is given back at once, and working directory."""
    trims = 'MALLOC_TRIM_THRESHOLD_' in os.environ
    note(path, f'{os.getpid()} {os.environ["OMP_NUM_THREADS"]} {trims} {os.getcwd()}')
