"""``--cfg-options``: what reaches nothing is refused, with the nearest keys."""

from __future__ import annotations

import functools
import json

import pytest
from mmengine.config import Config

from sola_plugin.commands.cli import ConfigError, merge_options, read_config
from sola_plugin.commands.shipped import config_names, config_path
from tests.conftest import ROOT, localization_config

TEXT = """
data_root = 'data/mine/'
epochs = 4
classes = ['a', 'b']
model = dict(type='ActionFormer', classes=classes, neck=dict(type='SoLa'))
dataset = dict(type='TALFeatureDataset', data_root=data_root, classes=classes)
train_dataloader = dict(batch_size=2, dataset=dict(subset='training', **dataset))
test_dataloader = dict(dataset=dict(features=dict(root=data_root + 'features'), **dataset))
train_cfg = dict(by_epoch=True, max_epochs=epochs)
param_scheduler = [dict(type='OneCycleLR', total_steps=epochs)]
default_hooks = dict(logger=dict(type='LoggerHook', interval=1))
"""


@pytest.fixture
def cfg(tmp_path) -> Config:
    (tmp_path / 'config.py').write_text(TEXT)
    return Config.fromfile(tmp_path / 'config.py')


@pytest.mark.parametrize(
    ('key', 'message'),
    [
        ('modle.neck.hidden_channels', "the config has no 'modle'; do you mean model"),
        ('x', "the config has no 'x'"),
        ('epochs', 'epochs: it is a variable .* train_cfg.max_epochs, param_scheduler.0.total_ste'),
        ('default_hooks.loger.interval', "default_hooks has no 'loger'; do you mean logger"),
    ],
)
def test_refused(cfg, key, message):
    before = cfg.to_dict()
    with pytest.raises(ConfigError, match=message):
        merge_options(cfg, {key: 7})
    assert cfg.to_dict() == before


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('model.neck.hidden_channels', 8),  # an argument of the class
        ('model.windows.length', 64),
        ('train_cfg.max_epochs', 9),
        ('train_cfg.val_interval', 2),
        ('param_scheduler.0.total_steps', 9),
        ('load_from', 'x.pth'),
        ('randomness.seed', 3),
        ('train_dataloader.num_workers', 0),
        ('optim_wrapper.clip_grad.max_norm', 1.0),
        ('test_dataloader.dataset.classes', ['b', 'a']),
    ],
)
def test_reached(cfg, key, value):
    merge_options(cfg, {key: value})
    found = cfg
    for name in key.split('.'):
        found = found[int(name) if name.isdecimal() else name]
    assert found == value


def test_a_part_is_made_before_it_is_told_anything(cfg):
    del cfg.model['neck']
    options = {
        'model.neck.hidden_channels': 8,
        'model.neck.init_cfg.checkpoint': 'sola.pth',
        'model.neck.init_cfg.type': 'Pretrained',
        'model.neck.type': 'SoLa',
    }
    merge_options(cfg, options)
    pretrained = dict(type='Pretrained', checkpoint='sola.pth')
    assert cfg.model.neck == dict(type='SoLa', hidden_channels=8, init_cfg=pretrained)


def test_a_variable_is_set_wherever_it_was_used(cfg):
    merge_options(cfg, {'data_root': 'other', 'classes': ['c', 'd', 'e']})
    train, test = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
    assert train.data_root.rstrip('/') == test.data_root.rstrip('/') == 'other'
    assert test.features.root == 'other/features'
    assert train.classes == test.classes == cfg.model.classes == ['c', 'd', 'e']


def test_a_type_that_is_none(tmp_path):
    (tmp_path / 'config.py').write_text('a = dict(type=None, b=1)')
    assert read_config(tmp_path / 'config.py').a == dict(type=None, b=1)


def test_no_data_root(cfg):
    merge_options(cfg, {'data_root': ''})
    assert cfg.train_dataloader.dataset.data_root == ''
    assert cfg.test_dataloader.dataset.features.root == 'features'


