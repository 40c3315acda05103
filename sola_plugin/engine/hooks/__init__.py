"""Hooks of mmengine's Runner."""

from .linear_probe_hook import LinearProbeHook
from .pretrain_hook import SoLaPretrainHook
from .progress_bar import ProgressBarHook
from .random_state_hook import RandomStateHook

__all__ = ['LinearProbeHook', 'ProgressBarHook', 'RandomStateHook', 'SoLaPretrainHook']
