"""The linear probe chooses the epoch that a neck ends with."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import IterTimerHook

from sola_plugin.commands import train_localizer
from sola_plugin.evaluation.probe.linear_probe import METRICS
from sola_plugin.necks import build_sola, read_sola
from sola_plugin.pretraining.probe import LinearProbeHook
from sola_plugin.pretraining.run import pretrain
from tests.conftest import TINY_MATCHER, localization_config
from tests.pretraining.test_linear_probe_hook import (
    NECK,
    figures_by_hand,
    history,
    matching,
    noisy_dataset,
    probe_options,
    run,
)

EPOCHS = 4
METRIC = 'average_precision'


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return noisy_dataset(tmp_path_factory.mktemp('early') / 'data')


def stopped(root: Path, work_dir: Path, epochs: int = EPOCHS) -> Config:
    return matching(root, work_dir, epochs=epochs, hook=dict(interval=1, keep_best=METRIC))


@pytest.fixture(scope='module')
def figures(root, tmp_path_factory) -> list[float]:
    """Of each epoch, without a choice; the best is neither the first nor the last."""
    hook = dict(interval=1)
    runner = run(matching(root, tmp_path_factory.mktemp('all'), epochs=EPOCHS, hook=hook))
    figures = history(runner, f'probe/{METRIC}')
    assert 0 < figures.index(max(figures)) < EPOCHS
    return figures


def test_the_best_epoch_is_kept(root, figures, tmp_path):
    path = pretrain(stopped(root, tmp_path))
    best = figures.index(max(figures))
    neck = build_sola(path)
    assert figures_by_hand(root, neck)[METRIC] == pytest.approx(figures[best], abs=1e-6)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert f'the neck ends with its weights of epoch {best}, the best by the linear probe' in log
    assert read_sola(path)['meta']['schedule']['keep_best'] == METRIC


def test_of_equally_good_ones_the_first(root, tmp_path, monkeypatch):
    """Here the network as it began, which is the identity."""
    same = dict.fromkeys(METRICS, 0.5)
    monkeypatch.setattr(
        'sola_plugin.evaluation.probe.linear_probe.linear_probe', lambda *_, **__: same
    )
    assert build_sola(pretrain(stopped(root, tmp_path, epochs=1))).alpha == 0


def test_a_resumed_run_knows_the_best(root, figures, tmp_path):
    """It was stopped after the best epoch."""
    best = figures.index(max(figures))
    run(stopped(root, tmp_path, epochs=best + 1))
    cfg = stopped(root, tmp_path)
    cfg.resume = True
    neck = build_sola(pretrain(cfg))
    assert figures_by_hand(root, neck)[METRIC] == pytest.approx(max(figures), abs=1e-6)


def hooked(root: Path, work_dir: Path, **probe) -> Config:
    cfg = Config(localization_config(root, work_dir))
    cfg.model.neck = dict(NECK)
    cfg.train_cfg.max_epochs = 1
    hook = dict(type='SoLaPretrainHook', pretext=TINY_MATCHER, batch_size=4, max_epochs=1)
    cfg.custom_hooks = [dict(hook, probe=probe_options(root, interval=1, **probe))]
    return cfg


def test_a_neck_whose_epoch_was_chosen_is_another_one(root, tmp_path):
    train_localizer(hooked(root, tmp_path))
    with pytest.raises(ValueError, match="keep_best=None, now 'accuracy'"):
        train_localizer(hooked(root, tmp_path, keep_best='accuracy'))


def test_hooks_that_are_built_already(root, tmp_path):
    """They are looked past, as a record is made of what the config says."""
    cfg = matching(root, tmp_path, epochs=1)
    cfg.custom_hooks.append(IterTimerHook())
    assert read_sola(pretrain(cfg))['meta']['schedule']['keep_best'] is None


def test_not_of_a_neck_that_a_head_was_trained_behind(root, tmp_path):
    cfg = Config(localization_config(root, tmp_path))
    cfg.model.neck = dict(NECK)
    cfg.custom_hooks = [dict(type='LinearProbeHook', **probe_options(root, keep_best='accuracy'))]
    with pytest.raises(ValueError, match='a head has been trained behind the last weights'):
        train_localizer(cfg)


def test_what_is_no_figure_of_the_probe():
    with pytest.raises(ValueError, match="keep_best='mAP', expected one of accuracy, balanced_acc"):
        LinearProbeHook({}, {}, keep_best='mAP')
