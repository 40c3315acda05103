#!/usr/bin/env python
"""One step of similarity matching: at the used positions only, against the whole convolution.

The plain step is what the authors' code computes: the neck on the whole window, then 8 of its 23
positions, and AdamW as it is. Both steps start from the same weights and must give the same losses.
They run in turn; the ratio is the median over the pairs.

    python benchmarks/similarity_matching.py [--batch 256 --channels 2048 --hidden 512 --steps 7]
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import time

import torch
import torch.nn.functional as F

import sola_plugin  # noqa: F401
from sola_plugin.necks import SoLa
from sola_plugin.pretraining.losses import similarity_matching_loss, temporal_similarity
from sola_plugin.pretraining.tasks import SimilarityMatcher


def plain_loss(matcher: SimilarityMatcher, windows: torch.Tensor) -> torch.Tensor:
    """Loss by way of the neck's output at all positions."""
    last = matcher.start + matcher.step * (matcher.num_positions - 1)
    z = matcher.neck(windows)[:, :, matcher.start : last + 1 : matcher.step].transpose(1, 2)
    z = F.normalize(z, dim=2)
    return similarity_matching_loss(
        temporal_similarity(z.detach(), matcher.predictor(z)), matcher.target
    )


def timed_step(loss_of, optimizer: torch.optim.Optimizer) -> tuple[float, float]:
    """Seconds and loss of one optimizer step."""
    start = time.perf_counter()
    optimizer.zero_grad()
    loss = loss_of()
    loss.backward()
    optimizer.step()
    return time.perf_counter() - start, loss.item()


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
    ours = SimilarityMatcher(SoLa(args.channels, args.hidden))
    plain = copy.deepcopy(ours)
    windows = torch.randn(args.batch, args.channels, ours.window)
    optimizers = (
        torch.optim.AdamW(ours.parameters(), lr=1e-4, fused=True),
        torch.optim.AdamW(plain.parameters(), lr=1e-4),
    )
    pairs = []
    for step in range(args.steps + 1):
        a, loss = timed_step(lambda: ours(windows)['loss'], optimizers[0])
        b, expected = timed_step(lambda: plain_loss(plain, windows), optimizers[1])
        assert abs(loss - expected) < 1e-5, (loss, expected)
        if step:  # the first is a warm-up
            pairs.append((a, b))
    ratio = statistics.median(b / a for a, b in pairs)
    print(
        f'{platform.processor() or platform.machine()}, {args.threads} threads, torch '
        f'{torch.__version__}'
    )
    print('| step of similarity matching | plain, s | ours, s | ratio |\n|---|---|---|---|')
    plain_median, ours_median = (statistics.median(pair[i] for pair in pairs) for i in (1, 0))
    print(
        f'| {args.batch} windows of 23 × {args.channels}, H = {args.hidden} '
        f'| {plain_median:.2f} | {ours_median:.2f} | {ratio:.2f} |'
    )


if __name__ == '__main__':
    main()
