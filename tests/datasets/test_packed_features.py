"""Packed folders: what is read, in how many processes, and what bad folders say."""

from __future__ import annotations

import copy
import json
import multiprocessing
import operator
import pickle
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sola_plugin.datasets import SoLaWindowDataset, WindowSampler
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.packed import DATA_NAME, DTYPES, INDEX_NAME, PackedFeatures
from sola_plugin.datasets.features.packing import pack_features, verify_packed
from sola_plugin.datasets.features.readers import FeatureError
from tests.processes import ROOT, environment

C = 6
LENGTHS = dict(v_a=12, v_b=5, v_c=200)


@pytest.fixture
def folder(tmp_path: Path) -> FeatureFolder:
    (tmp_path / 'features').mkdir()
    for name, length in LENGTHS.items():
        np.save(
            tmp_path / f'features/{name}.npy',
            np.random.default_rng(length).normal(size=(length, C)).astype(np.float32),
        )
    return FeatureFolder(tmp_path / 'features')


@pytest.fixture
def packed(folder, tmp_path) -> Path:
    pack_features(folder, tmp_path / 'packed')
    return tmp_path / 'packed'


def test_equal_to_the_folder_that_was_packed(folder, packed):
    store = PackedFeatures(packed, feat_dim=C)
    assert store.ids() == folder.ids() == list(LENGTHS) and len(store) == 3
    assert 'v_a' in store and 'a' not in store and store.channels == C
    for name, length in LENGTHS.items():
        assert store.length(name) == length
        whole = store.load(name)
        np.testing.assert_array_equal(whole, folder.load(name))
        for start, size in ((0, length), (1, 3), (length - 1, 1), (2, 0)):
            window = store.window(name, start, size)
            np.testing.assert_array_equal(window, whole[:, start : start + size])
            for array in (whole, window):
                assert (
                    array.dtype == np.float32 and array.flags.c_contiguous and array.flags.writeable
                )


def test_the_file_is_as_documented(folder, packed):
    index = json.loads((packed / INDEX_NAME).read_text())
    rows = np.fromfile(packed / DATA_NAME, '<f4').reshape(-1, index['channels'])
    begins = np.cumsum([0, *index['lengths']])
    for name, begin, length in zip(index['ids'], begins, index['lengths']):
        np.testing.assert_array_equal(rows[begin : begin + length], folder.load(name).T)


@pytest.mark.parametrize('channels', [1, 400, 2048])
@pytest.mark.parametrize('dtype', DTYPES)
def test_all_sizes_and_dtypes(tmp_path, channels, dtype):
    (tmp_path / 'features').mkdir()
    array = np.random.default_rng(0).normal(size=(131, channels)).astype(dtype)
    np.save(tmp_path / 'features/v.npy', array)
    pack_features(
        FeatureFolder(tmp_path / 'features', layout='TC'), tmp_path / 'packed', dtype=dtype
    )
    store = PackedFeatures(tmp_path / 'packed')
    assert (tmp_path / 'packed' / DATA_NAME).stat().st_size == array.nbytes
    np.testing.assert_array_equal(store.load('v'), array.T.astype(np.float32))
    for start in (0, 1, 63, 64, 131 - 23):
        np.testing.assert_array_equal(store.window('v', start, 23), array[start : start + 23].T)


def test_a_window_reads_no_more_than_itself(tmp_path):
    (tmp_path / 'features').mkdir()
    np.save(tmp_path / 'features/v.npy', np.ones((2**14, 256), np.float32))  # 16 MiB
    pack_features(FeatureFolder(tmp_path / 'features', layout='TC'), tmp_path / 'packed')
    tracemalloc.start()
    assert PackedFeatures(tmp_path / 'packed').window('v', 9, 3).shape == (256, 3)
    assert tracemalloc.get_traced_memory()[1] < 2**19
    tracemalloc.stop()


def test_the_prefix_is_no_part_of_the_id(packed):
    store = PackedFeatures(packed, prefix='v_')
    assert store.ids() == ['a', 'b', 'c'] and store.load('b').shape == (C, 5)
    with pytest.raises(
        FeatureError,
        match=(
            "packed folder .*: expected names that begin with 'x', got, for example, 'v_a': "
            'check prefix'
        ),
    ):
        PackedFeatures(packed, prefix='x')
    with pytest.raises(
        FeatureError,
        match=(
            r"features of 'x' \(.*packed, 'v_x'\) are missing; packed folder .* has 3 "
            r"others, such as 'a'"
        ),
    ):
        store.window('x', 0, 2)


@pytest.mark.parametrize('start, length', [(-1, 3), (3, 3), (0, 6)])
def test_window_outside(packed, start, length):
    with pytest.raises(IndexError, match=f"'v_b' have 5 snippets; asked for {length} from {start}"):
        PackedFeatures(packed).window('v_b', start, length)


# --- processes ------------------------------------------------------------------------------------


def test_copies_do_not_hold_the_data(packed):
    store = PackedFeatures(packed)
    store.load('v_a')
    data = pickle.dumps(store)
    assert len(data) < 2000 < LENGTHS['v_c'] * C * 4
    for other in (pickle.loads(data), copy.deepcopy(store)):
        np.testing.assert_array_equal(other.load('v_c'), store.load('v_c'))


def test_spawned_processes(packed):
    store = PackedFeatures(packed)
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        features = pool.apply(operator.methodcaller('load', 'v_c'), (store,))
    np.testing.assert_array_equal(features, store.load('v_c'))


def test_forked_loader_workers(packed):
    dataset = SoLaWindowDataset(str(packed), window=5)
    read = []
    for workers in (0, 2):
        sampler = WindowSampler(dataset, windows_per_video=4, seed=3)
        loader = DataLoader(dataset, batch_size=4, sampler=sampler, num_workers=workers)
        read.append(torch.cat([batch['inputs'] for batch in loader]))
    assert read[0].shape == (12, C, 5) and torch.equal(*read)


