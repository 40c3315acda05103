"""Processes that work together: how they meet, and how they part."""

from __future__ import annotations

import atexit
import datetime
import gc
import os

import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info, is_distributed

from .launchers import prepare_ranks

#: Ranks that share no gradients wait for each other at the end, as long as the slowest one works.
_LONG_WAIT = datetime.timedelta(days=30)


def prepare_cpu_ranks(cfg: Config) -> None:
    """Let launchers work where there is no GPU.

    mmengine sets the CUDA device of a rank before anything else, and hands it to
    DistributedDataParallel; both fail there. With a GPU, or without a launcher, nothing is done but
    :func:`~.launchers.prepare_ranks`.

    Args:
        cfg: Runner config with ``launcher``; changed in place.

    Raises:
        LauncherError: It was not started by this launcher.
    """
    launcher = cfg.get('launcher') or 'none'
    prepare_ranks(launcher)
    if launcher == 'none' or torch.cuda.is_available():
        return
    if not is_distributed():
        _join_group()
    if cfg.get('model_wrapper_cfg') is None:
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
        )


def divide_among_ranks() -> tuple[int, int]:
    """Join the ranks that ``torchrun`` started, for work that is divided among them.

    Returns:
        Number of this rank, and of how many; ``(0, 1)`` without ``torchrun``.
    """
    if torch.distributed.is_torchelastic_launched() and not is_distributed():
        _join_group(timeout=_LONG_WAIT)
    return get_dist_info()


def own_device() -> str:
    """The device of this rank: a GPU, if there are any."""
    if not torch.cuda.is_available():
        return 'cpu'
    return f'cuda:{int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()}'


def _join_group(**options) -> None:
    torch.distributed.init_process_group('gloo', **options)
    leave_group_at_exit()


def leave_group_at_exit() -> None:
    """Let this process leave the ranks' group when it ends, whoever joined it.

    A group that is left to the interpreter makes NCCL warn that ``destroy_process_group`` was not
    called, and threads of gloo that still run would abort the process.
    """
    atexit.register(leave_group)


def leave_group() -> None:
    """Leave the group of ``torchrun``'s ranks, if this process is in one."""
    # a model wrapper in a reference cycle would keep the group, and its threads, alive
    gc.collect()
    if is_distributed():
        torch.distributed.destroy_process_group()


def abandon_group() -> None:
    """Let a rank that has failed end at once.

    To leave an NCCL group a rank may have to wait for the others, which wait for it: ``torchrun``
    ends them when it sees the failure.
    """
    if is_distributed() and torch.distributed.get_backend() == 'nccl':
        atexit.unregister(leave_group)
