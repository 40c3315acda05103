"""What a run leaves behind that was left by an exception, and two runs in one work dir."""

from __future__ import annotations

import logging

import pytest
from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from rich.console import Console

from sola_plugin.commands import test_localizer as run_localizer_test
from sola_plugin.commands import train_localizer
from sola_plugin.locking import BusyError, hold_lock
from sola_plugin.pretraining import progress_bar
from sola_plugin.pretraining.run import pretrain, pretraining_config
from tests.conftest import CHANNELS, TINY_MATCHER, feature_dataset, localization_config

SHOW_CURSOR, HIDE_CURSOR = '\x1b[?25h', '\x1b[?25l'


class Interrupt(Hook):
    """Ctrl-C in the first iteration."""

    priority = 'LOWEST'
    handlers: list[logging.Handler] = []

    def after_train_iter(self, runner, *_, **__) -> None:
        self.handlers[:] = runner.logger.handlers
        raise KeyboardInterrupt

    after_test_iter = after_train_iter


@pytest.fixture
def interrupt(monkeypatch):
    monkeypatch.setitem(HOOKS._module_dict, 'Interrupt', Interrupt)
    monkeypatch.setattr(
        progress_bar, 'Console', lambda stderr: Console(stderr=stderr, force_terminal=True)
    )
    return [dict(type='ProgressBarHook'), dict(type='Interrupt')]


def train(root, work_dir, hooks):
    train_localizer(Config(localization_config(root, work_dir, custom_hooks=hooks)))


def pretraining(root, work_dir, hooks):
    neck = dict(type='SoLa', in_channels=CHANNELS, hidden_channels=8)
    cfg = pretraining_config(neck, feature_dataset(root), work_dir, TINY_MATCHER, max_epochs=1)
    cfg.custom_hooks = hooks
    pretrain(cfg)


def test(root, work_dir, hooks):
    train(root, work_dir, [])
    cfg = Config(localization_config(root, work_dir, custom_hooks=hooks))
    run_localizer_test(cfg, work_dir / 'epoch_2.pth')


test.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.filterwarnings('error:Converting a tensor with requires_grad')
@pytest.mark.parametrize('run', [train, pretraining, test], ids=lambda run: run.__name__)
def test_the_terminal_is_as_it_was(run, data_root, tmp_path, interrupt, capfd):
    with pytest.raises(KeyboardInterrupt):
        run(data_root, tmp_path / 'work', interrupt)
    drawn = capfd.readouterr().err
    assert HIDE_CURSOR in drawn and drawn.rindex(SHOW_CURSOR) > drawn.rindex(HIDE_CURSOR)
    streams = [h for h in Interrupt.handlers if not isinstance(h, logging.FileHandler)]
    assert streams and all(handler.level < logging.WARNING for handler in streams)


@pytest.mark.parametrize('run', [train, pretraining], ids=lambda run: run.__name__)
def test_one_training_in_a_work_dir(run, data_root, tmp_path):
    with (
        hold_lock(tmp_path / 'work', inside=True),
        pytest.raises(BusyError, match='work: process .* is writing to it'),
    ):
        run(data_root, tmp_path / 'work', [])
    assert not list((tmp_path / 'work').glob('*.pth'))
