"""Tiny localizers with checkpoints, for the tests of prediction."""

from __future__ import annotations

from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.config import Config

from tests.conftest import localization_config

#: Videos of the tiny data set that are tested.
NAMES = ('v_04', 'v_05')


def config(root: Path, work_dir: Path, model: dict) -> Config:
    """Runner config of a localizer on the tiny data set, tested one video at a time."""
    cfg = Config(localization_config(root, work_dir))
    cfg.model = dict(model)
    cfg.test_dataloader.batch_size = 1
    return cfg


def save_random(cfg: Config, path: Path, **dataset_meta) -> Path:
    """Write a checkpoint with random weights, as a Runner would."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for name in ('classifier', 'regressor'):
        if hasattr(model, name):
            torch.nn.init.normal_(getattr(model, name).last.weight, std=0.5)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dataset_meta)), path)
    return path


def feature_file(folder: Path, name: str = 'v_04') -> Path:
    """Features of a video of the tiny data set."""
    return folder / f'data/features/{name}.npy'


def in_order(detections) -> list[tuple]:
    """Detections as values that can be compared, whatever their order."""
    return sorted((item['score'], *item['segment'], item['label']) for item in detections)
