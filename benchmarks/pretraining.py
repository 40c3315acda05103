#!/usr/bin/env python
"""An iteration of pretraining, all of it, against the bare optimizer step on the same windows.

    python benchmarks/pretraining.py            # on a CPU small, with a GPU at full size

The run is the one of ``tools/pretrain_sola.py``: loader, hooks, logs. After every iteration the
same batch is trained on once more by a copy of the network, without anything around it, so that
both see the same machine; the ratio is the median over the iterations. Features are made, and
packed as float16. Rows that read one window at a time read as it was before batches were cut in one
call.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import machine, now
from mmaction.registry import DATASETS, HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

import sola_plugin  # noqa: F401  (mends the stack)
from sola_plugin.datasets.features.open import open_features
from sola_plugin.datasets.features.packing import pack_features
from sola_plugin.datasets.windows import SoLaWindowDataset
from sola_plugin.pretraining.run import pretrain, pretraining_config

ON_GPU = torch.cuda.is_available()
SNIPPETS = 200
WARM_UP = 2

#: Options of the run, and of its loader, by name of the row.
ROWS: dict[str, dict[str, Any]] = {
    'one window at a time': dict(features_on='host', one_by_one=True),
    'from the packed file': dict(features_on='host'),
    'on the device': dict(features_on='device'),
}


#: The GPU is busy for the kernels of the step's share of an iteration.
HEADER = (
    '| features | iteration | waiting for data | a window | bare step | iteration / step '
    '| GPU busy |\n|---|---|---|---|---|---|---|'
)


@DATASETS.register_module(force=True)  # tests load this file more than once
class OneByOneWindows(SoLaWindowDataset):
    """Without the batched reading."""

    __getitems__ = None


@HOOKS.register_module(force=True)
class BareStepHook(Hook):
    """Times every iteration, and a bare step on its batch."""

    priority = 'LOWEST'
    times: list[tuple[float, float, float]]
    #: Seconds of kernels in a bare step.
    busy: float | None = None

    def before_train(self, runner: Runner) -> None:
        """Copy the network."""
        type(self).times = []
        self.model = copy.deepcopy(runner.model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        self.end = now()

    def before_train_epoch(self, runner: Runner) -> None:
        """Leave what happens between epochs out."""
        self.end = now()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note when the batch was there."""
        self.got = time.perf_counter()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Take the bare step."""
        iteration, waiting = now() - self.end, self.got - self.end
        inputs = data_batch['inputs'].to(next(self.model.parameters()).device)
        begin = now()
        self.optimizer.zero_grad()
        self.model(inputs)['loss'].backward()
        self.optimizer.step()
        self.end = now()
        self.times.append((iteration, waiting, self.end - begin))
        self.last = inputs

    def after_train(self, runner: Runner) -> None:
        """Note how long the GPU works on a bare step."""
        if not ON_GPU:
            return
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
            self.optimizer.zero_grad()
            self.model(self.last)['loss'].backward()
            self.optimizer.step()
            torch.cuda.synchronize()
        kernels = (e for e in trace.events() if e.device_type == DeviceType.CUDA)
        type(self).busy = 1e-6 * sum(event.time_range.elapsed_us() for event in kernels)


def make_features(root: Path, videos: int, channels: int) -> str:
    """A packed folder of made features."""
    draw = np.random.default_rng(0)
    (root / 'npy').mkdir()
    for number in range(videos):
        rows = draw.standard_normal((SNIPPETS, channels), dtype=np.float32)
        np.save(root / f'npy/v{number}.npy', rows.astype(np.float16))
    source = open_features(dict(root=str(root / 'npy'), layout='TC'))
    pack_features(source, root / 'packed', dtype='float16')
    return str(root / 'packed')


def config(
    features: str, work_dir: str, args: argparse.Namespace, as_matmul: bool, **options: Any
) -> Config:
    """The run of a row."""
    one_by_one = options.pop('one_by_one', False)
    cfg = pretraining_config(
        dict(type='SoLa', in_channels=args.channels, hidden_channels=args.hidden),
        dict(root=features),
        work_dir,
        pretext=dict(as_matmul=as_matmul),
        batch_size=args.batch,
        max_epochs=1,
        windows_per_video=-(-args.batch * (args.iterations + WARM_UP) // args.videos),
        seed=0,
        **options,
    )
    if one_by_one:
        cfg.train_dataloader.dataset.type = 'OneByOneWindows'
        cfg.train_dataloader.collate_fn = dict(type='default_collate')
    cfg.custom_hooks = [dict(type='BareStepHook')]
    cfg.log_level = 'ERROR'
    return cfg


def row_of(name: str, cfg: Config, batch: int) -> str:
    """Run, and make the row of the table."""
    pretrain(cfg)
    iterations, waits, bares = zip(*BareStepHook.times[WARM_UP:])
    whole, wait, bare = (1e3 * statistics.median(times) for times in (iterations, waits, bares))
    ratio = statistics.median(a / b for a, b in zip(iterations, bares))
    busy = BareStepHook.busy
    share = '–' if busy is None else f'{1e5 * busy / whole:.0f} %'
    return (
        f'| {name} | {whole:.1f} ms | {wait:.1f} ms | {1e3 * wait / batch:.1f} µs '
        f'| {bare:.1f} ms | {ratio:.2f}× | {share} |'
    )


def sizes_of(args: argparse.Namespace) -> str:
    """What is measured, in words."""
    return (
        f'{args.videos} videos of {SNIPPETS} × {args.channels}, batch {args.batch}, '
        f'H = {args.hidden}; median of {args.iterations} iterations'
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    sizes = dict(videos=2000, channels=2048, hidden=512, batch=256, iterations=60)
    small = dict(videos=60, channels=2048, hidden=512, batch=64, iterations=6)
    for name, value in (sizes if ON_GPU else small).items():
        parser.add_argument(f'--{name}', type=int, default=value)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.cuda.get_device_name() if ON_GPU else 'no GPU'
    print(f'{machine()}; {device}; {sizes_of(args)}\n\n{HEADER}', flush=True)
    with tempfile.TemporaryDirectory() as folder:
        features = make_features(Path(folder), args.videos, args.channels)
        for as_matmul in (False, True):
            for number, (name, options) in enumerate(ROWS.items()):
                work_dir = f'{folder}/{as_matmul}{number}'
                cfg = config(features, work_dir, args, as_matmul, **options)
                what = f'{name}, {"as_matmul" if as_matmul else "convolution"}'
                print(row_of(what, cfg, args.batch), flush=True)


if __name__ == '__main__':
    main()
