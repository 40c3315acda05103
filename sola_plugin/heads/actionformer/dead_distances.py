"""A distance of ActionFormer that nothing moves any more is said, not trained around."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from .localizer import ActionFormer
from .points import PointHead

_ENDS = ('start', 'end')


class DeadDistanceHook(Hook):
    """Warns when a distance is zero at every point of a whole epoch.

    Distances go through a ReLU, as published. One that is zero everywhere has no gradient, and
    rarely comes back: classes are still learnt, and segments start or end at their points. Seen in
    3 of 210 trainings of docs/results.md and docs/real_video.md. Of other localizers it says
    nothing; a run by iterations is one epoch to it.
    """

    def __init__(self) -> None:
        self._handle: RemovableHandle | None = None
        self._alive: Tensor | None = None  # per distance, in this epoch
        self._told: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Listen to the regressor.

        Args:
            runner: Runner of the head.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if isinstance(model, ActionFormer):
            self._handle = model.regressor.register_forward_hook(self._listen)

    def _listen(self, regressor: PointHead, inputs: Sequence, distances: Tensor) -> None:
        """Distances are ``(N, P, 2)``, before the ReLU; at padded points they hold anything."""
        masks = [mask for _, mask in inputs[0] if mask is not None]
        positive = distances.detach() > 0
        if masks:
            positive &= torch.cat(masks, dim=1)[:, :, None]
        alive = positive.flatten(0, 1).any(0)
        self._alive = alive if self._alive is None else self._alive | alive

    def before_train_epoch(self, runner: Runner) -> None:
        """Forget the last epoch.

        Args:
            runner: Runner of the head.
        """
        self._alive = None

    def after_train_epoch(self, runner: Runner) -> None:
        """Look at the epoch, and warn of each distance once.

        Args:
            runner: Runner of the head.
        """
        if self._alive is None:
            return
        for end, alive in zip(_ENDS, self._alive.tolist()):
            if not alive and end not in self._told:
                self._told.add(end)
                runner.logger.warning(
                    f'the distance to the {end} of an action was zero at every point of epoch '
                    f'{runner.epoch + 1}: it has no gradient and hardly comes back. Look at '
                    'loss_reg: if it stays high, train again with another --seed'
                )

    def after_train(self, runner: Runner) -> None:
        """Stop listening.

        Args:
            runner: Runner of the head.
        """
        if self._handle is not None:
            self._handle.remove()
