"""A distance of ActionFormer that nothing moves is told once, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook

from sola_plugin.commands import train_localizer
from tests.conftest import CHANNELS, localization_config

TINY = dict(
    type='ActionFormer',
    feat_dim=CHANNELS,
    classes=['jump', 'run'],
    pyramid=dict(channels=8, num_levels=3, windows=3, num_stem_blocks=1, residual_scale=1.0),
)


@HOOKS.register_module()
class KillDistancesHook(Hook):
    """Makes distances negative before the ReLU, but for padding, from an epoch on."""

    def __init__(self, distances: list[int], epoch: int) -> None:
        self.distances, self.epoch = distances, epoch

    def before_train_epoch(self, runner) -> None:
        if runner.epoch == self.epoch:
            last = runner.model.regressor.last
            for distance in self.distances:
                with torch.no_grad():
                    last.weight[distance] = -100  # what it reads has gone through a ReLU
                    last.bias[distance] = 0.01  # what padding gets


def warnings_of(cfg: Config) -> list[str]:
    runner = train_localizer(cfg)
    log = Path(runner.log_dir) / f'{runner.timestamp}.log'
    return [line for line in log.read_text().splitlines() if 'every point of epoch' in line]


@pytest.mark.parametrize('distances', [[], [0], [1], [0, 1]])
@pytest.mark.parametrize('epoch', [0, 2])
def test_each_is_told_once_with_its_epoch(data_root, tmp_path, distances, epoch):
    cfg = Config(localization_config(data_root, tmp_path))
    cfg.model = dict(TINY)
    cfg.train_cfg.max_epochs = 4
    cfg.custom_hooks = [dict(type='KillDistancesHook', distances=distances, epoch=epoch)]
    told = warnings_of(cfg)
    assert len(told) == len(distances)
    for distance, line in zip(distances, told):
        assert f'the distance to the {("start", "end")[distance]} of' in line
        assert f'epoch {epoch + 1}:' in line
        assert '--seed' in line
