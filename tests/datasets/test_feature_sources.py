"""What a path opens, and the datasets on each form of features."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS
from mmengine.config import ConfigDict
from torch.utils.data import DataLoader

from sola_plugin.datasets import SoLaWindowDataset
from sola_plugin.datasets import tal_dataset as tal_feature_dataset
from sola_plugin.datasets.features.archive import FeatureArchive
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.fused import FusedFeatures
from sola_plugin.datasets.features.open import is_source, open_features, rooted
from sola_plugin.datasets.features.packed import DATA_NAME, PackedFeatures
from sola_plugin.datasets.features.packing import pack_features
from sola_plugin.datasets.features.readers import FeatureError

C = 4
LENGTHS = dict(v_a=20, v_b=8, v_c=30)


def array(video_id: str, kind: str = 'rgb') -> np.ndarray:
    """Float32 ``(T, C)``."""
    seed = LENGTHS[video_id] + (kind == 'flow')
    return np.random.default_rng(seed).normal(size=(LENGTHS[video_id], C)).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The same features in all forms, and their annotations."""
    (tmp_path / 'folder').mkdir()
    for name in LENGTHS:
        np.save(tmp_path / f'folder/{name}.npy', array(name))
    (tmp_path / 'streams').mkdir()
    for name in LENGTHS:
        for kind in ('rgb', 'flow'):
            np.save(tmp_path / f'streams/{name}_{kind}.npy', array(name, kind))
    np.savez(tmp_path / 'all.npz', **{name: array(name) for name in LENGTHS})
    with h5py.File(tmp_path / 'all.h5', 'w') as file:
        for name in LENGTHS:
            file[f'{name}/rgb'], file[f'{name}/flow'] = array(name), array(name, 'flow').T
    pack_features(FeatureFolder(tmp_path / 'folder', layout='TC'), tmp_path / 'packed')
    database = {
        name[2:]: dict(
            duration=length / 2, subset='training', annotations=[dict(segment=[1, 3], label='x')]
        )
        for name, length in LENGTHS.items()
    }
    (tmp_path / 'ann.json').write_text(json.dumps(dict(database=database)))
    return tmp_path


#: Sources of the same features, with the options that they need.
SOURCES = {
    'folder': ('folder', dict(suffix='.npy', layout='TC'), FeatureFolder),
    'npz': ('all.npz', dict(layout='TC'), FeatureArchive),
    'h5': ('all.h5', dict(key='rgb', layout='TC'), FeatureArchive),
    'packed': ('packed', dict(), PackedFeatures),
    'packed, with options of the folder': (
        'packed',
        dict(suffix='.npy', layout='TC'),
        PackedFeatures,
    ),
    'dict': (
        dict(root='streams', suffix='_rgb.npy', layout='TC'),
        dict(layout='CT'),
        FeatureFolder,
    ),
    'list of one': (['folder'], dict(layout='TC'), FusedFeatures),
}


@pytest.mark.parametrize('source, options, kind', SOURCES.values(), ids=SOURCES)
def test_open_features(root, source, options, kind):
    store = open_features(rooted(source, root), prefix='v_', feat_dim=C, **options)
    assert isinstance(store, kind) and store.ids() == ['a', 'b', 'c'] and store.channels == C
    np.testing.assert_array_equal(store.load('b'), array('v_b').T)


@pytest.mark.parametrize('source, options, kind', SOURCES.values(), ids=SOURCES)
def test_datasets(root, source, options, kind):
    dataset = DATASETS.build(
        ConfigDict(
            type='TALFeatureDataset',
            data_root=str(root),
            ann_file='ann.json',
            file_prefix='v_',
            feat_dim=C,
            data_prefix=dict(features=source),
            feature_stride=0.5,
            **options,
        )
    )
    assert isinstance(dataset.feature_store, kind) and len(dataset) == 3
    for index, name in enumerate(LENGTHS):
        item = dataset[index]
        np.testing.assert_array_equal(item['inputs'], array(name).T)
        assert item['data_samples'].metainfo['feature_span'] == (0, LENGTHS[name] / 2)
    windows = SoLaWindowDataset(dataset, window=9)
    assert len(windows) == 2
    np.testing.assert_array_equal(windows[1, 0.0]['inputs'], array('v_c')[:9].T)
    loader = DataLoader(windows, batch_size=2, num_workers=2)
    assert torch.equal(
        next(iter(loader))['inputs'], torch.stack([windows[i]['inputs'] for i in (0, 1)])
    )


def test_two_streams(root):
    streams = [
        dict(root='streams', suffix='_rgb.npy'),
        dict(root='all.h5', key='flow', layout='CT'),
    ]
    expected = np.concatenate([array('v_c').T, array('v_c', 'flow').T])
    dataset = DATASETS.build(
        dict(
            type='TALFeatureDataset',
            data_root=str(root),
            ann_file='ann.json',
            file_prefix='v_',
            layout='TC',
            data_prefix=dict(features=streams),
            feat_dim=2 * C,
        )
    )
    np.testing.assert_array_equal(dataset[2]['inputs'], expected)
    for features in (rooted(streams, root), dict(root=rooted(streams, root), layout='TC')):
        if isinstance(features, list):
            features[0]['layout'] = 'TC'
        windows = SoLaWindowDataset(features, window=9)
        np.testing.assert_array_equal(windows[1, 0.0]['inputs'], expected[:, :9])


