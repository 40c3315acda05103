"""Where a run of pretraining holds its features, and how its loader hands batches on."""

from __future__ import annotations

import os

import torch
from mmengine.config import Config
from mmengine.device import get_device

from sola_plugin.datasets.window_sources import device_for, open_videos

from .random_state import keep_random_state


def settle_loader(cfg: Config) -> None:
    """Complete the loader of windows of a pretraining config.

    Batches that are cut in one call are not copied again (``window_collate``). On a GPU,
    ``features_on='auto'`` is decided: features on the device are read by the run itself, without
    worker processes, which cannot share them; those on the host go through pinned memory. On a CPU
    nothing else changes.

    Args:
        cfg: Config for :func:`~sola_plugin.pretraining.run.pretrain`; changed in place. Another
            dataset than ``SoLaWindowDataset`` is left as it is.
    """
    loader = cfg.train_dataloader
    dataset = loader.dataset
    if str(dataset.get('type')).rpartition('.')[2] != 'SoLaWindowDataset':
        return
    if (loader.get('collate_fn') or {}).get('type') == 'default_collate':
        loader.collate_fn = dict(type='window_collate')
    if torch.device(get_device()).type != 'cuda':
        return
    if cfg.get('launcher', 'none') != 'none':
        # As mmengine will: every rank looks at the memory of its own GPU.
        torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', 0)))
    with keep_random_state():
        store, ids = open_videos(dataset.features)
        device = device_for(dataset.get('features_on', 'auto'), store, ids)
    place(cfg, on_device=device is not None)


def place(cfg: Config, on_device: bool) -> None:
    """Write down where features are held on a machine with a GPU.

    Args:
        cfg: Changed in place.
        on_device: On the GPU; else on the host.
    """
    loader = cfg.train_dataloader
    loader.dataset.features_on = 'device' if on_device else 'host'
    if on_device:
        loader.update(num_workers=0, persistent_workers=False, pin_memory=False)
        loader.pop('prefetch_factor', None)  # refused without worker processes
    else:
        loader.setdefault('pin_memory', True)
