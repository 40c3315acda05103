"""Time and memory of two tools on data sets of two sizes: they grow as the data, or not at all.

    python benchmarks/scale.py

``tools/evaluate.py`` on 2,000 videos with 500 and with 1,000 detections each;
``tools/check_dataset.py`` on 10,000 and on 20,000 videos, all of whose features it reads. The data
are made in a temporary folder (0.6 GB). Each run is a process of its own, imports included; memory
is its largest resident set.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measure import machine, peak_memory

ROOT = Path(__file__).resolve().parents[1]
CLASSES = 20
#: Bars: of the larger size, seconds and MB; how much larger than those of the smaller one they may
#: be. ``None``: there is none.
BARS = {
    'evaluate.py': (None, 1000.0, 2.2, None),
    'check_dataset.py': (60.0, None, None, 1.25),
}


def annotate(path: Path, num_videos: int, rng: np.random.Generator) -> None:
    """Videos of 100 s with three actions each."""
    database = {}
    for index in range(num_videos):
        starts = np.sort(rng.uniform(0, 80, 3)).tolist()
        database[f'v_{index:05d}'] = dict(
            duration=100.0,
            subset='validation',
            annotations=[
                dict(segment=[start, start + 8], label=f'class {(index + number) % CLASSES}')
                for number, start in enumerate(starts)
            ],
        )
    path.write_text(json.dumps(dict(database=database)))


def detect(path: Path, num_videos: int, per_video: int, rng: np.random.Generator) -> None:
    """Detections of random classes; written a video at a time."""
    with path.open('w') as file:
        file.write('{"version": "1.3", "external_data": {}, "results": {')
        for index in range(num_videos):
            starts, scores = rng.uniform(0, 90, per_video), rng.random(per_video)
            entries = (
                f'{{"segment": [{start:.4f}, {start + 8:.4f}], "score": {score:.6f}, '
                f'"label": "class {label}"}}'
                for start, score, label in zip(
                    starts, scores, rng.integers(0, CLASSES, per_video).tolist()
                )
            )
            file.write(f'{", " * bool(index)}"v_{index:05d}": [{", ".join(entries)}]')
        file.write('}}')


def write_features(folder: Path, num_videos: int, rng: np.random.Generator) -> None:
    """100 snippets of 32 channels a video."""
    folder.mkdir(exist_ok=True)
    for index in range(len(os.listdir(folder)), num_videos):
        np.save(folder / f'v_{index:05d}.npy', rng.normal(size=(100, 32)).astype(np.float32))


class Measured(NamedTuple):
    """Seconds, those of them that a processor worked, and MB."""

    seconds: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        return f'{self.seconds:.1f} s ({self.cpu:.1f} s CPU), {self.memory:,.0f} MB'


def measured(tool: str, *arguments: object) -> Measured:
    """What a tool takes in a process of its own."""
    command = [sys.executable, __file__, '--run', str(ROOT / 'tools' / tool), *map(str, arguments)]
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    if done.returncode:
        sys.exit(f'{tool} ended with {done.returncode}: {done.stderr[-2000:]}{done.stdout[-2000:]}')
    return Measured(seconds, cpu, float(done.stderr.split()[-1]))


def run_here(command: list[str]) -> None:
    """Run a tool in this process, and say what memory it took."""
    sys.argv = command
    code = 0
    try:
        runpy.run_path(command[0], run_name='__main__')
    except SystemExit as end:
        code = end.code
    print(peak_memory(), file=sys.stderr)
    sys.exit(code)


def row(tool: str, what: str, small: Measured, large: Measured) -> str:
    """A row of the table, with what was asked for."""
    seconds, memory, more_time, more_memory = BARS[tool]
    cpu, grown = large.cpu / small.cpu, large.memory / small.memory
    checks = [
        (f'< {seconds:g} s' if seconds else '', large.seconds, seconds),
        (f'< {memory:,.0f} MB' if memory else '', large.memory, memory),
        (f'CPU ≤ {more_time:g}×' if more_time else '', cpu, more_time),
        (f'memory ≤ {more_memory:g}×' if more_memory else '', grown, more_memory),
    ]
    met = all(value <= bar for _, value, bar in checks if bar is not None)
    bars = ', '.join(text for text, _, _ in checks if text)
    return (
        f'| {what} | {small} | {large} | {cpu:.2f}× | {grown:.2f}× | {bars} '
        f'| {"yes" if met else "NO"} |'
    )


def main() -> None:
    """Make the data, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--videos', type=int, default=2000, help='that are evaluated (2000)')
    parser.add_argument('--detections', type=int, default=1000, help='of each, at most (1000)')
    parser.add_argument('--checked', type=int, default=20_000, help='videos, at most (20000)')
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    load = ', '.join(f'{value:.1f}' for value in os.getloadavg())
    print(f'{machine()}, load {load}\n')
    print('| what | half the size | full size | CPU | memory | bar | met |\n' + '|---' * 7 + '|')
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        annotate(folder / 'truth.json', args.videos, rng)
        found = []
        for per_video in (args.detections // 2, args.detections):
            detect(folder / 'found.json', args.videos, per_video, rng)
            found.append(measured('evaluate.py', folder / 'truth.json', folder / 'found.json'))
        what = f'`evaluate.py`, {args.videos:,} videos × {args.detections:,} detections'
        print(row('evaluate.py', what, *found), flush=True)
        checked = []
        for num_videos in (args.checked // 2, args.checked):
            annotate(folder / 'all.json', num_videos, rng)
            write_features(folder / 'features', num_videos, rng)
            checked.append(
                measured(
                    'check_dataset.py',
                    *('--annotations', folder / 'all.json', '--features', folder / 'features'),
                    *('--layout', 'TC', '--stride', 1.0),
                )
            )
        what = f'`check_dataset.py`, {args.checked:,} videos'
        print(row('check_dataset.py', what, *checked), flush=True)


if __name__ == '__main__':
    if sys.argv[1:2] == ['--run']:
        run_here(sys.argv[2:])
    main()
