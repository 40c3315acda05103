"""Losses of a run on several ranks: those of all of them."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor


class RankMeanHook(Hook):
    """Puts the mean over the ranks in the place of a rank's own loss, before anything logs it.

    With equal batches it is the loss of the whole batch. The gradients are averaged by
    DistributedDataParallel; what is logged is that of rank 0 without this hook. A loss that is not
    finite stays with the rank that has it, which tells the videos.
    """

    priority = 'HIGHEST'  # before mmengine's RuntimeInfoHook, which hands the losses on

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Average the terms of the loss, which have the same names on all ranks."""
        if not outputs or get_world_size() == 1:
            return
        names = sorted(name for name, value in outputs.items() if _is_number(value))
        means = torch.stack([outputs[name].detach().double().flatten()[0] for name in names])
        all_reduce(means, 'mean')
        for name, mean in zip(names, means):
            if mean.isfinite():
                outputs[name] = mean.to(outputs[name].dtype)


def _is_number(value: Any) -> bool:
    return isinstance(value, Tensor) and value.numel() == 1
