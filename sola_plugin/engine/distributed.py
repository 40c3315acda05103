"""Several ranks: on a machine without a GPU, and for work that is merely divided among them."""

from __future__ import annotations

import atexit
import datetime
import gc

import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info, is_distributed

#: Ranks that share no gradients wait for each other at the end, as long as the slowest one works.
_LONG_WAIT = datetime.timedelta(days=30)


def prepare_cpu_ranks(cfg: Config) -> None:
    """Let ``torchrun`` work where there is no GPU.

    mmengine sets the CUDA device of a rank before anything else, and hands it to
    DistributedDataParallel; both fail there. With a GPU, or without ``torchrun``, nothing is done.

    Args:
        cfg: Runner config with ``launcher``; changed in place.
    """
    if cfg.get('launcher') != 'pytorch' or torch.cuda.is_available():
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


def _join_group(**options) -> None:
    torch.distributed.init_process_group('gloo', **options)
    # Threads of gloo that still run when the interpreter ends would abort the process.
    atexit.register(_leave_group)


def _leave_group() -> None:
    # a model wrapper in a reference cycle would keep the group, and its threads, alive
    gc.collect()
    if is_distributed():
        torch.distributed.destroy_process_group()