@pytest.mark.parametrize('source', ['folder', 'all.npz', 'packed'])
@pytest.mark.parametrize('kind', [str, Path])
def test_windows_of_a_path(root, source, kind):
    windows = SoLaWindowDataset(kind(root / source), window=9)
    np.testing.assert_array_equal(windows[0, 0.0]['inputs'], array('v_a')[:9].T)


def test_strides_that_differ_are_admitted_by_max_stretch(root):
    for name in LENGTHS:
        np.save(root / f'streams/{name}_flow.npy', array(name, 'flow')[::2])
    streams = [str(root / 'folder'), dict(root=str(root / 'streams'), suffix='_flow.npy')]
    with pytest.raises(FeatureError, match='admit it with max_stretch=2'):
        SoLaWindowDataset(dict(root=streams, layout='TC'), window=9)
    windows = SoLaWindowDataset(dict(root=streams, layout='TC', max_stretch=2.0), window=9)
    assert windows[0]['inputs'].shape == (8, 9)


def test_messages_of_the_dataset_name_the_source(root, monkeypatch):
    lines = []
    monkeypatch.setattr(
        tal_feature_dataset, 'print_log', lambda message, logger, level: lines.append(message)
    )
    config = dict(type='TALFeatureDataset', data_root=str(root), ann_file='ann.json', feat_dim=C)
    with pytest.raises(
        FeatureError,
        match=(
            r"ann.json: 3 of 3 videos have no features: 'a', 'b', 'c'. Expected, for "
            r'example, .*all.npz, '
            "array 'a', got, for example, .*all.npz, array 'v_a': check data_prefix, "
            'file_prefix and '
        ),
    ):
        DATASETS.build(dict(config, data_prefix=dict(features='all.npz')))
    with pytest.raises(
        FeatureError, match="Expected, for example, .*packed, 'a', got, for .*packed, 'v_a'"
    ):
        DATASETS.build(dict(config, data_prefix=dict(features='packed')))
    database = json.loads((root / 'ann.json').read_text())['database']
    del database['b']
    (root / 'ann.json').write_text(json.dumps(dict(database=database)))
    DATASETS.build(dict(config, data_prefix=dict(features='packed'), file_prefix='v_'))
    assert (
        f"1 of 3 videos in packed folder {root}/packed have no annotations and are not used: 'b'"
        in lines
    )


# --- bad input ------------------------------------------------------------------------------------


def test_what_is_no_source(root):
    with pytest.raises(
        FeatureError, match='feature folder .*nowhere does not exist: check the path'
    ):
        open_features(root / 'nowhere')
    with pytest.raises(
        FeatureError, match='feature file .*nowhere.h5 does not exist: check the path'
    ):
        open_features(root / 'nowhere.h5')
    with pytest.raises(
        FeatureError,
        match=(
            r'feature file .*v_a.npy: expected a dict of arrays, .* by its id, got one array: say '
            'which video is which, or give a folder with a file for each'
        ),
    ):
        open_features(root / 'folder/v_a.npy')
    for source in (dict(suffix='.npy'), [dict(suffix='.npy')]):
        with pytest.raises(
            ValueError, match=r'expected dict\(root=..., ...\) as a source of features'
        ):
            open_features(source)
    with pytest.raises(
        ValueError, match="expected options of suffix, .* for features, got 'sufix'"
    ):
        open_features(root / 'folder', sufix='.npy')
    with pytest.raises(ValueError, match='at least one source'):
        open_features([])
    with pytest.raises(ValueError, match=r'expected dict\(root='):
        SoLaWindowDataset(dict(suffix='.npy'))
    with pytest.raises(ValueError, match=r'expected dict\(root='):
        DATASETS.build(
            dict(
                type='TALFeatureDataset',
                ann_file=str(root / 'ann.json'),
                data_prefix=dict(features=dict(suffix='.npy')),
            )
        )


def test_unfinished_packing_is_told(root):
    (root / 'packed').rename(root / 'other.partial')
    with pytest.raises(
        FeatureError,
        match=(
            'other does not exist; .*other.partial does: packing has not finished, the same '
            'command of '
        ),
    ):
        open_features(root / 'other')
    for path in (root / 'other.partial').iterdir():
        if path.name != DATA_NAME:
            path.unlink()
    with pytest.raises(FeatureError, match='other.partial is no packed folder, .* is missing'):
        open_features(root / 'other.partial')


@pytest.mark.parametrize(
    'value, expected',
    [
        ('a', True),
        (Path('a'), True),
        (dict(root='a'), True),
        (['a', dict(root=['b'])], True),
        (dict(type='X'), False),
        ([dict(imgs=1)], False),
        ([3], False),
        ([], False),
        (3, False),
    ],
)
def test_is_source(value, expected):
    assert is_source(value) == expected
