"""Where pretraining holds its features changes no weight of what it trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmaction.registry import DATASETS
from mmengine.config import Config

from sola_plugin.datasets import SoLaWindowDataset
from sola_plugin.datasets.features.open import open_features
from sola_plugin.datasets.features.packing import pack_features
from sola_plugin.necks import read_sola
from sola_plugin.pretraining import placement
from sola_plugin.pretraining.run import pretrain, pretraining_config
from tests.conftest import CHANNELS, TINY_MATCHER, feature_dataset

#: Compared to the bit.
ON_CPU = True

NECK = dict(type='SoLa', in_channels=CHANNELS, hidden_channels=4, kernel_sizes=(3, 1))
TEMPORALLY = dict(type='TemporallySensitive', window=9, num_classes=2)


@DATASETS.register_module()
class SingleWindows(SoLaWindowDataset):
    """As windows were read before they were cut by batches."""

    __getitems__ = None


def config(features, work_dir: Path, pretext=TINY_MATCHER, **options) -> Config:
    schedule = dict(batch_size=4, max_epochs=3, windows_per_video=3, lr=1e-2, seed=0)
    return pretraining_config(NECK, features, work_dir, pretext=pretext, **schedule, **options)


def one_by_one(cfg: Config) -> Config:
    cfg.train_dataloader.dataset.type = 'SingleWindows'
    cfg.train_dataloader.collate_fn = dict(type='default_collate')
    return cfg


def assert_equal(one: Path, other: Path) -> None:
    one, other = read_sola(one), read_sola(other)
    assert one['meta']['losses'] == other['meta']['losses']
    assert list(one['state_dict']) == list(other['state_dict'])
    for key, value in one['state_dict'].items():
        assert torch.equal(value, other['state_dict'][key]), key


@pytest.fixture
def packed(data_root) -> dict:
    source = open_features(dict(root=str(data_root / 'features'), layout='TC'))
    pack_features(source, data_root / 'packed', dtype='float16')
    return dict(root=str(data_root / 'packed'))


@pytest.mark.parametrize('as_matmul', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_place_trains_the_same_neck(packed, tmp_path, as_matmul):
    pretext = dict(TINY_MATCHER, as_matmul=as_matmul)
    before = pretrain(one_by_one(config(packed, tmp_path / 'before', pretext)))
    for number, options in enumerate(
        (dict(), dict(features_on='device'), dict(in_memory=True), dict(num_workers=2))
    ):
        assert_equal(before, pretrain(config(packed, tmp_path / f'{number}', pretext, **options)))


@pytest.mark.slow
def test_a_rival_trains_the_same_neck(data_root, tmp_path):
    features = feature_dataset(data_root, subset='training')
    before = pretrain(one_by_one(config(features, tmp_path / 'before', TEMPORALLY)))
    for place in ('device', 'host'):
        cfg = config(features, tmp_path / place, TEMPORALLY, features_on=place)
        assert_equal(before, pretrain(cfg))


def test_a_run_begun_by_single_windows_goes_on_by_batches(packed, tmp_path):
    whole = pretrain(one_by_one(config(packed, tmp_path / 'whole')))
    begun = one_by_one(config(packed, tmp_path / 'parts'))
    begun.train_cfg.max_epochs = 2
    pretrain(begun)
    cfg = config(packed, tmp_path / 'parts', features_on='device')
    cfg.resume = True
    assert_equal(whole, pretrain(cfg))


def test_configs_of_before_get_batches_without_a_copy(packed, tmp_path):
    cfg = config(packed, tmp_path)
    for before, after in (
        (dict(type='default_collate'), 'window_collate'),
        (dict(type='pseudo_collate'), 'pseudo_collate'),
    ):
        cfg.train_dataloader.collate_fn = before
        placement.settle_loader(cfg)
        assert cfg.train_dataloader.collate_fn.type == after
    assert 'pin_memory' not in cfg.train_dataloader, 'there is no GPU'
    cfg.train_dataloader.dataset.type = 'AnotherDataset'
    cfg.train_dataloader.collate_fn = dict(type='default_collate')
    placement.settle_loader(cfg)
    assert cfg.train_dataloader.collate_fn.type == 'default_collate'


def test_the_loader_of_features_on_a_gpu(packed, tmp_path, monkeypatch):
    """The config alone: there is no GPU here."""
    cfg = config(packed, tmp_path, num_workers=2)
    cfg.train_dataloader.prefetch_factor = 4
    monkeypatch.setattr(placement, 'get_device', lambda: 'cuda')
    for device in (None, torch.device('cuda')):
        monkeypatch.setattr(placement, 'device_for', lambda *_, device=device: device)
        placement.settle_loader(cfg)
        loader = cfg.train_dataloader
        if device is None:
            assert loader.dataset.features_on == 'host'
            assert (loader.num_workers, loader.prefetch_factor, loader.pin_memory) == (2, 4, True)
        else:
            assert loader.dataset.features_on == 'device'
            assert (loader.num_workers, loader.persistent_workers) == (0, False)
            assert loader.pin_memory is False and 'prefetch_factor' not in loader
