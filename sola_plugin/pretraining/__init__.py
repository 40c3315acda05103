"""Training a neck before the head: pretext tasks, the run, hooks; importing it registers them."""

from .checkpoint_files import newest_checkpoint
from .hook import SoLaPretrainHook
from .one_cycle import ProportionalOneCycleLR
from .probe import LinearProbeHook
from .progress_bar import ProgressBarHook
from .random_state import RandomStateHook
from .resuming import resume_from_newest, resume_run
from .run import pretrain, pretraining_config
from .runs import name_run
from .tf32 import TF32Hook
from .warmup import NeckWarmupHook

__all__ = [
    'LinearProbeHook',
    'NeckWarmupHook',
    'ProgressBarHook',
    'ProportionalOneCycleLR',
    'RandomStateHook',
    'SoLaPretrainHook',
    'TF32Hook',
    'name_run',
    'newest_checkpoint',
    'pretrain',
    'pretraining_config',
    'resume_from_newest',
    'resume_run',
]
