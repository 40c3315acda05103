"""What features are: the same wherever and in whatever form they lie, and others when they are
others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from sola_plugin.datasets.features.fingerprint import feature_changes, record_features
from sola_plugin.datasets.features.open import open_features
from sola_plugin.datasets.features.packing import pack_features
from tests.conftest import CHANNELS, feature_dataset, make_dataset


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_dataset(tmp_path / 'data', num_videos=20) / 'features'


def record(root: Path, **options) -> dict:
    return record_features(dict(root=str(root), layout='TC', **options))


def test_what_is_recorded(folder):
    found = record(folder)
    assert (found['source'], found['videos'], found['channels']) == ('features', 20, CHANNELS)
    assert 1 < len(found['samples']) <= 8 and str(folder) not in repr(found)
    length, *norms = found['samples']['v_00']
    values = np.load(folder / 'v_00.npy')
    assert length == len(values)
    np.testing.assert_allclose(
        norms, np.linalg.norm(values[length // 2].reshape(4, -1), axis=1), rtol=1e-5
    )


def test_copied_and_packed_features_are_the_same(folder, tmp_path):
    before = record(folder)
    shutil.copytree(folder, tmp_path / 'elsewhere', copy_function=shutil.copyfile)
    for dtype in ('float32', 'float16'):
        pack_features(open_features(folder, layout='TC'), tmp_path / dtype, dtype=dtype)
    for name in ('elsewhere', 'float32', 'float16'):
        assert feature_changes(before, record(tmp_path / name)) == []


def test_what_changed_is_named(folder, tmp_path):
    before = record(folder)
    for path in folder.iterdir():
        np.save(path, 1.01 * np.load(path))
    changes = feature_changes(before, record(folder))
    assert len(changes) == 1 and changes[0].startswith(
        'other features in 7 of 7 videos that were looked at'
    )
    (folder / 'v_03.npy').rename(folder / 'w_03.npy')
    assert '20 videos with other ids' in feature_changes(before, record(folder))
    (folder / 'w_03.npy').unlink()
    assert '20 videos, now 19' in feature_changes(before, record(folder))
    both = record_features([dict(root=str(folder), layout='TC')] * 2)
    assert 'features of 16 channels, now 32' in feature_changes(before, both)


def test_exchanged_sources_are_other_features(folder, tmp_path):
    other = make_dataset(tmp_path / 'other', num_videos=20)
    for path in (other / 'features').iterdir():
        np.save(path, -2 * np.load(folder / path.name))
    sources = [dict(root=str(root), layout='TC') for root in (folder, other / 'features')]
    assert record_features(sources)['source'] == 'features'
    (change,) = feature_changes(record_features(sources), record_features(sources[::-1]))
    assert 'other features' in change


def test_sources_of_every_kind(folder):
    dataset = record_features(feature_dataset(folder.parent, subset='training'))
    assert (dataset['videos'], dataset['source']) == (18, 'features')

    class Items(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return dict(inputs=torch.full((4, 5 + index), 2.0))

    assert record_features(Items()) | dict(ids='') == dict(
        source='',
        videos=3,
        ids='',
        channels=4,
        samples={str(index): [5 + index, 2.0, 2.0, 2.0, 2.0] for index in range(3)},
    )
