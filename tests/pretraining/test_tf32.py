"""TF32 while a run lasts."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from sola_plugin.pretraining import TF32Hook, pretraining_config
from tests.conftest import ROOT, TINY_BMN, localization_config


def settings() -> tuple:
    return (
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
    )


@pytest.fixture
def gpu(monkeypatch):
    """The settings of a GPU, as a process begins with them; none is touched."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    before = settings()[:2]
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, True
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize('enabled', [True, False])
def test_sets_both_and_puts_them_back(gpu, enabled):
    hook, before = TF32Hook(enabled), settings()
    hook.before_run(None)
    assert settings() == (enabled, enabled, *before[2:])
    hook.before_run(None)  # a test after training, without an end between
    hook.after_run(None)
    assert settings() == before
    hook.after_run(None)
    assert settings() == before


def test_nothing_changes_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    before = settings()
    TF32Hook().before_run(None)
    assert settings() == before


def test_a_run_calls_it(data_root, tmp_path, monkeypatch):
    config = localization_config(data_root, tmp_path / 'work')
    config['model'] = TINY_BMN
    config['default_hooks']['tf32'] = dict(type='TF32Hook')
    called = []
    monkeypatch.setattr(TF32Hook, 'before_run', lambda self, runner: called.append(self.enabled))
    Runner.from_cfg(config).test()
    assert called == [True]


@pytest.mark.parametrize('path', ['localization/bmn_activitynet.py', 'pretrain/sola_watch.py'])
def test_it_is_on_in_our_configs(path):
    hooks = Config.fromfile(ROOT / 'configs' / path).default_hooks
    assert hooks.tf32 == dict(type='TF32Hook')


def test_it_is_on_in_runs_that_are_made(tmp_path):
    made = pretraining_config(dict(type='SoLa', in_channels=4), dict(root='x'), tmp_path)
    assert made.default_hooks.tf32 == dict(type='TF32Hook')
