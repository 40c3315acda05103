#!/usr/bin/env python
"""Memory and time of writing SoLa's features of a video of hours, against the bare forward.

    python benchmarks/transform_features.py        # as in docs/benchmarks.md
    python benchmarks/transform_features.py --hours 0.1 --repeats 1

Each measurement is a process of its own, in turn; both read the same ``.npy`` file, which is in the
page cache. The bare forward is the network on parts of as many snippets that are in memory already,
and nothing is written. Peak memory (the resident set, which counts mapped pages of the file as
well) is given above that with the network loaded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import measure
from long_video import CHANNELS, write_features

#: Bars: MB above the model, and times the bare forward.
MAX_MEMORY, MAX_RATIO = 500, 1.3


def print_measurement(way: str, root: str) -> None:
    """What the process of one measurement prints: MB above the model, seconds."""
    import torch

    from sola_plugin.commands.transformation.transform import transform_features
    from sola_plugin.datasets.features.lazy import stored_features
    from sola_plugin.datasets.features.open import open_features
    from sola_plugin.necks import build_sola

    torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
    folder, sola = Path(root), Path(root, 'sola.pth')
    neck = build_sola(sola).eval()
    with torch.inference_mode():
        neck(torch.zeros(1, CHANNELS, 8))  # what is set up once
    if way == 'transform':
        del neck
        loaded, begin = measure.peak_memory(), time.perf_counter()
        transform_features(sola, folder / 'in', folder / 'out', layout='TC')
        seconds = time.perf_counter() - begin
    else:
        store = open_features(folder / 'in', layout='TC')
        spans = list(stored_features(store, 'v').spans())
        loaded, seconds = measure.peak_memory(), 0.0
        with torch.inference_mode():
            for start, stop in spans:
                part = torch.from_numpy(store.window('v', start, stop - start))[None]
                begin = time.perf_counter()
                neck(part)
                seconds += time.perf_counter() - begin
    print(measure.peak_memory() - loaded, seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--hours', nargs='+', type=float, default=[6.0])
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--row', nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print_measurement(*arguments.row)
        return
    from sola_plugin.necks import SoLa, save_sola

    measure.torch.set_num_threads(arguments.threads)
    os.environ.update(OMP_NUM_THREADS=str(arguments.threads), OMP_WAIT_POLICY='passive')
    print(
        f'{measure.machine()}; median of {arguments.repeats}, interleaved\n\n'
        '| hours | snippets | features, MB | peak above the model, MB | bar | bare forward, s '
        '| transform, s | ratio | bar | met |\n|---|---|---|---|---|---|---|---|---|---|'
    )
    for hours in arguments.hours:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / 'in').mkdir()
            path = root / 'in/v.npy'
            length = write_features(path, hours)
            save_sola(root / 'sola.pth', SoLa(CHANNELS))
            seen: dict[str, list[list[float]]] = {'bare': [], 'transform': []}
            for _ in range(arguments.repeats):
                for way, numbers in seen.items():
                    numbers.append(measure.numbers_of(__file__, '--row', way, folder))
                shutil.rmtree(root / 'out')
            memory = max(number[0] for number in seen['transform'])
            bare, ours = (statistics.median(n[1] for n in seen[w]) for w in ('bare', 'transform'))
            met = memory < MAX_MEMORY and ours < MAX_RATIO * bare
            print(
                f'| {hours:g} | {length:,} | {path.stat().st_size / 1e6:,.0f} | {memory:,.0f} '
                f'| < {MAX_MEMORY} | {bare:.1f} | {ours:.1f} | {ours / bare:.2f}× | < {MAX_RATIO}× '
                f'| {"yes" if met else "NO"} |',
                flush=True,
            )


if __name__ == '__main__':
    main()
