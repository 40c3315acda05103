"""Hooks of mmengine's Runner."""
from .pretrain_hook import SoLaPretrainHook
from .progress_bar import ProgressBarHook

__all__ = ['ProgressBarHook', 'SoLaPretrainHook']
