"""Similarity matching (https://arxiv.org/abs/2211.06023): neck → predictor → loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from sola_plugin.necks.record import plain_value
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
        step: Distance between positions, in snippets. Several: a TSM of each, of which the mean
            loss is taken; not part of the paper.
        num_positions: Number of positions L.
        k: Decay of the target, see :func:`~sola_plugin.pretraining.losses.interval_target`. Of
            several steps it belongs to the first, and equal times have equal targets.
        target: ``'interval'``, the paper's; ``'measured'``: of every interval the mean similarity
            that the features themselves have at it, standardised if the neck does so, over all
            windows so far. The task is then that this interval's pairs are alike, not how alike.
        negatives: Weight of a second loss, not part of the paper: positions of the next window of
            the batch, most often of another video, should have cosine 0 with those of a window.
        besides: Configs of other tasks, without the neck, that are trained at the same time on the
            same windows, or on the beginning of them; not part of the paper.
        predictor_channels: Hidden channels of the predictor; ``None`` for no predictor.
        stop_gradient: No gradient through the rows of the TSM.
        as_matmul: Compute the neck's first convolution as one matrix product, see
            :meth:`~sola_plugin.necks.SoLa.forward_positions`: faster on a CPU, and equal up to the
            rounding of sums. It says how, not what, and is not part of :attr:`settings`.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        ValueError: A position lies outside the window, the target is not known, or a task besides
            needs longer windows, or labels.
    """

    targets: Tensor
    measured: Tensor

    def __init__(
        self,
        neck: dict | nn.Module,
        window: int = 23,
        start: int = 4,
        step: int | Sequence[int] = 2,
        num_positions: int = 8,
        k: float = 16.0,
        target: str = 'interval',
        negatives: float = 0.0,
        besides: Sequence[dict] = (),
        predictor_channels: int | None = 512,
        stop_gradient: bool = True,
        as_matmul: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        # The settings of earlier versions, which did not know them, hold nothing of these.
        beyond_paper = dict(
            [('target', target)] * (target != 'interval')
            + [('negatives', negatives)] * bool(negatives)
            + [('besides', list(plain_value(besides, 'besides')))] * bool(besides)
        )
        super().__init__(
            neck,
            window,
            start=start,
            step=step,
            num_positions=num_positions,
            k=k,
            predictor_channels=predictor_channels,
            stop_gradient=stop_gradient,
            **beyond_paper,
            init_cfg=init_cfg,
        )
        self.steps = (step,) if isinstance(step, int) else tuple(step)
        last = start + max(self.steps, default=0) * (num_positions - 1)
        if start < 0 or min(self.steps, default=0) < 1 or num_positions < 2 or last >= window:
            raise ValueError(
                f'positions {start}, ..., {last} of step={step} must lie inside a window '
                f'of {window} snippets: change window, start, step or num_positions'
            )
        self.start = start
        self.step = self.steps[0]
        self.num_positions = num_positions
        self.k = k
        self.stop_gradient = stop_gradient
        self._how = dict(as_matmul=True) if as_matmul else {}
        self.predictor = (
            None if predictor_channels is None else _predictor(self.channels, predictor_channels)
        )
        self.negatives = negatives
        self.besides = nn.ModuleList(self._companion(task) for task in besides)
        self.any_layout = as_matmul and all(task.any_layout for task in self.besides)
        self._add_targets(target)

    def _add_targets(self, kind: str) -> None:
        if kind not in ('interval', 'measured'):
            raise ValueError(f"target={kind!r}: expected 'interval' or 'measured'")
        by_interval = [
            interval_target(self.num_positions, self.k * (self.step / each) ** 2)
            for each in self.steps
        ]
        self.register_buffer('targets', torch.stack(by_interval), persistent=False)
        if kind == 'measured':
            # Sums over the windows so far, and their number: kept, so that a run can be resumed.
            sums = torch.zeros(len(self.steps), self.num_positions + 1, dtype=torch.float64)
            self.register_buffer('measured', sums)

    def _companion(self, config: dict) -> Pretext:
        task = MODELS.build(dict(config, neck=self.neck))
        if task.window > self.window or task.uses_labels:
            raise ValueError(
                f'{type(task).__name__} cannot stand besides similarity matching of windows of '
                f'{self.window} snippets: it needs '
                + ('labels' if task.uses_labels else f'windows of {task.window}')
            )
        # In the checkpoints of a run the neck is there once, as that of this model.
        task.__dict__['neck'] = task._modules.pop('neck')
        return task

    @property
    def target(self) -> Tensor:
        """Target of the first step ``(L, L)``."""
        return self.targets[0]

    def loss(self, inputs: Tensor, *labels: Tensor) -> dict[str, Tensor]:
        """Similarity-matching loss of windows ``(B, C, window)``: ``dict(loss=scalar)``.

        With negatives there is ``loss_negatives``, of other tasks ``<task>.<loss>``.
        """
        if 'measured' in self._buffers and self.training:
            self._measure(inputs)
        pairs = [self._positions(inputs, step) for step in self.steps]
        losses = [
            similarity_matching_loss(temporal_similarity(z, p), target)
            for (z, p), target in zip(pairs, self.targets)
        ]
        found = dict(loss=sum(losses[1:], losses[0]) / len(losses))
        if self.negatives:
            z, p = pairs[0]
            of_others = temporal_similarity(z.roll(1, 0), p)
            cosine_zero = torch.full_like(self.target, 0.5)
            found['loss_negatives'] = self.negatives * similarity_matching_loss(
                of_others, cosine_zero
            )
        for task in self.besides:
            assert isinstance(task, Pretext)
            for key, value in task.loss(inputs[..., : task.window]).items():
                found[f'{type(task).__name__}.{key}'] = value
        return found

    def tensor(self, inputs: Tensor) -> Tensor:
        """Temporal similarity matrices (TSM), of the first step.

        Args:
            inputs: Windows ``(B, C, window)``.

        Returns:
            ``(B, L, L)``.
        """
        return temporal_similarity(*self._positions(inputs, self.step))

    def _positions(self, inputs: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Rows z and columns p ``(B, L, C)`` of a TSM."""
        z = self.neck.forward_positions(  # type: ignore[operator]
            inputs, self.start, step, self.num_positions, **self._how
        )
        # The predictor sees unit vectors; half precision keeps too few digits of their length.
        z = F.normalize(z if z.dtype == torch.float64 else z.float(), dim=2)
        p = z if self.predictor is None else self.predictor(z)
        return (z.detach() if self.stop_gradient else z), p

    @torch.no_grad()
    def _measure(self, inputs: Tensor) -> None:
        """Add the similarities of a batch by interval, and make the targets of their means."""
        x = inputs.float()
        if getattr(self.neck, 'standardization', None) is not None:
            variance, mean = torch.var_mean(x, dim=(0, 2), keepdim=True, correction=0)
            x = (x - mean) / (variance + 1e-5).sqrt()
        index = torch.arange(self.num_positions, device=x.device)
        interval = (index[:, None] - index).abs()
        for number, step in enumerate(self.steps):
            at = x[:, :, self.start + step * index].transpose(1, 2)
            tsm = temporal_similarity(at, at).double().sum(0)
            sums = self.measured[number]
            for d in range(self.num_positions):
                sums[d] += tsm[interval == d].mean()
            sums[-1] += len(x)
            self.targets[number] = (sums[:-1] / sums[-1])[interval].to(self.targets.dtype)


def _predictor(channels: int, hidden_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(channels, hidden_channels),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_channels, channels),
    )
