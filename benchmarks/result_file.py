"""Memory and time of ``tools/evaluate.py`` on a large result file, beside ``json.load`` alone.

    python benchmarks/result_file.py --videos 2000 --per-video 1000

``json.load`` is what every evaluator in Python begins with. Each runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Runs a command; prints its largest memory in MB, to the error output of this process.
RUN = (
    'import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=-3);'
    'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)'
)


def write_files(folder: Path, videos: int, per_video: int) -> tuple[Path, Path]:
    """Write an annotation file and a result file with random segments of 20 classes."""
    draw = random.Random(0)

    def segment(duration: float) -> list[float]:
        return sorted((draw.uniform(0, duration), draw.uniform(0, duration)))

    database, results = {}, {}
    for index in range(videos):
        duration, name = draw.uniform(60, 260), f'v_{index:06d}'
        entries = [
            dict(segment=segment(duration), label=f'class {draw.randrange(20)}')
            for _ in range(3 + per_video)
        ]
        database[name] = dict(duration=duration, subset='validation', annotations=entries[:3])
        results[name] = [dict(entry, score=draw.random()) for entry in entries[3:]]
    (folder / 'truth.json').write_text(json.dumps(dict(database=database)))
    (folder / 'found.json').write_text(json.dumps(dict(results=results)))
    return folder / 'truth.json', folder / 'found.json'


def measure(command: list[str]) -> tuple[float, float]:
    """Largest memory of a command in MB, and its seconds."""
    begin = time.perf_counter()
    process = [sys.executable, '-c', RUN, *command]
    printed = subprocess.run(process, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return float(printed), time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--videos', type=int, default=2000)
    parser.add_argument('--per-video', type=int, default=1000)
    parser.add_argument('--repeats', type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        truth, found = write_files(Path(folder), args.videos, args.per_video)
        load = f'import json; json.load(open({str(found)!r}))'
        commands = {
            'tools/evaluate.py': [sys.executable, 'tools/evaluate.py', str(truth), str(found)],
            'json.load alone': [sys.executable, '-c', load],
        }
        runs = {name: [] for name in commands}
        for _ in range(args.repeats):
            for name, command in commands.items():
                runs[name].append(measure(command))
        size = found.stat().st_size / 1e6
    print(
        f'{args.videos * args.per_video:,} detections, {size:,.1f} MB; median of {args.repeats}, '
        'interleaved\n\n| | memory | time |\n|---|---|---|'
    )
    for name, measured in runs.items():
        memory, seconds = map(statistics.median, zip(*measured))
        print(f'| {name} | {memory:,.0f} MB | {seconds:.1f} s |')


if __name__ == '__main__':
    main()
