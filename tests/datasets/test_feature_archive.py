"""One file with all videos: names, groups, orientation, and what bad files say."""

from __future__ import annotations

import pickle
import re
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from sola_plugin.datasets.features.archive import ARCHIVE_SUFFIXES, OBJECT_SUFFIXES, FeatureArchive
from sola_plugin.datasets.features.readers import FeatureError

C = 6


def features(length: int, seed: int = 0) -> np.ndarray:
    """Float32 ``(length, C)``."""
    return np.random.default_rng(seed).normal(size=(length, C)).astype(np.float32)


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    if path.suffix == '.npz':
        np.savez_compressed(path, **arrays)
    elif path.suffix == '.npy':
        np.save(path, np.array(arrays, dtype=object), allow_pickle=True)
    elif path.suffix in ('.pkl', '.pickle'):
        path.write_bytes(pickle.dumps(arrays))
    elif path.suffix in ('.pt', '.pth'):
        torch.save(
            {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, path
        )
    else:
        with h5py.File(path, 'w') as file:
            for name, array in arrays.items():
                file[name] = array
    return path


@pytest.fixture(params=ARCHIVE_SUFFIXES)
def path(request, tmp_path: Path) -> Path:
    return tmp_path / f'all{request.param}'


@pytest.mark.parametrize('layout', ['TC', 'CT'])
def test_round_trip(path, layout):
    arrays = {f'v_{length}': features(length, length) for length in (5, 9, 12)}
    write(path, {name: array if layout == 'TC' else array.T for name, array in arrays.items()})
    store = FeatureArchive(path)
    assert sorted(store.ids()) == sorted(arrays) and len(store) == 3 and 'v_5' in store
    assert store.channels == C and store.files('v_5') == (path,)
    for name, array in arrays.items():
        assert store.length(name) == len(array)
        for read, expected in ((store.load(name), array), (store.window(name, 2, 3), array[2:5])):
            assert read.dtype == np.float32 and read.flags.c_contiguous and read.flags.writeable
            np.testing.assert_array_equal(read, expected.T)
    with pytest.raises(IndexError, match="'v_5' have 5 snippets; asked for 3 from 3"):
        store.window('v_5', 3, 3)
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy.load('v_9'), arrays['v_9'].T)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'names, options, ids',
    [
        (['v_a/feat', 'v_b/feat'], {}, ['v_a', 'v_b']),
        (['v_a/feat', 'v_a/fps', 'v_b/feat', 'v_b/fps'], {}, ['v_a', 'v_b']),
        (['v_a/rgb', 'v_a/flow', 'v_b/rgb'], dict(key='rgb'), ['v_a', 'v_b']),
        (['v_a/rgb', 'v_a/flow', 'v_b/rgb'], dict(key='flow'), ['v_a']),
        (['train/v_a', 'train/v_b', 'test/v_c'], {}, ['test/v_c', 'train/v_a', 'train/v_b']),
        (['train/v_a', 'train/v_b'], dict(prefix='train/'), ['v_a', 'v_b']),
        (['train/v_a/x', 'test/v_c/x'], {}, ['test/v_c', 'train/v_a']),
        (
            ['v_a_rgb', 'v_a_flow', 'v_b_rgb', 'v_', '_rgb'],
            dict(suffix='_rgb', prefix='v_'),
            ['a', 'b'],
        ),
        (['v_a/x/rgb', 'v_a/x/flow'], dict(key='x/rgb'), ['v_a']),
    ],
)
def test_names_become_ids(path, names, options, ids):
    arrays = {
        name: np.float32(30) if name.endswith('fps') else features(4, seed)
        for seed, name in enumerate(names)
    }
    store = FeatureArchive(write(path, arrays), layout='TC', **options)
    assert sorted(store.ids()) == ids
    wanted = '_rgb' if 'suffix' in options else f'/{options["key"]}' if 'key' in options else ''
    (name,) = [
        name
        for name in names
        if name.startswith(f'{options.get("prefix", "")}{ids[0]}')
        and name.endswith(wanted)
        and not name.endswith('fps')
    ]
    np.testing.assert_array_equal(store.load(ids[0]), arrays[name].T)


