"""Training: similarity matching as a run of its own, hooks, resuming."""

from .hooks import LinearProbeHook, ProgressBarHook, RandomStateHook, SoLaPretrainHook
from .naming import name_run
from .pretraining import pretrain, pretraining_config
from .resume import newest_checkpoint, resume_from_newest, resume_run

__all__ = [
    'LinearProbeHook',
    'ProgressBarHook',
    'RandomStateHook',
    'SoLaPretrainHook',
    'name_run',
    'newest_checkpoint',
    'pretrain',
    'pretraining_config',
    'resume_from_newest',
    'resume_run',
]
