"""Every config parses, and its model and schedule can be built."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmaction.registry import HOOKS, METRICS, MODELS, PARAM_SCHEDULERS, TRANSFORMS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from sola_plugin.models.necks import SoLa, save_sola
from tests.conftest import ROOT

CONFIGS = sorted(path for folder in ('localization', 'pretrain')
                 for path in (ROOT / 'configs' / folder).glob('*.py'))
DATASETS = ('watch', 'activitynet', 'thumos14', 'hacs')


def load(path: Path) -> Config:
    init_default_scope('mmaction')
    return Config.fromfile(path)


def datasets(cfg: Config) -> list[dict]:
    loaders = [cfg.get('train_dataloader'), cfg.get('test_dataloader')]
    return [loader.dataset for loader in loaders if loader is not None]


@pytest.fixture(autouse=True)
def _no_checkpoint(monkeypatch, tmp_path):
    """A frozen neck reads its checkpoint only when a Runner initialises the weights."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings('ignore:Detected call of `scheduler.step')
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config(path):
    cfg = load(path)
    assert cfg.custom_imports == dict(imports=['sola_plugin'], allow_failed_imports=False)
    model = MODELS.build(cfg.model)
    if cfg.model.get('neck', {}).get('frozen'):
        model.neck.requires_grad_(False)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    for hook in cfg.custom_hooks:
        HOOKS.build(hook)
    if 'test_evaluator' in cfg:
        METRICS.build(cfg.test_evaluator)
    for dataset in datasets(cfg):
        for transform in dataset.get('pipeline') or ():
            TRANSFORMS.build(transform)
    check_schedule(cfg, optim_wrapper)


def check_schedule(cfg: Config, optim_wrapper) -> None:
    """The learning rate has come down when the last epoch is over."""
    if cfg.get('param_scheduler') is None:
        return
    schedulers = cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    ends = [scheduler.get('end') for scheduler in schedulers]
    assert set(ends) <= {None, *range(1, cfg.train_cfg.max_epochs + 1)}
    built = [PARAM_SCHEDULERS.build(
        {key: value for key, value in scheduler.items() if key != 'convert_to_iter_based'},
        default_args=dict(optimizer=optim_wrapper)) for scheduler in schedulers]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        rates.append(optim_wrapper.get_lr()['lr'][0])
        for scheduler in built:
            scheduler.step()
    assert rates[-1] <= max(rates) / 5


@pytest.mark.parametrize('path', [path for path in CONFIGS if path.stem.endswith('_sola')],
                         ids=lambda path: path.stem)
def test_with_and_without_sola_differ_in_the_neck_only(path):
    cfg, plain = load(path), load(path.with_name(path.name.replace('_sola', '')))
    assert cfg.model.pop('neck')['type'] == 'SoLa'
    assert cfg.model == plain.model
    assert cfg.train_dataloader == plain.train_dataloader and cfg.optim_wrapper == plain.optim_wrapper
    hooks = [hook for hook in cfg.custom_hooks if hook['type'] != 'SoLaPretrainHook']
    assert hooks == plain.custom_hooks


@pytest.mark.parametrize('head', ['bmn', 'actionformer'])
@pytest.mark.parametrize('data', DATASETS)
def test_each_head_has_its_configs(head, data):
    names = {path.stem for path in CONFIGS}
    assert {f'{head}_{data}', f'{head}_{data}_sola'} <= names


def test_base_files_are_used():
    """A base that no config names is forgotten, or misspelt in one."""
    used = {(path.parent / base).resolve()
            for path in CONFIGS for base in Config._get_base_files(str(path))}
    assert used >= set((ROOT / 'configs' / '_base_').rglob('*.py'))


def test_thumos14_windows_and_names():
    cfg = load(ROOT / 'configs/localization/bmn_thumos14.py')
    crop = cfg.train_dataloader.dataset.pipeline[1]
    assert crop.max_length == cfg.model.temporal_dim == 2 * cfg.model.max_duration
    cfg = load(ROOT / 'configs/localization/actionformer_thumos14.py')
    assert cfg.model.classes == cfg.train_dataloader.dataset.classes == cfg.test_dataloader.dataset.classes
    assert len(cfg.model.classes) == 20 and cfg.model.classes == sorted(cfg.model.classes)


def test_checkpoint_of_the_frozen_neck_fits(tmp_path):
    """What configs/pretrain/sola_watch.py trains is what the localizers of the embedded data load."""
    neck = MODELS.build(load(ROOT / 'configs/pretrain/sola_watch.py').model).neck
    assert isinstance(neck, SoLa)
    save_sola(tmp_path / 'work_dirs/sola_watch/sola.pth', neck)
    for path in (ROOT / 'configs/localization').glob('*_watch_sola.py'):
        model = MODELS.build(load(path).model)
        model.init_weights()
        assert torch.equal(model.neck.conv_network[0].weight, neck.conv_network[0].weight)
