"""Several ranks on a machine without a GPU."""
from __future__ import annotations

import atexit
import gc

import torch
from mmengine.config import Config
from mmengine.dist import is_distributed


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
        torch.distributed.init_process_group('gloo')
        # Threads of gloo that still run when the interpreter ends would abort the process.
        atexit.register(_leave_group)
    if cfg.get('model_wrapper_cfg') is None:
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None,
                                     broadcast_buffers=False)


def _leave_group() -> None:
    gc.collect()  # a model wrapper in a reference cycle would keep the group, and its threads, alive
    if is_distributed():
        torch.distributed.destroy_process_group()