def test_several_arrays_a_video_are_asked_for(path):
    write(path, {f'v_{video}/{kind}': features(4) for video in 'ab' for kind in ('rgb', 'flow')})
    with pytest.raises(
        FeatureError,
        match=(
            r"feature file .*: expected one array for each video, got 2 \('flow', 'rgb'\): "
            r'choose one '
            'with key='
        ),
    ):
        FeatureArchive(path)


@pytest.mark.parametrize(
    'options, expected',
    [
        (dict(key='x'), 'expected arrays ID/x'),
        (dict(prefix='x'), 'expected arrays xID'),
        (dict(suffix='.npy'), 'expected arrays ID.npy'),
    ],
)
def test_no_such_names(path, options, expected):
    write(path, dict(v_a=features(4), v_b=features(5)))
    with pytest.raises(
        FeatureError,
        match=(f"feature file .*: {expected}, got 'v_a', 'v_b': check prefix, suffix and key"),
    ):
        FeatureArchive(path, **options)


def test_a_name_of_two_arrays(tmp_path):
    path = write(tmp_path / 'all.npz', dict(v_a=features(4), v_b=features(5)))
    with zipfile.ZipFile(path, 'a') as archive, pytest.warns(UserWarning, match='Duplicate name'):
        archive.writestr('v_a.npy', archive.read('v_b.npy'))
    with pytest.raises(FeatureError, match="feature file .*: expected one array 'v_a', got two"):
        FeatureArchive(path)


# --- orientation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'shapes, feat_dim',
    [([(5, 6)], None), ([(5, 6), (5, 6)], None), ([(6, 6)], 6), ([(5, 6), (9, 7)], None)],
)
def test_unclear_orientation_is_asked_for(path, shapes, feat_dim):
    write(path, {f'v_{index}': np.zeros(shape) for index, shape in enumerate(shapes)})
    with pytest.raises(
        FeatureError,
        match=(
            r"features of 'v_0' \(.*, array 'v_0'\): \(T, C\) or \(C, T\)\? The first "
            rf'{len(shapes)} videos '
            rf"of feature file .* have the shapes {re.escape(str(min(shapes)))}.*say layout='TC'"
        ),
    ):
        FeatureArchive(path, feat_dim=feat_dim).load('v_0')
    assert FeatureArchive(path, layout='CT').load('v_0').shape == shapes[0]


def test_feat_dim_decides(path):
    write(path, dict(v_a=np.zeros((6, 9)), v_b=np.zeros((9, 6))))
    store = FeatureArchive(path, feat_dim=6)
    assert store.load('v_a').shape == store.load('v_b').shape == (6, 9)
    with pytest.raises(FeatureError, match=r'expected 7 channels, got shape \(6, 9\)'):
        FeatureArchive(path, feat_dim=7).load('v_a')


# --- bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'array, message',
    [
        (np.zeros((8, 4)), r'expected 6 channels as in the first videos, got 4: shape \(8, 4\)'),
        (np.zeros((0, C)), r'expected at least one snippet, got shape \(0, 6\)'),
        (np.zeros((2, 3, C)), r'expected two axes, .* got shape \(2, 3, 6\)'),
        (np.zeros(C), r'expected two axes, .* got shape \(6,\)'),
        (np.full((4, C), np.nan), 'expected finite float32 values, got NaN or Inf'),
        (np.zeros((4, C), complex), 'expected numbers, got dtype complex128'),
    ],
)
def test_bad_arrays(path, array, message):
    write(path, dict(v_a=features(4), v_b=features(5), v_x=array))
    store = FeatureArchive(path, layout='TC')
    with pytest.raises(FeatureError, match=rf"features of 'v_x' \(.*, array 'v_x'\): {message}"):
        store.load('v_x')
    assert store.load('v_a').shape == (C, 4)


