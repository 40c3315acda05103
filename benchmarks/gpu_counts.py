"""Operations of a forward pass of the heads: what a GPU has to be told, without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from bmn_rows import KINDS
from gpu_heads import SIZES, actionformer, features, maps
from gpu_measure import DEVICE
from gtad_rows import NETWORKS
from operations import operations
from torch import nn

from sola_plugin.heads import GTAD
from sola_plugin.heads.shared.fixed_matrix import Plan

#: How folded sampling is computed.
PLANS = (Plan('items', 64), Plan('batch', 512), Plan('dense', 512))


def count(function: Callable[[], object]) -> int:
    """Operations, after what is made once."""
    function()
    return operations(function).total()


def map_counts(model: nn.Module, sampling: Any, batch: int, shape: tuple[int, int]) -> list[int]:
    """Operations by plan."""
    counts = []
    for sampling.plan in PLANS:
        counts.append(count(maps(model, features(batch, shape))))
    return counts


def rows(tiny: bool) -> Iterator[tuple[str, list[int]]]:
    """Name and counts of every row."""
    sizes = SIZES[tiny]
    bmn = KINDS['ours'](**sizes['bmn']).to(DEVICE).eval()
    gtad = GTAD(**{**NETWORKS['9.5 M parameters'], **sizes['gtad']}).to(DEVICE).eval()
    for batch in (1, 8):
        yield f'BMN, batch {batch}', map_counts(bmn, bmn.sampling, batch, sizes['shape'])
    for batch in (1, 8):
        name = f'G-TAD, 9.5 M parameters, batch {batch}'
        yield name, map_counts(gtad, gtad.sgalign, batch, sizes['shape'])
    model, videos = actionformer(tiny), features(2, sizes['video'])
    for what, inputs in (
        ('of equal lengths', videos),
        ('of different lengths', [videos[0], videos[1][:, :-9]]),
    ):
        by_rows = count(maps(model, inputs))
        yield (
            f'ActionFormer, 2 videos {what}',
            [count(maps(model, inputs, 'channels')), by_rows, by_rows],
        )


def print_counts(tiny: bool) -> None:
    """Print the table."""
    print(
        f'torch {torch.__version__}\n\n'
        '| forward | as on a CPU | as on a GPU, float32 | as on a GPU, TF32 or half precision |\n'
        '|---|---|---|---|'
    )
    for name, counts in rows(tiny):
        print(f'| {name} | {" | ".join(map(str, counts))} |', flush=True)
