"""Feature files that claim more than they hold are refused before memory is taken."""

from __future__ import annotations

import io
import json
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from sola_plugin.datasets.features.archive import FeatureArchive
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.packed import DATA_NAME, INDEX_NAME, PackedFeatures
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.datasets.features.safe_pickle import (
    UnsafePickleError,
    load_arrays,
    load_object_npy,
)
from sola_plugin.evaluation.classifiers import LinearModel
from sola_plugin.necks import read_sola
from sola_plugin.size_limits import VARIABLE, check_torch_file
from tests.datasets.test_safe_pickle import Call
from tests.write_features import write

HUGE = 10**12


def npy(shape: tuple[int, ...], data: bytes = b'\0' * 64) -> bytes:
    """A ``.npy`` file whose header says ``shape``."""
    file = io.BytesIO()
    header = {'descr': '<f4', 'fortran_order': False, 'shape': shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def npz(path: Path, member: bytes) -> None:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('v_x.npy', member)


def unallocated(path: Path) -> None:
    with h5py.File(path, 'w') as file:
        file.create_dataset('v_x', (10**10, 64), 'f4', chunks=(1024, 64))


def packed_torch(path: Path, value: object) -> None:
    """A ``.pt`` file that is compressed as torch does not, but reads."""
    torch.save(value, path)
    with zipfile.ZipFile(path) as plain:
        members = {info.filename: plain.read(info) for info in plain.infolist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


BYTES = Call(bytearray, 10**10)
ASKS = 'got a file that asks for a bytearray'


def disguised(path: Path) -> None:
    """``torch.load`` looks at the beginning of a file, ``zipfile`` at its end."""
    torch.save(Call(bytearray, 10**9), path, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('x', '')


def wrong_checksum(path: Path) -> None:
    """``torch.load`` does not look at checksums."""
    torch.save(BYTES, path)
    with zipfile.ZipFile(path) as archive:
        (checksum,) = (info.CRC for info in archive.infolist() if info.filename.endswith('.pkl'))
    content = path.read_bytes()
    assert checksum.to_bytes(4, 'little') in content
    path.write_bytes(content.replace(checksum.to_bytes(4, 'little'), b'sola'))


CLAIMS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    'npy rows': ('.npy', lambda path: path.write_bytes(npy((HUGE, 64))), 'mmap length is greater'),
    'npy below 0': ('.npy', lambda path: path.write_bytes(npy((-4, 4))), ''),
    'npz rows': (
        '.npz',
        lambda path: npz(path, npy((HUGE, 64))),
        'header promises shape .* follow',
    ),
    'npz below 0': ('.npz', lambda path: npz(path, npy((-4, 4))), 'header promises shape'),
    'npz of zeros': (
        '.npz',
        lambda path: npz(path, npy((1 << 14, 64), bytes(1 << 22))),
        r"array 'v_x.npy': expected at most 1,048,576 bytes of the [\d,]+ that are stored, got a "
        r'claim of 4,194,\d+: if the file can be trusted, set .*SOLA_MAX_UNPACKED_BYTES',
    ),
    'h5 of nothing': ('.h5', unallocated, r"array '/v_x', shape \(10000000000, 64\): expected at"),
    'pt view': (
        '.pt',
        lambda path: torch.save(torch.zeros(1).expand(10**10, 64), path),
        r'tensor of shape \(10000000000, 64\): expected at most',
    ),
    'pt in a dict': (
        '.pt',
        lambda path: torch.save({'x': torch.zeros(64).expand(10**10, 64)}, path),
        r'tensor of shape \(10000000000, 64\): expected at most',
    ),
    'pt of zeros': (
        '.pt',
        lambda path: packed_torch(path, torch.zeros(1 << 20)),
        r"'\w+/data/0' in it: expected at most",
    ),
    'pickled bytes': (
        '.pkl',
        lambda path: path.write_bytes(pickle.dumps(Call(bytearray, 10**13))),
        'refused to unpickle bytearray of int',
    ),
    'torch bytes': ('.pt', lambda path: torch.save(BYTES, path), ASKS),
    'torch bytes, old': (
        '.pt',
        lambda path: torch.save({'x': BYTES}, path, _use_new_zipfile_serialization=False),
        ASKS,
    ),
    'torch bytes, disguised': ('.pt', disguised, ASKS),
    'torch bytes, wrong checksum': ('.pt', wrong_checksum, ASKS),
    'torch bytes, compressed': ('.pt', lambda path: packed_torch(path, BYTES), ASKS),
    'pt of nothing': (
        '.pt',
        lambda path: torch.save(Call(torch.FloatTensor, 1 << 20, 64), path),
        r'tensor of shape \(1048576, 64\): expected at most',
    ),
}


@pytest.mark.parametrize('name', CLAIMS)
def test_features_that_claim_too_much(tmp_path, monkeypatch, name):
    suffix, make, message = CLAIMS[name]
    monkeypatch.setenv(VARIABLE, str(1 << 20))
    write(tmp_path / f'v_y{suffix}', np.ones((5, 4), np.float32))
    make(tmp_path / f'v_x{suffix}')
    store = FeatureFolder(tmp_path, layout='TC', feat_dim=None)
    for call in (store.load, store.length):
        with pytest.raises(
            FeatureError, match=rf"features of 'v_x' \(.*v_x\{suffix}\): .*{message}"
        ):
            call('v_x')
    assert store.load('v_y').shape == (4, 5)


@pytest.mark.parametrize('name', [name for name in CLAIMS if CLAIMS[name][0] in ('.npz', '.h5')])
def test_archives_that_claim_too_much(tmp_path, monkeypatch, name):
    suffix, make, message = CLAIMS[name]
    monkeypatch.setenv(VARIABLE, str(1 << 20))
    make(tmp_path / f'all{suffix}')
    with pytest.raises(FeatureError, match=rf'feature file .*all\{suffix}: .*{message}'):
        FeatureArchive(tmp_path / f'all{suffix}')


@pytest.mark.parametrize('new', [True, False], ids=['zip', 'old'])
def test_checkpoints_that_claim_too_much(tmp_path, monkeypatch, new):
    path = tmp_path / 'sola.pth'
    state = dict(state_dict={'alpha': torch.zeros(1)}, meta=BYTES)
    torch.save(state, path, _use_new_zipfile_serialization=new)
    with pytest.raises(ValueError, match=f'cannot read the SoLa checkpoint {path}: .*{ASKS}'):
        read_sola(path)
    monkeypatch.setenv(VARIABLE, str(1 << 20))
    packed_torch(path, torch.zeros(1 << 20))
    with pytest.raises(ValueError, match=r"'\w+/data/0' in it: expected at most"):
        read_sola(path)


def test_a_pickle_that_claims_nothing_is_not_unpacked(tmp_path):
    size = 32 << 20
    with zipfile.ZipFile(tmp_path / 'x.pth', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('x/data.pkl', bytes(size))
    content = (tmp_path / 'x.pth').read_bytes()
    assert content.count(size.to_bytes(4, 'little')) == 2
    (tmp_path / 'x.pth').write_bytes(content.replace(size.to_bytes(4, 'little'), bytes(4)))
    tracemalloc.start()
    check_torch_file(tmp_path / 'x.pth')
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < size / 4


def test_limit_can_be_raised(tmp_path, monkeypatch):
    npz(tmp_path / 'v_x.npz', npy((1 << 14, 64), bytes(1 << 22)))
    monkeypatch.setenv(VARIABLE, str(5 << 20))
    assert FeatureFolder(tmp_path, layout='TC').load('v_x').shape == (64, 1 << 14)


def test_files_may_hold_more_than_the_limit_if_they_are_as_large(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, '1000')
    values = np.random.default_rng(0).random((400, 64)).astype(np.float32)
    for suffix in ('.npy', '.npz', '.csv', '.pt', '.pkl', '.h5'):
        write(tmp_path / f'v{suffix}', values)
        store = FeatureFolder(tmp_path, suffix=suffix, layout='TC')
        np.testing.assert_allclose(store.load('v'), values.T, rtol=1e-6)
        assert store.length('v') == 400


@pytest.mark.parametrize(
    'content',
    [
        Call(bytearray, 10**13),
        Call(bytes, 10**13),
        Call(bytes, np.int64(10**13)),
        Call(np.float64(0).__reduce__()[0], np.dtype('V2000000000')),
    ],
    ids=['bytearray', 'bytes', 'NumPy number', 'scalar'],
)
@pytest.mark.parametrize('protocol', [2, 5])
def test_pickles_that_ask_for_zeros(content, protocol):
    with pytest.raises((UnsafePickleError, TypeError), match='refused|missing'):
        load_arrays(io.BytesIO(pickle.dumps(content, protocol)))


def test_pickles_that_claim_a_size():
    for opcode in (pickle.BINBYTES8, pickle.BYTEARRAY8, pickle.BINUNICODE8):
        data = pickle.PROTO + b'\5' + opcode + (10**15).to_bytes(8, 'little') + b'x.'
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            load_arrays(io.BytesIO(data))


def test_npy_with_a_false_header(tmp_path):
    (tmp_path / 'a.npy').write_bytes(npy((HUGE, 64)))
    with pytest.raises(ValueError, match='header promises shape .* 64 follow'):
        load_object_npy(tmp_path / 'a.npy')


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'lengths': [HUGE]}, r'expected 16000000000000 bytes as in .* got 16'),
        ({'lengths': [10**400]}, 'expected numbers that a float can hold'),
        ({'channels': HUGE}, 'expected .* bytes as in'),
        ({'dtype': ['float32']}, 'expected a dtype of float32'),
    ],
    ids=['rows', '400 digits', 'channels', 'list'],
)
def test_packed_index_that_claims_too_much(tmp_path, changes, message):
    index = dict(dtype='float32', channels=4, ids=['v'], lengths=[1], crc32=[0], stamps=[[]])
    (tmp_path / INDEX_NAME).write_text(json.dumps({**index, 'version': 1, **changes}))
    (tmp_path / DATA_NAME).write_bytes(bytes(16))
    with pytest.raises(FeatureError, match=f'{tmp_path}.*: {message}'):
        PackedFeatures(tmp_path)


def test_running_out_of_memory_names_the_file(tmp_path, monkeypatch):
    np.save(tmp_path / 'v.npy', np.ones((5, 4)))
    store = FeatureFolder(tmp_path, feat_dim=4)

    def full(*_):
        raise MemoryError

    monkeypatch.setattr('sola_plugin.datasets.features.array_store.channels_first', full)
    with pytest.raises(FeatureError, match=r'v\.npy\): expected features that fit in memory'):
        store.load('v')


def test_classifier_that_claims_too_much(tmp_path):
    npz(tmp_path / 'classifier.npz', npy((HUGE, 64)))
    with pytest.raises(ValueError, match=r'classifier .*classifier\.npz: .*header promises shape'):
        LinearModel.load(tmp_path / 'classifier.npz')
