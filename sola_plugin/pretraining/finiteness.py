"""Losses and weights that are not finite end a training, and are not tested."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from sola_plugin.messages import first_few
from sola_plugin.necks.checkpoint import CheckpointError

from .checkpoint_files import newest_checkpoint

#: Looks in a row at a loss that is not finite, among steps that a gradient scaler may skip.
_SKIPPED = 3


class NotFiniteError(CheckpointError):
    """A training has come to numbers that are not finite."""


def check_finite(model: nn.Module, path: str | os.PathLike) -> None:
    """Refuse weights that are not finite: all that comes of them would be 0 or nothing.

    Raises:
        CheckpointError: Some are NaN or infinite.
    """
    bad = _not_finite(model)
    if bad:
        raise CheckpointError(
            f'{os.fspath(path)} has weights that are not finite ({first_few(bad)}): its training '
            'went wrong; take an earlier checkpoint, and train with a smaller learning rate'
        )


def _not_finite(model: nn.Module) -> list[str]:
    return [
        name
        for name, value in model.state_dict().items()
        if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all()
    ]


class FiniteHook(Hook):
    """Ends a training whose loss or weights are not finite, before a checkpoint of them is written.

    In half precision single steps overflow and are skipped: there, it is the third look in a row
    that ends the training.

    Args:
        interval: Iterations between two looks at the loss; on a GPU a look waits for it.
    """

    priority = 'VERY_HIGH'

    def __init__(self, interval: int | None = None) -> None:
        self.interval = interval or (20 if torch.cuda.is_available() else 1)
        self._looks = 0  # in a row that saw such a loss

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Look at the terms of the loss.

        Raises:
            NotFiniteError: One is NaN or infinite, and not for the first time where steps are
                skipped.
        """
        if not outputs or not self.every_n_train_iters(runner, self.interval):
            return
        bad = [
            f'{name} {value.item()}'
            for name, value in outputs.items()
            if isinstance(value, Tensor) and value.numel() == 1 and not math.isfinite(value.item())
        ]
        self._looks = self._looks + 1 if bad else 0
        if self._looks >= (_SKIPPED if isinstance(runner.optim_wrapper, AmpOptimWrapper) else 1):
            raise NotFiniteError(_what_to_do(runner, ', '.join(bad), _videos(data_batch)))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look at the weights.

        Raises:
            NotFiniteError: Some are NaN or infinite.
        """
        bad = _not_finite(runner.model)
        if bad:
            raise NotFiniteError(_what_to_do(runner, f'weights of {first_few(bad)}', ''))


def _videos(data_batch: Any) -> str:
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    names = [getattr(sample, 'metainfo', {}).get('video_name') for sample in samples or ()]
    return f' (videos {first_few(filter(None, names), 8)})' if any(names) else ''


def _what_to_do(runner: Runner, what: str, where: str) -> str:
    good = newest_checkpoint(runner.work_dir)
    kept = f'the last good checkpoint is {good}' if good else 'there is no checkpoint yet'
    return (
        f'training stopped in epoch {runner.epoch + 1}, iteration {runner.iter + 1}{where}: '
        f'{what}; {kept}. Try a smaller learning rate, or optim_wrapper.clip_grad'
    )
