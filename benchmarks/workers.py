#!/usr/bin/env python
"""Training in the processes of a study, which keep the memory that they free, and in others.

    python benchmarks/workers.py                       # as in docs/benchmarks.md

Training steps of shipped configs, random features, each measurement in a process of its own with
one thread: with the environment that a study gives its processes, and without.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADS = ('bmn_watch', 'gtad_watch', 'actionformer_watch', 'bmn_salads')
#: Snippets of a video where the config does not say, and steps that are measured after as many.
LENGTH, STEPS = 128, 30


def print_step(head: str) -> None:
    """Milliseconds of a step, and MB of the process at most."""
    import measure
    import torch
    from mmaction.registry import MODELS
    from mmaction.structures import ActionDataSample
    from mmengine.config import Config
    from mmengine.structures import InstanceData

    import sola_plugin  # noqa: F401  (mends the installed stack)

    torch.set_num_threads(1)
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / f'configs/localization/{head}.py')
    model = MODELS.build(cfg.model).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    sample = ActionDataSample()
    sample.gt_instances = InstanceData(
        gt_bbox=torch.tensor([[0.1, 0.2], [0.5, 0.6]]), gt_labels=torch.tensor([0, 1])
    )
    batch = cfg.train_dataloader.batch_size
    length = cfg.model.get('temporal_dim', LENGTH)
    inputs = list(torch.randn(batch, cfg.model.feat_dim, length))

    def step() -> None:
        losses = model(inputs, [sample] * batch, mode='loss')
        optimizer.zero_grad()
        model.parse_losses(losses)[0].backward()
        optimizer.step()

    (milliseconds,) = measure.medians([step], STEPS, warm_up=STEPS)
    print(milliseconds, measure.peak_memory())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--heads', nargs='+', choices=HEADS, default=HEADS)
    parser.add_argument('--repeats', type=int, default=5, help='processes of each')
    parser.add_argument('--step', choices=HEADS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print_step(arguments.step)
        return
    import measure

    from sola_plugin.studies.workers import ENVIRONMENT

    print(f'{measure.machine()}; median of {arguments.repeats}, interleaved\n')
    print('| head | kept, ms | given back, ms | ratio | kept, MB | given back, MB |')
    print('|---|---|---|---|---|---|')
    threads = {name: value for name, value in ENVIRONMENT.items() if 'THREADS' in name}
    for head in arguments.heads:
        measured: dict[str, list[list[float]]] = {'kept': [], 'given back': []}
        for _ in range(arguments.repeats):
            for way, environment in zip(measured, (ENVIRONMENT, threads)):
                command = [sys.executable, __file__, '--step', head]
                output = subprocess.run(
                    command,
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, **environment},
                ).stdout
                measured[way].append([float(word) for word in output.splitlines()[-1].split()])
        (kept, kept_mb), (given, given_mb) = (
            map(statistics.median, zip(*runs)) for runs in measured.values()
        )
        print(
            f'| {head} | {kept:.1f} | {given:.1f} | {given / kept:.2f}× | {kept_mb:.0f} '
            f'| {given_mb:.0f} |',
            flush=True,
        )


if __name__ == '__main__':
    main()
