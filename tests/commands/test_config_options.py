"""``--cfg-options``: what reaches nothing is refused, with the nearest keys."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from sola_plugin.commands.config_options import OptionError, merge_options
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
    with pytest.raises(OptionError, match=message):
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


def test_a_variable_is_set_wherever_it_was_used(cfg):
    merge_options(cfg, {'data_root': 'other', 'classes': ['c', 'd', 'e']})
    train, test = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
    assert train.data_root.rstrip('/') == test.data_root.rstrip('/') == 'other'
    assert test.features.root == 'other/features'
    assert train.classes == test.classes == cfg.model.classes == ['c', 'd', 'e']


@pytest.mark.parametrize('name', config_names())
def test_data_root_of_every_config(name):
    cfg = Config.fromfile(config_path(name))
    if 'data_root' not in cfg:
        pytest.skip(f'{name} has no data of its own')
    before = cfg.data_root
    merge_options(cfg, {'data_root': '/elsewhere/'})
    loaders = {key: cfg[key] for key in cfg if key.endswith('_dataloader') and cfg[key]}
    assert '/elsewhere' in str(loaders) and before not in str(loaders)


def test_the_tools_end_in_one_line(run_script, data_root, tmp_path):
    Config(localization_config(data_root, tmp_path / 'work')).dump(tmp_path / 'config.py')
    for tool in ('train.py CONFIG', 'test.py CONFIG x.pth', 'check_dataset.py CONFIG'):
        script, *words = tool.replace('CONFIG', str(tmp_path / 'config.py')).split()
        done = run_script(f'tools/{script}', *words, '--cfg-options', 'modle.x=1', cwd=ROOT)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith('error: --cfg-options modle.x: ')