def test_data_root_of_every_config():
    checked = 0
    for name in config_names():
        cfg = Config.fromfile(config_path(name))
        if 'data_root' not in cfg or name.startswith('studies/'):
            continue  # the data of a study are those of its heads; it has --data-root
        before = cfg.data_root
        merge_options(cfg, {'data_root': '/elsewhere/'})
        loaders = str({key: cfg[key] for key in cfg if key.endswith('_dataloader') and cfg[key]})
        assert '/elsewhere' in loaders and before not in loaders, name
        checked += 1
    assert checked > 30


def test_the_tools_end_in_one_line(run_script, data_root, tmp_path):
    Config(localization_config(data_root, tmp_path / 'work')).dump(tmp_path / 'config.py')
    for tool in ('train.py CONFIG', 'test.py CONFIG x.pth', 'check_dataset.py CONFIG'):
        script, *words = tool.replace('CONFIG', str(tmp_path / 'config.py')).split()
        done = run_script(f'tools/{script}', *words, '--cfg-options', 'modle.x=1', cwd=ROOT)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith('error: --cfg-options modle.x: ')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'\xef\xbb\xbfmodel = dict()', 'begins with a byte-order mark: save the config as UTF-8'),
        ('model = 3'.encode('utf-16'), 'begins with a byte-order mark'),
        (b'model = dict(', 'cannot read the config .*config.py: '),
        (b'model = "\xff"', 'cannot read the config'),
    ],
)
def test_a_file_that_is_no_config(tmp_path, content, message):
    (tmp_path / 'config.py').write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / 'config.py')


LAZY = """
from mmengine.config import read_base
from mmengine.dataset import DefaultSampler
from mmengine.runner import TestLoop

with read_base():
    from .base import *

from sola_plugin.datasets import TALFeatureDataset
from sola_plugin.evaluation.tal_metric import TALMetric
from sola_plugin.necks import SoLa

model.update(neck=dict(type=SoLa, hidden_channels=4))
for loader in (train_dataloader, test_dataloader):
    loader['dataset']['type'] = TALFeatureDataset
    loader['sampler']['type'] = DefaultSampler
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=TALMetric, tiou_thresholds=[0.5])
"""


def test_a_config_in_pure_python(run_script, data_root, tmp_path, monkeypatch):
    """mmengine's new style, through every tool that reads a config."""
    text = Config(localization_config(data_root, tmp_path / 'work')).pretty_text
    (tmp_path / 'base.py').write_text(text)
    (tmp_path / 'lazy.py').write_text(LAZY)
    config, checkpoint = tmp_path / 'lazy.py', tmp_path / 'work/last_checkpoint'
    cfg = read_config(config)
    assert cfg.model.neck.type == 'SoLa' and cfg.test_evaluator.type == 'TALMetric'
    assert cfg.test_cfg.type == 'TestLoop' and 'TestLoop' not in cfg
    run = functools.partial(run_script, cwd=tmp_path)
    assert run('tools/train.py', config).returncode == 0
    assert run('tools/test.py', config, checkpoint).returncode == 0
    figures = json.loads((tmp_path / 'work/metrics.json').read_text())
    assert list(figures['mAP']['per_tiou']) == ['0.5']
    found = run(
        'tools/localize.py', config, checkpoint, data_root / 'features/v_04.npy', '--out', 'found'
    )
    assert found.returncode == 0 and (tmp_path / 'found/v_04.json').is_file()
    assert run('tools/check_dataset.py', config).returncode == 0


def test_amp_without_a_gpu(run_script, data_root, tmp_path, on_cpu):
    Config(localization_config(data_root, tmp_path / 'work')).dump(tmp_path / 'config.py')
    done = run_script('tools/train.py', tmp_path / 'config.py', '--amp')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith('error: --amp needs a GPU')
