#!/usr/bin/env python
"""Random windows of 23 snippets: a packed folder against other ways to read them, interleaved in
one run.

    python benchmarks/features.py                   # as in docs/benchmarks.md; writes about 3 GB of
    made data python benchmarks/features.py --videos 20 --repeats 20

It prints the Markdown table that docs/benchmarks.md holds. Every way makes a contiguous float32
``(C, 23)``. Both sides of a row read the same windows, from files that are in the page cache. Only
some of the videos are written as CSV: the time to read one does not depend on how many there are.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from measure import HEADER, Row, machine, milliseconds
from mmengine.dataset import default_collate

import sola_plugin  # noqa: F401  (mends the stack, so that mmaction2 can be imported)
from sola_plugin.datasets import SoLaWindowDataset, WindowSampler
from sola_plugin.datasets.features.open import open_features
from sola_plugin.datasets.features.packing import pack_features
from sola_plugin.datasets.windows import window_collate

WINDOW = 23
NUM_CSV = 12
BATCH = 256

#: A video, and the first snippet of a window.
Draw = tuple[str, int]
Reader = Callable[[Draw], np.ndarray]

#: Least ratios that are asked for.
BARS = {
    "mmaction2's LoadLocalizationFeature, .csv": 20,
    'np.load, .npy': 3,
    "np.load(mmap_mode='r'), .npy": 3,
    'FeatureFolder, .npy': 3,
    'packed, float16': 1,
}


def write_videos(root: Path, lengths: dict[str, int], channels: int) -> None:
    """Write ``.npy`` files of all videos and ``.csv`` files of some, as mmaction2 reads them."""
    rng = np.random.default_rng(channels)
    header = ','.join(f'f{channel}' for channel in range(channels))
    for folder in ('npy', 'csv'):
        (root / folder).mkdir(parents=True)
    for index, (name, length) in enumerate(lengths.items()):
        features = rng.normal(size=(length, channels)).astype(np.float32)
        np.save(root / f'npy/{name}.npy', features)
        if index < NUM_CSV:
            np.savetxt(root / f'csv/{name}.csv', features, '%.6g', ',', header=header, comments='')


def readers(root: Path) -> dict[str, Reader]:
    """The ways to read a window, by name."""
    from mmaction.registry import TRANSFORMS

    folder = open_features(root / 'npy', layout='TC')
    for dtype in ('float32', 'float16'):
        pack_features(folder, root / dtype, dtype=dtype)
    packed = {dtype: open_features(root / dtype) for dtype in ('float32', 'float16')}
    stock = TRANSFORMS.build(dict(type='mmaction.LoadLocalizationFeature'))

    def csv(draw: Draw) -> np.ndarray:
        features = stock.transform(dict(feature_path=f'{root}/csv/{draw[0]}.csv'))['raw_feature']
        return np.ascontiguousarray(features[:, draw[1] : draw[1] + WINDOW])

    def npy(draw: Draw, mode: str | None = None) -> np.ndarray:
        features = np.load(f'{root}/npy/{draw[0]}.npy', mmap_mode=mode)
        return np.ascontiguousarray(features[draw[1] : draw[1] + WINDOW].T)

    return {
        'packed': lambda draw: packed['float32'].window(*draw, WINDOW),
        'packed, float16': lambda draw: packed['float16'].window(*draw, WINDOW),
        "mmaction2's LoadLocalizationFeature, .csv": csv,
        'np.load, .npy': npy,
        "np.load(mmap_mode='r'), .npy": lambda draw: npy(draw, 'r'),
        'FeatureFolder, .npy': lambda draw: folder.window(*draw, WINDOW),
    }


def rows(
    ways: dict[str, Reader],
    lengths: dict[str, int],
    channels: int,
    repeats: int,
    rng: np.random.Generator,
) -> Iterator[Row]:
    """Compare the packed form with each of the others."""
    for name, bar in BARS.items():
        is_csv = name.endswith('.csv')
        names = list(lengths)[:NUM_CSV] if is_csv else list(lengths)
        count = max(repeats // 10, 1) if is_csv else repeats
        draws = [
            (video, int(rng.integers(lengths[video] - WINDOW + 1)))
            for video in rng.choice(names, count).tolist()
        ]
        for draw in draws[:10]:  # to the precision of float16
            np.testing.assert_allclose(ways['packed'](draw), ways[name](draw), rtol=1e-3, atol=1e-3)
        ours, reference = (map(ways[key], draws) for key in ('packed', name))
        times = milliseconds(ours.__next__, reference.__next__, count)
        yield Row(f'{channels} channels: {name}', 'µs', 1e3 * times[0], 1e3 * times[1], bar)


def batch_rows(root: Path, channels: int, repeats: int) -> Iterator[Row]:
    """Compare batches that are cut in one call with windows that are read one by one."""
    for dtype in ('float32', 'float16'):
        dataset = SoLaWindowDataset(str(root / dtype), WINDOW)
        draws = list(WindowSampler(dataset, windows_per_video=-(-BATCH // len(dataset)), seed=0))
        batch = draws[:BATCH]

        def ours(dataset=dataset, batch=batch) -> dict:
            return window_collate(dataset.__getitems__(batch))

        def one_by_one(dataset=dataset, batch=batch) -> dict:
            return default_collate([dataset[draw] for draw in batch])

        assert ours()['inputs'].equal(one_by_one()['inputs'])
        spent = milliseconds(ours, one_by_one, repeats)
        per_window = [1e3 * time / len(batch) for time in spent]
        what = f'{channels} channels: in a batch of {len(batch)}, {dtype}, one by one'
        bar = 8 if channels >= 2048 and dtype == 'float16' else 2
        yield Row(what, 'µs', *per_window, bar)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--videos', type=int, default=200)
    parser.add_argument('--channels', type=int, nargs='+', default=[400, 2048])
    parser.add_argument('--repeats', type=int, default=500, help='windows of each; of .csv a tenth')
    arguments = parser.parse_args()
    warnings.filterwarnings('ignore', category=UserWarning)  # of the installed stack

    rng = np.random.default_rng(0)
    lengths = {f'v_{index:04d}': int(rng.integers(100, 1001)) for index in range(arguments.videos)}
    print(
        f'{machine()}; {len(lengths)} videos of 100 to 1000 snippets; median of '
        f'{arguments.repeats} '
        f'windows\n\n{HEADER}',
        flush=True,
    )
    for channels in arguments.channels:
        with tempfile.TemporaryDirectory() as root:
            write_videos(Path(root), lengths, channels)
            for row in rows(readers(Path(root)), lengths, channels, arguments.repeats, rng):
                print(row.markdown(), flush=True)
            for row in batch_rows(Path(root), channels, max(arguments.repeats // 20, 3)):
                print(row.markdown(), flush=True)


if __name__ == '__main__':
    main()
