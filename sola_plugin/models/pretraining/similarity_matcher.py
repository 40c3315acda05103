"""The model that similarity matching trains: neck → predictor → loss."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..losses import interval_target, similarity_matching_loss, temporal_similarity


@MODELS.register_module()
class SimilarityMatcher(BaseModel):
    """Similarity matching of windows of unlabelled features (https://arxiv.org/abs/2211.06023)::

        window (B, C, window) ─ neck ─ L positions, L2-normalised ─ z (stopped) ─┐
                                                        └─ predictor ─ p ─────── TSM (B, L, L) ─ loss
                                                                          target (L, L) ─┘

    Args:
        neck: Config of a neck with channels given, or the neck itself.
        window: Snippets in a window.
        start: First position used. The default leaves out those that read padding.
        step: Distance between positions, in snippets.
        num_positions: Number of positions L.
        k: Decay of the target, see :func:`~sola_plugin.models.losses.interval_target`.
        predictor_channels: Hidden channels of the predictor; ``None`` for no predictor.
        stop_gradient: No gradient through the rows of the TSM.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        ValueError: A position lies outside the window.
    """

    target: Tensor

    def __init__(self,
                 neck: dict | nn.Module,
                 window: int = 23,
                 start: int = 4,
                 step: int = 2,
                 num_positions: int = 8,
                 k: float = 16.0,
                 predictor_channels: int | None = 512,
                 stop_gradient: bool = True,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        last = start + step * (num_positions - 1)
        if start < 0 or step < 1 or num_positions < 2 or last >= window:
            raise ValueError(f'positions {start}, {start + step}, ..., {last} must lie inside a window '
                             f'of {window} snippets: change window, start, step or num_positions')
        self.neck = neck if isinstance(neck, nn.Module) else MODELS.build(neck)
        self.window = window
        self.start = start
        self.step = step
        self.num_positions = num_positions
        self.k = k
        self.predictor_channels = predictor_channels
        self.stop_gradient = stop_gradient
        channels: int = self.neck.in_channels  # type: ignore[assignment]
        self.predictor = None if predictor_channels is None else nn.Sequential(
            nn.Linear(channels, predictor_channels), nn.ReLU(inplace=True),
            nn.Linear(predictor_channels, channels))
        self.register_buffer('target', interval_target(num_positions, k), persistent=False)

    @property
    def settings(self) -> dict:
        """The arguments other than the neck."""
        names = ('window', 'start', 'step', 'num_positions', 'k', 'predictor_channels', 'stop_gradient')
        return {name: getattr(self, name) for name in names}

    def forward(self, inputs: Tensor, data_samples: list | None = None,
                mode: str = 'loss') -> dict[str, Tensor] | Tensor:
        """Similarity-matching loss of a batch of windows.

        Args:
            inputs: Windows ``(B, C, window)``.
            data_samples: Not used; similarity matching needs no labels.
            mode: ``'loss'`` or ``'tensor'``.

        Returns:
            ``dict(loss=scalar)``, or the TSM ``(B, L, L)`` in mode ``'tensor'``.

        Raises:
            ValueError: The windows have another length.
        """
        if inputs.dim() != 3 or inputs.shape[2] != self.window:
            raise ValueError(f'expected windows (B, C, {self.window}), got {tuple(inputs.shape)}')
        if mode not in ('loss', 'tensor'):
            raise ValueError(f'SimilarityMatcher has the modes loss and tensor, got {mode!r}')
        tsm = self._temporal_similarity(inputs)
        return tsm if mode == 'tensor' else dict(loss=similarity_matching_loss(tsm, self.target))

    def _temporal_similarity(self, inputs: Tensor) -> Tensor:
        z = self.neck.forward_positions(  # type: ignore[operator]
            inputs, self.start, self.step, self.num_positions)
        # The predictor sees unit vectors; half precision keeps too few digits of their length.
        z = F.normalize(z if z.dtype == torch.float64 else z.float(), dim=2)
        p = z if self.predictor is None else self.predictor(z)
        return temporal_similarity(z.detach() if self.stop_gradient else z, p)
