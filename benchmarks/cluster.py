#!/usr/bin/env python
"""A study through a dask cluster on this machine, against the processes of ``--jobs``.

    python benchmarks/cluster.py                       # as in docs/benchmarks.md
    python benchmarks/cluster.py --study tiny --repeats 1

A scheduler and as many workers of one thread as there are jobs are started, and stay. Both ways run
``tools/ablate.py`` in turn, each time in an empty folder; what is timed is the whole command. The
figures of both are compared.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import measure

ROOT = Path(__file__).resolve().parents[1]
#: Times the local run.
MAX_RATIO = 1.1


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Path]:
    """A scheduler's file."""
    file = folder / 'scheduler.json'

    def start(*words: str) -> subprocess.Popen:
        command = [sys.executable, '-m', 'dask', *words, '--scheduler-file', str(file)]
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return subprocess.Popen([*command, '--no-dashboard'], cwd=folder, **quiet)

    processes = [start('scheduler', '--host', '127.0.0.1', '--port', '0')]
    try:
        while not file.is_file():
            time.sleep(0.1)
        processes += [start('worker', '--nthreads', '1') for _ in range(workers)]
        time.sleep(5)
        yield file
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(20)


def run(study: str, folder: Path, *where: str) -> tuple[float, list]:
    """Run a study; seconds, and its figures without times."""
    command = [sys.executable, str(ROOT / 'tools/ablate.py'), study, '--work-dir', str(folder)]
    begin = time.perf_counter()
    subprocess.run([*command, *where], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begin
    with open(folder / 'results.csv') as file:
        return seconds, [
            {key: value for key, value in row.items() if 'seconds' not in key}
            for row in csv.DictReader(file)
        ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--study', default='smoke')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--repeats', type=int, default=3)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves no cluster behind
    seconds: dict[str, list[float]] = {'jobs': [], 'dask': []}
    figures, loads = [], []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with cluster(root, arguments.jobs) as file:
            ways = {
                'jobs': ('--jobs', str(arguments.jobs)),
                'dask': ('--scheduler', str(file)),
            }
            for repeat in range(arguments.repeats):
                for way, where in ways.items():
                    loads.append(os.getloadavg()[0])
                    spent, found = run(arguments.study, root / f'{way}{repeat}', *where)
                    seconds[way].append(spent)
                    figures.append(found)
    local, dask = (statistics.median(seconds[way]) for way in ways)
    equal = all(found == figures[0] for found in figures)
    print(
        f'{measure.machine()}; load {min(loads):.1f} to {max(loads):.1f}; '
        f'median of {arguments.repeats}, interleaved\n\n'
        '| study | at a time | --jobs, s | dask, s | ratio | bar | met | figures |\n'
        '|---|---|---|---|---|---|---|---|\n'
        f'| {arguments.study} | {arguments.jobs} | {local:.1f} | {dask:.1f} | {dask / local:.2f}× '
        f'| < {MAX_RATIO}× | {"yes" if dask < MAX_RATIO * local else "NO"} '
        f'| {"equal" if equal else "DIFFERENT"} |'
    )


if __name__ == '__main__':
    main()
