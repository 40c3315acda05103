"""TF32 by a config key."""

from __future__ import annotations

from typing import Any

import torch
from mmaction.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class TF32Hook(Hook):
    """Products and convolutions of float32 on a GPU in TF32, or exactly, while a run lasts.

    TF32 keeps 10 bits of every factor and sums in float32: about as exact as bfloat16 is in its
    factors, with the range of float32 and without another wrapper of the optimizer. Without a GPU
    nothing changes. After the run PyTorch's settings are as they were.

    Args:
        enabled: Whether TF32 is used. PyTorch's own default is for convolutions only.

    Example:
        >>> default_hooks = dict(tf32=dict(type='TF32Hook'))  # of a config
    """

    priority = 'VERY_HIGH'

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._before: tuple[bool, bool] | None = None

    def before_run(self, runner: Any) -> None:
        """Choose."""
        if not torch.cuda.is_available():
            return
        products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
        if self._before is None:
            self._before = products.allow_tf32, convolutions.allow_tf32
        products.allow_tf32 = convolutions.allow_tf32 = self.enabled

    def after_run(self, runner: Any) -> None:
        """Put back what was."""
        if self._before is not None:
            products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
            products.allow_tf32, convolutions.allow_tf32 = self._before
            self._before = None
