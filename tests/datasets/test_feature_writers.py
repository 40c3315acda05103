"""Features that are written are read, by the libraries of their formats and by this package."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
import torch
from mmaction.registry import TRANSFORMS

from sola_plugin.datasets.features.archive import FeatureArchive
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.readers import NAMED_SUFFIXES, ROWS, SUFFIXES
from sola_plugin.datasets.features.writers import Array, write_archive, write_array

T, C = 7, 3
ROWS_OF_VIDEO = np.random.default_rng(0).normal(size=(T, C)).astype(np.float32)


def parts(layout: str = 'TC', dtype: str = 'float32') -> Array:
    """The video in three parts, one of them not contiguous."""
    pieces = (ROWS_OF_VIDEO[:2], np.asfortranarray(ROWS_OF_VIDEO[2:6]), ROWS_OF_VIDEO[6:])
    return Array((T, C), np.dtype(dtype), layout, iter(pieces))


@pytest.mark.parametrize('layout', ['TC', 'CT'])
@pytest.mark.parametrize('suffix', SUFFIXES + NAMED_SUFFIXES)
def test_every_format_is_read_back(tmp_path, suffix, layout):
    layout = 'TC' if suffix in ROWS else layout
    write_array(tmp_path / f'v{suffix}', parts(layout))
    store = FeatureFolder(tmp_path, suffix, layout=layout, feat_dim=C)
    np.testing.assert_array_equal(store.load('v'), ROWS_OF_VIDEO.T)
    assert store.form('v').layout == layout and store.form('v').dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == [f'v{suffix}']


@pytest.mark.parametrize('layout', ['TC', 'CT'])
@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_the_libraries_of_the_formats_read_it(tmp_path, layout, dtype):
    expected = (ROWS_OF_VIDEO if layout == 'TC' else ROWS_OF_VIDEO.T).astype(dtype)
    for suffix in ('.npy', '.npz', '.h5', '.pt', '.pkl'):
        name = None if suffix == '.npy' else 'feats'
        write_array(tmp_path / f'v{suffix}', parts(layout, dtype), name)
    with h5py.File(tmp_path / 'v.h5') as file:
        of_h5 = file['feats'][:]
    read = [
        np.load(tmp_path / 'v.npy'),
        np.load(tmp_path / 'v.npz')['feats'],
        of_h5,
        torch.load(tmp_path / 'v.pt')['feats'].numpy(),
        pickle.loads((tmp_path / 'v.pkl').read_bytes())['feats'],
    ]
    for array in read:
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, expected)


def test_mmaction2_reads_the_csv(tmp_path):
    write_array(tmp_path / 'v.csv', parts())
    load = TRANSFORMS.build(dict(type='mmaction.LoadLocalizationFeature'))
    read = load.transform(dict(feature_path=str(tmp_path / 'v.csv')))['raw_feature']
    np.testing.assert_allclose(read, ROWS_OF_VIDEO.T, rtol=1e-6)


@pytest.mark.parametrize('suffix', ['.npz', '.h5', '.hdf5', '.pt', '.pth', '.pkl', '.pickle'])
def test_an_archive_is_read_back(tmp_path, suffix):
    path = tmp_path / f'all{suffix}'
    write_archive(path, ((name, parts('CT')) for name in ('v_1', 'v_2')))
    store = FeatureArchive(path, layout='CT')
    assert store.ids() == ['v_1', 'v_2']
    np.testing.assert_array_equal(store.load('v_2'), ROWS_OF_VIDEO.T)


def test_an_array_in_a_group(tmp_path):
    write_archive(tmp_path / 'all.h5', [('v_1/rgb', parts()), ('v_2/rgb', parts())])
    assert FeatureArchive(tmp_path / 'all.h5', layout='TC').ids() == ['v_1', 'v_2']


def test_a_failure_leaves_the_old_file(tmp_path):
    def torn():
        yield ROWS_OF_VIDEO[:3]
        raise OSError('no room')

    path = tmp_path / 'v.npy'
    path.write_bytes(b'old')
    with pytest.raises(OSError, match='no room'):
        write_array(path, Array((T, C), np.dtype('f4'), 'TC', torn()))
    assert path.read_bytes() == b'old' and list(tmp_path.iterdir()) == [path]


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'v\.json: expected a name that ends in one of \.npy'):
        write_array(tmp_path / 'v.json', parts())
