"""Time and memory of two implementations of the same thing, and a table of the ratios."""

from __future__ import annotations

import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        what: What was measured.
        unit: Of the two numbers, less is better.
        ours: This package.
        reference: What it is compared with.
        bar: Least ratio ``reference / ours`` that is asked for.
    """

    what: str
    unit: str
    ours: float
    reference: float
    bar: float

    def markdown(self) -> str:
        """The row of the table."""
        ratio = self.reference / self.ours
        return (
            f'| {self.what} | {self.ours:,.1f} {self.unit} | {self.reference:,.1f} {self.unit} '
            f'| {ratio:.1f}× | ≥ {self.bar:g}× | {"yes" if ratio >= self.bar else "NO"} |'
        )


HEADER = '| what | ours | reference | ratio | bar | met |\n|---|---|---|---|---|---|'


def milliseconds(ours: Callable, reference: Callable, repeats: int) -> tuple[float, float]:
    """Median times of two functions that are called in turn, so that both see the same machine.

    Args:
        ours: Called without arguments.
        reference: Called without arguments.
        repeats: Calls of each.

    Returns:
        Median of ours and of the reference, in milliseconds.
    """
    first, second = medians([ours, reference], repeats)
    return first, second


def medians(functions: Sequence[Callable], repeats: int, warm_up: int = 0) -> list[float]:
    """Median times of functions that are called in turn, in milliseconds.

    Args:
        functions: Called without arguments.
        repeats: Calls of each.
        warm_up: Calls of each before, which are not counted.
    """
    for function in functions:
        for _ in range(warm_up):
            function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, spent in zip(functions, times):
            begin = now()
            function()
            spent.append(1e3 * (now() - begin))
    return [statistics.median(spent) for spent in times]


def now() -> float:
    """The time when a GPU, if there is one, has done what it was told, in seconds."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MB."""
    # On Linux, ru_maxrss starts with that of the process that started this one; this number does
    # not.
    status = Path('/proc/self/status')
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith('VmHWM'))
        return int(peak.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def in_subprocess(script: str, *arguments: str) -> float:
    """Run a script in a fresh process.

    Args:
        script: Path.
        *arguments: Of the script, which prints a number as its last word.

    Returns:
        That number.
    """
    return numbers_of(script, *arguments)[-1]


def numbers_of(script: str, *arguments: str) -> list[float]:
    """Run a script in a fresh process, and return the numbers in its last line."""
    command = [sys.executable, script, *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [float(word) for word in output.splitlines()[-1].split()]


def machine() -> str:
    """The machine and its libraries, in a line."""
    info = Path('/proc/cpuinfo')
    names = (
        [
            line.split(':')[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith('model name')
        ]
        if info.exists()
        else [platform.processor()]
    )
    return (
        f'{len(names)} × {names[0]}, {platform.system()}, Python {platform.python_version()}, '
        f'torch {torch.__version__}, {torch.get_num_threads()} threads'
    )
