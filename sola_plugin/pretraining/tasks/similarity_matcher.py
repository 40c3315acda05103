"""Similarity matching (https://arxiv.org/abs/2211.06023): neck → predictor → loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from sola_plugin.pretraining.losses import (
    interval_target,
    similarity_matching_loss,
    temporal_similarity,
)

from .pretext import Pretext


@MODELS.register_module()
class SimilarityMatcher(Pretext):
    """Similarity matching of windows of unlabelled features (https://arxiv.org/abs/2211.06023).

    From a window to the loss::

        window (B, C, window) ─ neck ─ L positions, L2-normalised ─ z (stopped) ─┐
                                                          └─ predictor ─ p ─ TSM (B, L, L) ─ loss
                                                                               target (L, L) ─┘

    Args:
        neck: Config of a neck with channels given, or the neck itself.
        window: Snippets in a window.
        start: First position used. The default leaves out those that read padding.
        step: Distance between positions, in snippets.
        num_positions: Number of positions L.
        k: Decay of the target, see :func:`~sola_plugin.pretraining.losses.interval_target`.
        predictor_channels: Hidden channels of the predictor; ``None`` for no predictor.
        stop_gradient: No gradient through the rows of the TSM.
        as_matmul: Compute the neck's first convolution as one matrix product, see
            :meth:`~sola_plugin.necks.SoLa.forward_positions`: faster on a CPU, and equal up to the
            rounding of sums. It says how, not what, and is not part of :attr:`settings`.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        ValueError: A position lies outside the window.
    """

    target: Tensor

    def __init__(
        self,
        neck: dict | nn.Module,
        window: int = 23,
        start: int = 4,
        step: int = 2,
        num_positions: int = 8,
        k: float = 16.0,
        predictor_channels: int | None = 512,
        stop_gradient: bool = True,
        as_matmul: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            neck,
            window,
            start=start,
            step=step,
            num_positions=num_positions,
            k=k,
            predictor_channels=predictor_channels,
            stop_gradient=stop_gradient,
            init_cfg=init_cfg,
        )
        last = start + step * (num_positions - 1)
        if start < 0 or step < 1 or num_positions < 2 or last >= window:
            raise ValueError(
                f'positions {start}, {start + step}, ..., {last} must lie inside a window '
                f'of {window} snippets: change window, start, step or num_positions'
            )
        self.start = start
        self.step = step
        self.num_positions = num_positions
        self.k = k
        self.stop_gradient = stop_gradient
        self.any_layout = as_matmul
        self._how = dict(as_matmul=True) if as_matmul else {}
        self.predictor = (
            None
            if predictor_channels is None
            else nn.Sequential(
                nn.Linear(self.channels, predictor_channels),
                nn.ReLU(inplace=True),
                nn.Linear(predictor_channels, self.channels),
            )
        )
        self.register_buffer('target', interval_target(num_positions, k), persistent=False)

    def loss(self, inputs: Tensor, *labels: Tensor) -> dict[str, Tensor]:
        """Similarity-matching loss of windows ``(B, C, window)``: ``dict(loss=scalar)``."""
        return dict(loss=similarity_matching_loss(self.tensor(inputs), self.target))

    def tensor(self, inputs: Tensor) -> Tensor:
        """Temporal similarity matrices (TSM).

        Args:
            inputs: Windows ``(B, C, window)``.

        Returns:
            ``(B, L, L)``.
        """
        z = self.neck.forward_positions(  # type: ignore[operator]
            inputs, self.start, self.step, self.num_positions, **self._how
        )
        # The predictor sees unit vectors; half precision keeps too few digits of their length.
        z = F.normalize(z if z.dtype == torch.float64 else z.float(), dim=2)
        p = z if self.predictor is None else self.predictor(z)
        return temporal_similarity(z.detach() if self.stop_gradient else z, p)