# --- bad folders ----------------------------------------------------------------------------------


def edit(packed: Path, **changes) -> None:
    path = packed / INDEX_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(version=2), 'expected version 1 of the packed form, got 2'),
        (dict(version=None), 'expected version 1 of the packed form, got None'),
        (dict(extra=1), "expected the keys .*'channels'.*, got .*'extra'"),
        (dict(dtype='float64'), "expected a dtype of float32, float16, got 'float64'"),
        (dict(ids='v_a'), 'expected lists under ids, lengths, crc32, stamps'),
        (
            dict(ids=['v_a', 'v_b']),
            "expected one entry for each video, got {'ids': 2, 'lengths': 3",
        ),
        (dict(ids=[], lengths=[], crc32=[], stamps=[]), 'expected one entry for each video'),
        (dict(ids=['v_a', 'v_b', 'v_a']), 'expected each video once'),
        (dict(ids=['v_a', 'v_b', 3]), 'expected text under ids'),
        (dict(lengths=[12, 0, 5]), 'expected channels and lengths above 0'),
        (dict(lengths=[12, 5, 2.5]), 'expected channels and lengths above 0'),
        (dict(channels=-1), 'expected channels and lengths above 0'),
    ],
)
def test_bad_index(packed, changes, message):
    edit(packed, **changes)
    with pytest.raises(
        FeatureError, match=rf'{INDEX_NAME}: {message}.*: remove the folder and pack'
    ):
        PackedFeatures(packed)


def test_index_that_is_no_index(packed):
    for content, message in (
        ('[]', 'expected version 1'),
        ('{"ids": [', 'not complete JSON'),
        ('\xff', 'not complete JSON'),
    ):
        (packed / INDEX_NAME).write_text(content, encoding='latin1')
        with pytest.raises(FeatureError, match=f'{INDEX_NAME}: {message}'):
            PackedFeatures(packed)
    (packed / INDEX_NAME).unlink()
    with pytest.raises(FeatureError, match=f'packed is no packed folder, {INDEX_NAME} is missing'):
        PackedFeatures(packed)


@pytest.mark.parametrize('change', [-4, -1, 1])
def test_file_of_another_size(packed, change):
    path = packed / DATA_NAME
    data = path.read_bytes()
    path.write_bytes(data[:change] if change < 0 else data + b'x')
    with pytest.raises(
        FeatureError,
        match=(
            f'{DATA_NAME}: expected {len(data)} bytes as in {INDEX_NAME}, got '
            f'{len(data) + change}: the '
            'file was cut or changed after packing; remove the folder and pack the features again'
        ),
    ):
        PackedFeatures(packed)


def test_file_that_changes_under_an_open_store(packed):
    data = pickle.dumps(PackedFeatures(packed))
    (packed / DATA_NAME).write_bytes(b'x')
    with pytest.raises(FeatureError, match='got 1: the file was cut'):
        pickle.loads(data).load('v_a')
    (packed / DATA_NAME).unlink()
    with pytest.raises(FeatureError, match=f'{DATA_NAME} is missing: remove the folder and pack'):
        PackedFeatures(packed)


#: Cuts the file of an open store in the middle, and reads in the way that is named.
CUT = """
import os, sys
import numpy as np
from sola_plugin.datasets.features.packed import DATA_NAME, PackedFeatures
from sola_plugin.datasets.window_sources import StoredWindows

folder, way = sys.argv[1:]
store = PackedFeatures(folder)
windows = StoredWindows(store, ['v'])
ways = dict(
    load=lambda: store.load('v'),
    window=lambda: store.window('v', 9000, 5),
    stored=lambda: store.stored('v'),
    batch=lambda: windows.windows(np.array([0]), np.array([9000]), 5),
    unguarded=lambda: store.rows.sum(),
)
ways[way]()
os.truncate(os.path.join(folder, DATA_NAME), 4096)
try:
    ways[way]()
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize('way', ['window', 'load', 'stored', 'batch', 'unguarded'])
def test_a_file_that_is_cut_while_it_is_mapped(tmp_path, way):
    """An error; and not SIGBUS, as it would be unguarded."""
    (tmp_path / 'raw').mkdir()
    np.save(tmp_path / 'raw/v.npy', np.zeros((10_000, 4), np.float32))
    pack_features(FeatureFolder(tmp_path / 'raw', layout='TC'), tmp_path / 'packed')
    command = [sys.executable, '-c', CUT, str(tmp_path / 'packed'), way]
    result = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if way == 'unguarded':
        assert result.returncode == -signal.SIGBUS
        return
    assert result.returncode == 0, result.stderr
    assert 'got 4096: the file was cut or changed after packing; remove' in result.stdout


def test_other_channels(packed):
    with pytest.raises(
        FeatureError,
        match=('packed folder .*: expected 7 channels, got 6: check the encoder and feat_dim'),
    ):
        PackedFeatures(packed, feat_dim=7)


def test_checksums(packed):
    told = []
    assert verify_packed(packed, lambda *done: told.append(done)).ids == list(LENGTHS)
    assert told == [('', 1, 3), ('', 2, 3), ('', 3, 3)]
    data = bytearray((packed / DATA_NAME).read_bytes())
    data[13 * C * 4] ^= 1  # in the second snippet of v_b
    (packed / DATA_NAME).write_bytes(data)
    with pytest.raises(
        FeatureError,
        match=(
            rf"{DATA_NAME}: the checksums of 1 of 3 videos are wrong \('v_b'\): the file was "
            r'damaged, or '
            'changed after packing; remove the folder and pack the features again'
        ),
    ):
        verify_packed(packed)
