"""G-TAD against the same network with a naive sampled map."""

from __future__ import annotations

import functools

import torch
from measure import Row, milliseconds
from torch import Tensor

from sola_plugin.heads import GTAD
from sola_plugin.heads.gtad.graph import gather_snippets, nearest_neighbors

#: What is measured, in words, and the arguments of the model.
NETWORKS = {
    '9.5 M parameters': dict(),
    'as released for ActivityNet': dict(num_context_samples=4, kernel_size=1),
}


class NaiveGTAD(GTAD):
    """G-TAD that makes the sampled map ``(C * samples, D, T)`` and convolves it, as it was
    published."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        matrix = self.sgalign.combine.dense()
        sizes = [self.temporal_dim * number for number in self.samples]
        self.weights = [
            part.view(len(part), self.temporal_dim, -1)[self.sgalign.cell_rows]
            .permute(2, 3, 0, 1)
            .flatten(1)
            for part in matrix.split(sizes, dim=1)
        ]

    def _localize(self, x: Tensor) -> Tensor:
        context = gather_snippets(x, nearest_neighbors(x, self.num_neighbors)).mean(3)
        sampled = [
            (source @ weights.to(source)).unflatten(2, (-1, *self.valid.shape))
            for source, weights in zip((x, context), self.weights)
        ]
        return self.localization(torch.cat(sampled, dim=2).flatten(1, 2))


def gtad_rows(repeats: int) -> list[Row]:
    """Inference of one video up to the maps."""
    rows = []
    for what, options in NETWORKS.items():
        naive, folded = NaiveGTAD(**options).eval(), GTAD(**options).eval()
        folded.load_state_dict(naive.state_dict())
        video = torch.randn(400, 100)
        with torch.no_grad():
            torch.testing.assert_close(folded([video]), naive([video]), rtol=0, atol=1e-4)
            times = milliseconds(
                *(functools.partial(model, [video]) for model in (folded, naive)), repeats
            )
        rows.append(Row(f'G-TAD forward, batch 1, {what}', 'ms', *times, 5))
    return rows


#: See ``bmn_rows.ROWS``.
ROWS = {'G-TAD': gtad_rows}