def test_a_video_that_is_not_there(path):
    write(path, dict(v_a=features(4), v_b=features(5)))
    for call in ('load', 'length'):
        with pytest.raises(
            FeatureError,
            match=(
                r"features of 'x' \(.*, array 'v_x'\) are missing; feature file .* has 2 "
                r'others, such '
                "as 'a': check prefix and suffix"
            ),
        ):
            getattr(FeatureArchive(path, prefix='v_'), call)('x')


def test_damaged_files(path):
    with pytest.raises(FeatureError, match='feature file .* does not exist: check the path'):
        FeatureArchive(path)
    path.touch()
    with pytest.raises(FeatureError, match='feature file .*: the file is empty: write it again'):
        FeatureArchive(path)
    write(path, {f'v_{index}': features(40, index) for index in range(20)})
    whole = path.read_bytes()
    for content in (whole[: len(whole) * 2 // 3], b'<html>404 not found</html>\n' * 20):
        path.write_bytes(content)
        with pytest.raises(
            FeatureError,
            match=(
                rf'feature file .*: expected a (readable \{path.suffix} file, got .* truncated'
                '|tensor or a dict of tensors)'
            ),
        ):
            FeatureArchive(path)
    path.write_bytes(whole)
    store = FeatureArchive(path, layout='TC')
    path.unlink()
    if path.suffix in OBJECT_SUFFIXES:
        np.testing.assert_array_equal(store.load('v_3'), features(40, 3).T)  # kept in memory
        store = pickle.loads(pickle.dumps(store))
    with pytest.raises(FeatureError, match=r"features of 'v_3' .*: .*(FileNotFound|missing)"):
        store.load('v_3')


def test_a_file_without_arrays(path):
    write(path, dict(fps=np.float32(30)))
    with pytest.raises(FeatureError, match='expected arrays ID, got none: check'):
        FeatureArchive(path)


def test_objects_are_not_unpickled(tmp_path):
    np.savez(tmp_path / 'all.npz', v_a=np.array([[{}]], dtype=object), v_b=np.zeros((3, C)))
    with pytest.raises(FeatureError, match=r"features of 'v_a' .* expected a readable .*pickle"):
        FeatureArchive(tmp_path / 'all.npz', layout='TC', feat_dim=1).load('v_a')


def test_h5_without_h5py_names_the_extra(tmp_path, monkeypatch):
    path = write(tmp_path / 'all.h5', dict(v_a=features(4)))
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(ImportError, match=r"need h5py.*: pip install 'sola_plugin\[h5\]'"):
        FeatureArchive(path)


# --- a dict of arrays -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([features(4), features(5)], 'the features of each video by its id, got list'),
        (np.array([features(4), None], dtype=object), 'by its id, got one array'),
        (features(4), 'by its id, got one array: say which video is which'),
        (dict(v_a=re.compile('x')), 'refused to unpickle re._compile'),
    ],
)
def test_what_is_no_dict_of_arrays(tmp_path, content, message):
    path = tmp_path / 'all.pkl'
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(FeatureError, match=f'feature file .*all.pkl: .*{message}'):
        FeatureArchive(path)


def test_ids_that_are_numbers_and_dicts_of_dicts(tmp_path):
    path = tmp_path / 'all.pkl'
    path.write_bytes(pickle.dumps({7: dict(rgb=features(4), fps=25), 8: dict(rgb=features(5))}))
    store = FeatureArchive(path, layout='TC')
    assert store.ids() == ['7', '8']
    np.testing.assert_array_equal(store.load('8'), features(5).T)


def test_crops_in_an_archive(path):
    crops = np.stack([features(9, seed) for seed in range(3)], axis=1)
    write(path, dict(v=crops, w=crops[:5]))
    store = FeatureArchive(path, crops='mean')
    np.testing.assert_allclose(store.load('v'), crops.mean(1).T, rtol=1e-6)
    assert store.length('w') == 5 and store.channels == C
