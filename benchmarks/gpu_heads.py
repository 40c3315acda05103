"""Rows of the heads for the table of a GPU."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from bmn_rows import BMN_CONFIG, KINDS, videos
from gpu_measure import DEVICE, ON_GPU, Comparison, difference
from gtad_rows import NETWORKS, NaiveGTAD
from mmaction.registry import MODELS
from torch import Tensor, nn

from sola_plugin.heads import GTAD
from sola_plugin.heads.actionformer import layout as layouts
from sola_plugin.heads.shared.fixed_matrix import Plan
from sola_plugin.heads.shared.sampling import FoldedSampling

#: Sizes of a run, by whether it is tiny.
SIZES: dict[bool, dict[str, Any]] = {
    False: dict(
        bmn=BMN_CONFIG,
        gtad=dict(),
        shape=(400, 100),
        forward=(1, 8, 64),
        train=(8, 16),
        pyramid=dict(channels=512, num_levels=6, num_heads=4, windows=19, drop_path=0.1),
        video=(2048, 2304),
    ),
    True: dict(
        bmn=dict(BMN_CONFIG, temporal_dim=12, num_samples=4, hidden_dim_1d=8, hidden_dim_3d=16),
        gtad=dict(temporal_dim=12, num_samples=3, hidden_dim_1d=32, hidden_dim_3d=16),
        shape=(400, 12),
        forward=(1, 2),
        train=(2,),
        pyramid=dict(channels=16, num_levels=3, num_heads=2, windows=5),
        video=(32, 60),
    ),
}


def with_equal_weights(*models: nn.Module) -> list[nn.Module]:
    """Models on the device, all with the weights of the last one."""
    state = models[-1].state_dict()
    for model in models:
        model.load_state_dict(state, strict=False)  # mmaction2's has a mask besides
    return [model.to(DEVICE) for model in models]


def features(batch: int, shape: tuple[int, int]) -> list[Tensor]:
    """Random features ``(C, T)``."""
    generator = torch.Generator().manual_seed(0)
    return list(torch.randn(batch, *shape, generator=generator).to(DEVICE))


def maps(model: nn.Module, inputs: list[Tensor], layout: str = 'rows') -> Callable[[], Any]:
    """Forward without a graph; ActionFormer as on a GPU (``'rows'``) or as on a CPU."""

    def forward() -> Any:
        with torch.no_grad(), layouts.use(layout):
            return model(inputs, None, 'tensor')

    return forward


def compute_as_a_gpu(sampling: FoldedSampling, precision: str) -> None:
    """Choose on a CPU what would be chosen on a GPU."""
    if not ON_GPU:
        sampling.plan = Plan('batch' if precision == 'float32' else 'dense', 512)


def forward_error(ours: nn.Module, peer: nn.Module, inputs: list[Tensor]) -> float:
    """Difference of ours from the peer in float64, of the first two videos."""
    two = inputs[:2]
    with torch.autocast(DEVICE, enabled=False):
        double = copy.deepcopy(peer).double()
        exact = maps(double, [video.double() for video in two], 'channels')()
    return difference(maps(ours, two)(), exact)


def bmn_rows(tiny: bool) -> Iterator[Comparison]:
    """Forward and training of BMN, against mmaction2's."""
    sizes = SIZES[tiny]
    ours, stock = with_equal_weights(*(kind(**sizes['bmn']) for kind in KINDS.values()))
    for batch in sizes['forward']:
        inputs = features(batch, sizes['shape'])
        for name in ('float32', 'TF32', 'bf16'):
            compute_as_a_gpu(ours.sampling, name)  # type: ignore[arg-type]
            yield Comparison(
                f'BMN forward, batch {batch}',
                name,
                maps(ours, inputs),
                maps(stock, inputs),
                functools.partial(forward_error, ours, stock, inputs),
                graph=maps(ours, inputs),
            )
    for batch in sizes['train']:
        for name in ('float32', 'bf16'):
            compute_as_a_gpu(ours.sampling, name)  # type: ignore[arg-type]
            steps = [TrainStep(model, batch, sizes['shape']) for model in (ours, stock)]
            yield Comparison(
                f'BMN training step, batch {batch}', name, *steps, steps[0].error, repeats=0.3
            )


class TrainStep:
    """Labels, loss, backward, clipping and Adam, as in mmaction2's config, on a copy of a model.

    Args:
        model: BMN.
        batch: Videos.
        shape: Of the features of each.
    """

    def __init__(self, model: nn.Module, batch: int, shape: tuple[int, int]) -> None:
        self.model = copy.deepcopy(model)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=1e-3, weight_decay=1e-4)
        self.inputs, self.samples = features(batch, shape), videos(batch)[1]

    def __call__(self) -> None:
        """Take it."""
        self.optimizer.zero_grad()
        self.model(self.inputs, self.samples, 'loss')['loss'].backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 40)
        self.optimizer.step()

    def error(self) -> float:
        """Difference of the loss from that in float64, with the same cells drawn."""
        torch.manual_seed(0)
        loss = self.model(self.inputs, self.samples, 'loss')['loss']
        double = copy.deepcopy(self.model).double()
        double.bm_mask.data = self.model.bm_mask.data  # whose precision is that of the draws
        torch.manual_seed(0)
        with torch.autocast(DEVICE, enabled=False):
            wide = [video.double() for video in self.inputs]
            return difference(loss, double(wide, self.samples, 'loss')['loss'])


def gtad_rows(tiny: bool) -> Iterator[Comparison]:
    """Forward of G-TAD, against a map that is really sampled; both networks."""
    sizes = SIZES[tiny]
    for what, options in NETWORKS.items():
        kinds = (kind(**{**options, **sizes['gtad']}).eval() for kind in (GTAD, NaiveGTAD))
        ours, naive = with_equal_weights(*kinds)
        compute_as_a_gpu(ours.sgalign, 'float32')  # type: ignore[arg-type]
        for batch in sizes['forward'][:2]:
            inputs = features(batch, sizes['shape'])
            yield Comparison(
                f'G-TAD forward, batch {batch}, {what}',
                'float32',
                maps(ours, inputs),
                maps(naive, inputs),
                functools.partial(forward_error, ours, naive, inputs),
                graph=maps(ours, inputs),
            )


def actionformer(tiny: bool) -> nn.Module:
    """ActionFormer in the published size."""
    torch.manual_seed(0)
    channels, _ = SIZES[tiny]['video']
    config = dict(type='ActionFormer', feat_dim=channels, classes=[f'c{i}' for i in range(20)])
    return MODELS.build(dict(config, pyramid=SIZES[tiny]['pyramid'])).to(DEVICE).eval()


def actionformer_rows(tiny: bool) -> Iterator[Comparison]:
    """Forward of ActionFormer, against itself computed as on a CPU: no other one runs here."""
    sizes = SIZES[tiny]
    channels, length = sizes['video']
    model = actionformer(tiny)
    inputs = features(2, (channels, length))
    for name in ('float32', 'TF32', 'bf16'):
        yield Comparison(
            f'ActionFormer forward, 2 × {length} × {channels}',
            name,
            maps(model, inputs),
            maps(model, inputs, 'channels'),
            functools.partial(forward_error, model, model, inputs),
            graph=maps(model, inputs),
        )
