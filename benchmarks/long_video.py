"""Memory and time of localizing a video of hours, whose features are read window by window.

    python benchmarks/long_video.py                    # 1 h and 6 h, ActionFormer and BMN
    python benchmarks/long_video.py --hours 1 --heads ActionFormer

Features of 2048 channels at 0.32 s (6 h: 67,500 snippets, 553 MB) are written to a temporary
``.npy`` file. Each row is a process of its own. The models are those of THUMOS14 with random
weights, which leave nothing to the score thresholds: every window keeps as many candidates as it
may. Peak memory (the resident set, which counts the pages of the file that are mapped as well) is
given above that with the model loaded.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import measure
import numpy as np

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/localization'
STRIDE, CHANNELS = 0.32, 2048
HEADS = {
    'ActionFormer': ('actionformer_thumos14.py', {'model.windows': dict(length=4096)}),
    # One soft-NMS of the video is what has to be in bounds: those of windows take little memory.
    'BMN': (
        'bmn_thumos14.py',
        {'model.post_processing': dict(boundary_scores=True, suppress_windows=False, voting=None)},
    ),
}


def write_features(path: Path, hours: float) -> int:
    """Write random features ``(T, C)``; returns T."""
    length = round(hours * 3600 / STRIDE)
    rng = np.random.default_rng(0)
    file = np.lib.format.open_memmap(path, 'w+', np.float32, (length, CHANNELS))
    for start in range(0, length, 1000):
        part = file[start : start + 1000]
        part[:] = rng.standard_normal(part.shape, np.float32)
    return length


def print_row(head: str, path: str) -> None:
    """What the process of one row prints: MB with the model, MB above them, seconds."""
    import torch
    from mmaction.registry import MODELS
    from mmengine.config import Config

    import sola_plugin  # noqa: F401  (registers the models)
    from sola_plugin.commands import localize

    torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
    torch.manual_seed(0)
    name, changes = HEADS[head]
    cfg = Config.fromfile(CONFIGS / name)
    cfg.merge_from_dict(changes)
    model = MODELS.build(cfg.model).eval()
    loaded, begin = measure.peak_memory(), time.perf_counter()
    found = localize(model, path, feature_stride=STRIDE, layout='TC')
    assert found and all(item['segment'][1] > item['segment'][0] for item in found)
    print(loaded, measure.peak_memory() - loaded, time.perf_counter() - begin)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--hours', nargs='+', type=float, default=[1.0, 6.0])
    parser.add_argument('--heads', nargs='+', choices=HEADS, default=list(HEADS))
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--row', nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print_row(*arguments.row)
        return
    measure.torch.set_num_threads(arguments.threads)
    os.environ.update(OMP_NUM_THREADS=str(arguments.threads), OMP_WAIT_POLICY='passive')
    print(
        '| head | hours | snippets | features, MB | model loaded, MB | peak above it, MB | s |\n'
        '|---|---|---|---|---|---|---|'
    )
    with tempfile.TemporaryDirectory() as folder:
        for hours in arguments.hours:
            path = Path(folder, f'v_{hours:g}h.npy')
            length = write_features(path, hours)
            for head in arguments.heads:
                loaded, above, seconds = measure.numbers_of(__file__, '--row', head, str(path))
                print(
                    f'| {head} | {hours:g} | {length:,} | {path.stat().st_size / 1e6:,.0f} | '
                    f'{loaded:,.0f} '
                    f'| {above:,.0f} | {seconds:,.0f} |',
                    flush=True,
                )
            path.unlink()
    print(f'\n{measure.machine()}')


if __name__ == '__main__':
    main()
