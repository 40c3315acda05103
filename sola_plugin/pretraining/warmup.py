"""A head that first learns behind a fixed neck."""

from __future__ import annotations

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sola_plugin.necks import Neck


@HOOKS.register_module()
class NeckWarmupHook(Hook):
    """Keep the neck fixed for the first epochs of the head's training, then let both learn.

    A head that starts from random weights sends random gradients into a neck that similarity
    matching has trained. It stands after ``SoLaPretrainHook(freeze=False)``, or with a neck that is
    loaded by ``init_cfg``.

    Args:
        epochs: How many.

    Raises:
        ValueError: ``epochs`` is not positive. At the start of training: the model has no neck, one
            that is frozen for good, or is trained on several processes, whose wrapper waits for the
            gradients of all weights.
    """

    def __init__(self, epochs: int = 10) -> None:
        if epochs < 1:
            raise ValueError(f'NeckWarmupHook expects epochs >= 1, got {epochs}')
        self.epochs = epochs

    def before_train(self, runner: Runner) -> None:
        """Refuse a model that it can do nothing for.

        Args:
            runner: Runner of the head.
        """
        if is_model_wrapper(runner.model):
            raise ValueError('NeckWarmupHook works in one process: leave it out, or the launcher')
        neck = getattr(runner.model, 'neck', None)
        if not isinstance(neck, Neck) or neck.frozen:
            found = 'frozen' if isinstance(neck, Neck) else type(neck).__name__
            raise ValueError(
                "NeckWarmupHook needs a model with neck=dict(type='SoLa') that goes on learning "
                f'(the neck is {found}): with SoLaPretrainHook take freeze=False'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Fix the neck, or let it learn.

        Args:
            runner: Runner of the head.
        """
        neck = runner.model.neck
        neck.frozen = runner.epoch < self.epochs
        neck.requires_grad_(not neck.frozen).train()
