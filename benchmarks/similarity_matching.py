#!/usr/bin/env python
"""One step of similarity matching: at the used positions only, against the whole convolution.

The plain step is what the authors' code computes: the neck on the whole window, then 8 of its 23
positions, and AdamW as it is. All steps start from the same weights and must give the same losses.
They run in turn; the ratio is the median over the turns.

    python benchmarks/similarity_matching.py [--batch 256 --channels 2048 --hidden 512 --steps 7]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from measure import machine

import sola_plugin  # noqa: F401
from sola_plugin.necks import SoLa
from sola_plugin.pretraining.losses import (
    at_least_float32,
    similarity_matching_loss,
    temporal_similarity,
)
from sola_plugin.pretraining.tasks import SimilarityMatcher

#: A function that takes one optimizer step and returns the loss, a scalar.
Step = Callable[[], torch.Tensor]


def plain_loss(matcher: SimilarityMatcher, windows: torch.Tensor) -> torch.Tensor:
    """Loss by way of the neck's output at all positions."""
    last = matcher.start + matcher.step * (matcher.num_positions - 1)
    z = matcher.neck(windows)[:, :, matcher.start : last + 1 : matcher.step].transpose(1, 2)
    z = F.normalize(at_least_float32(z), dim=2)
    return similarity_matching_loss(
        temporal_similarity(z.detach(), matcher.predictor(z)), matcher.target
    )


def our_loss(matcher: SimilarityMatcher, windows: torch.Tensor) -> torch.Tensor:
    """Loss as a pretraining run computes it."""
    return matcher(windows)['loss']


def step_of(
    start: SimilarityMatcher,
    windows: torch.Tensor,
    loss_of: Callable[[SimilarityMatcher, torch.Tensor], torch.Tensor],
    fused: bool = True,
    as_matmul: bool = True,
    half: bool = False,
    capturable: bool = False,
) -> Step:
    """An optimizer step on a copy of a matcher, which a CUDA graph can record if ``capturable``."""
    matcher = SimilarityMatcher(copy.deepcopy(start.neck), as_matmul=as_matmul)
    matcher.to(windows.device).load_state_dict(start.state_dict())
    optimizer = torch.optim.AdamW(matcher.parameters(), lr=1e-4, fused=fused, capturable=capturable)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        with torch.autocast(windows.device.type, torch.bfloat16, enabled=half):
            loss = loss_of(matcher, windows)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def has_bfloat16() -> bool:
    """Whether the processor multiplies matrices in bfloat16."""
    flags = ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
    return any(getattr(torch.cpu, flag, bool)() for flag in flags)


def measure(steps: dict[str, Step], turns: int) -> dict[str, list[float]]:
    """Seconds of each step, in turn, after a first turn that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(turns + 1):
        losses = {}
        for name, step in steps.items():
            begin = time.perf_counter()
            losses[name] = step().item()
            if turn:
                seconds[name].append(time.perf_counter() - begin)
        exact = [loss for name, loss in losses.items() if 'bf16' not in name]
        assert max(exact) - min(exact) < 1e-5, losses
    return seconds


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (
        ('batch', 256),
        ('channels', 2048),
        ('hidden', 512),
        ('steps', 7),
        ('threads', 2),
    ):
        parser.add_argument(f'--{name}', type=int, default=value)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    start = SimilarityMatcher(SoLa(args.channels, args.hidden))
    # As a data set cuts them in one call: the channels of a snippet side by side.
    windows = torch.randn(args.batch, start.window, args.channels).transpose(1, 2)
    turned = windows.contiguous()
    steps = {
        'plain': step_of(start, turned, plain_loss, fused=False),
        'convolution at the used positions': step_of(start, turned, our_loss, as_matmul=False),
        'as_matmul=True': step_of(start, windows, our_loss),
    }
    if has_bfloat16():
        steps['as_matmul=True, bf16'] = step_of(start, windows, our_loss, half=True)
    seconds = measure(steps, args.steps)
    print(
        f'{machine()}; {args.batch} windows of {start.window} × {args.channels}, '
        f'H = {args.hidden}; median of {args.steps}, interleaved\n\n'
        '| step of similarity matching | s | times the plain step |\n|---|---|---|'
    )
    for name, spent in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds['plain'], spent))
        print(f'| {name} | {statistics.median(spent):.3f} | {ratio:.2f}× |')
    if not has_bfloat16():
        print('\nbf16: not measured, this processor has no such products')


if __name__ == '__main__':
    main()
