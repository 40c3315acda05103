"""A smaller learning rate for the neck in one cycle."""

from __future__ import annotations

import logging

import pytest
from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook

from sola_plugin.commands.training import train_localizer
from tests.conftest import localization_config

RATES: list[tuple[float, float]] = []


@HOOKS.register_module()
class RateHook(Hook):
    """Notes the rates of the head and of the neck."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        names = [name for name, _ in runner.model.named_parameters()]
        rates = dict(zip(names, (group['lr'] for group in runner.optim_wrapper.param_groups)))
        neck = {rate for name, rate in rates.items() if name.startswith('neck')}
        head = {rate for name, rate in rates.items() if not name.startswith('neck')}
        RATES.append((*head, *neck))


def make_config(root, work, scheduler: str, epochs: int = 4) -> Config:
    RATES.clear()
    cfg = Config(localization_config(root, work))
    cfg.model.neck = dict(type='SoLa', hidden_channels=4)
    cfg.train_cfg.max_epochs = epochs
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys=dict(neck=dict(lr_mult=0.1)))
    cfg.param_scheduler = dict(
        type=scheduler, eta_max=0.01, total_steps=4, by_epoch=True, convert_to_iter_based=True
    )
    cfg.custom_hooks = [dict(type='RateHook')]
    return cfg


def test_the_ratio_is_kept_and_the_head_has_the_rates_of_mmengine(data_root, tmp_path):
    train_localizer(make_config(data_root, tmp_path / 'a', 'ProportionalOneCycleLR'))
    proportional = list(RATES)
    assert all(neck == pytest.approx(0.1 * head) for head, neck in proportional)
    assert max(head for head, _ in proportional) > 0.009
    assert len({head for head, _ in proportional}) > 4
    cfg = make_config(data_root, tmp_path / 'b', 'OneCycleLR')
    del cfg.optim_wrapper.paramwise_cfg
    train_localizer(cfg)
    assert [head for head, _ in proportional] == pytest.approx([rates[0] for rates in RATES])


def test_a_resumed_run_goes_on_with_it(data_root, tmp_path):
    train_localizer(make_config(data_root, tmp_path / 'a', 'ProportionalOneCycleLR'))
    whole = list(RATES)
    train_localizer(make_config(data_root, tmp_path / 'b', 'ProportionalOneCycleLR', epochs=2))
    first = list(RATES)
    cfg = make_config(data_root, tmp_path / 'b', 'ProportionalOneCycleLR')
    cfg.resume = True
    train_localizer(cfg)
    assert [*first, *RATES] == [pytest.approx(rates, rel=1e-9) for rates in whole]


def test_multipliers_that_are_lost_are_told(data_root, tmp_path, monkeypatch):
    """mmengine's own gives the neck the rate of the head without a word."""
    said: list[tuple[str, int]] = []
    monkeypatch.setattr(
        'sola_plugin.pretraining.one_cycle.print_log',
        lambda text, _, level: said.append((text, level)),
    )
    train_localizer(make_config(data_root, tmp_path, 'OneCycleLR', epochs=1))
    assert all(len(set(rates)) == 1 for rates in RATES)
    ((text, level),) = said
    assert text.startswith('lr_mult of optim_wrapper.paramwise_cfg does nothing: OneCycleLR')
    assert level == logging.WARNING
