"""Rows of similarity matching for the table of a GPU."""

from __future__ import annotations

import argparse
import copy
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pretraining
import torch
from gpu_measure import DEVICE, ON_GPU, Comparison, difference
from similarity_matching import our_loss, plain_loss, step_of
from torch import Tensor

from sola_plugin.necks import SoLa
from sola_plugin.pretraining.tasks import SimilarityMatcher

#: Sizes of a run, by whether it is tiny.
SIZES: dict[bool, dict[str, Any]] = {
    False: dict(channels=2048, hidden=512, batches=(256, 2048)),
    True: dict(channels=16, hidden=8, batches=(4,)),
}
PRETRAINING = {
    False: dict(videos=400, channels=2048, hidden=512, batch=256, iterations=30),
    True: dict(videos=6, channels=8, hidden=4, batch=4, iterations=3),
}


def matching_rows(tiny: bool) -> Iterator[Comparison]:
    """A step at the used positions, with fused AdamW, against the plain step."""
    sizes = SIZES[tiny]
    channels, hidden = sizes['channels'], sizes['hidden']
    torch.manual_seed(0)
    start = SimilarityMatcher(SoLa(channels, hidden))
    torch.nn.init.constant_(start.neck.alpha, 0.5)  # at 0 the network would not count
    for batch in sizes['batches']:
        windows = torch.randn(batch, start.window, channels, device=DEVICE).transpose(1, 2)
        turned = windows.contiguous()
        for name in ('float32', 'TF32', 'bf16'):
            options: dict[str, Any] = dict(half=name == 'bf16')
            yield Comparison(
                f'similarity matching, a step, batch {batch}',
                name,
                step_of(start, windows, our_loss, **options),
                step_of(start, turned, plain_loss, fused=False, **options),
                functools.partial(loss_error, start, windows),
                graph=step_of(start, windows, our_loss, capturable=ON_GPU, **options),
                operations=step_operations(batch, channels, hidden),
            )


def loss_error(start: SimilarityMatcher, windows: Tensor) -> float:
    """Difference of the loss from that of the plain way in float64, of some windows."""
    some = windows[:64]
    matcher = copy.deepcopy(start).to(DEVICE)
    with torch.no_grad():
        ours = our_loss(matcher, some)
        with torch.autocast(DEVICE, enabled=False):
            return difference(ours, plain_loss(matcher.double(), some.double()))


def step_operations(batch: int, channels: int, hidden: int) -> float:
    """Additions and multiplications of a step at 8 positions.

    The gradient of the first convolution with respect to the windows is not needed.
    """
    first, others = 5 * channels * hidden, hidden * hidden + hidden * channels + 2 * channels * 512
    return 2 * 8 * batch * (2 * first + 3 * others)


def print_pretraining(tiny: bool) -> None:
    """Print the table of whole iterations."""
    args = argparse.Namespace(**PRETRAINING[tiny])
    print(f'\n{pretraining.sizes_of(args)}\n\n{pretraining.HEADER}', flush=True)
    with tempfile.TemporaryDirectory() as folder:
        features = pretraining.make_features(Path(folder), args.videos, args.channels)
        for name in ('from the packed file', 'on the device'):
            cfg = pretraining.config(
                features, f'{folder}/{name}', args, True, **pretraining.ROWS[name]
            )
            print(pretraining.row_of(f'{name}, as_matmul', cfg, args.batch), flush=True)
