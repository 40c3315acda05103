"""The restricted unpickler: arrays come through, nothing else does."""

from __future__ import annotations

import codecs
import collections
import io
import os
import pickle
import subprocess

import numpy as np
import pytest

from sola_plugin.datasets.features.safe_pickle import (
    UnsafePickleError,
    load_arrays,
    load_object_npy,
)
from sola_plugin.size_limits import read_npy_header

CONTENT = {
    'float': np.arange(6, dtype=np.float32).reshape(2, 3),
    'fortran': np.asfortranarray(np.arange(6).reshape(2, 3)),
    'big endian': np.arange(3, dtype='>f8'),
    'empty': np.zeros((0, 3)),
    'text': np.array(['a', 'bc']),
    'ragged': np.array([np.arange(2), 'x', None], dtype=object),
    'scalar': np.float64(1.5),
    'dtype': np.dtype('float16'),
    'containers': [1, (2.5, 'x'), {3}, frozenset({4}), b'\xff\x00', None, True, 1 + 2j],
    'ordered': collections.OrderedDict(a=1),
}


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_round_trip(protocol):
    read = load_arrays(io.BytesIO(pickle.dumps(CONTENT, protocol)))
    assert list(read) == list(CONTENT)
    for name, value in CONTENT.items():
        assert type(read[name]) is type(value)
        if name == 'ragged':
            np.testing.assert_array_equal(read[name][0], value[0])
            assert list(read[name][1:]) == ['x', None]
        elif isinstance(value, np.ndarray):
            # NumPy itself turns some byte orders on reading.
            assert read[name].dtype.newbyteorder('=') == value.dtype.newbyteorder('=')
            np.testing.assert_array_equal(read[name], value)
        else:
            assert read[name] == value


@pytest.mark.parametrize('module', [b'numpy.core.multiarray', b'numpy._core.multiarray'])
def test_old_and_new_numpy_module_names(tmp_path, module):
    data = pickle.dumps(np.arange(3.0), protocol=2)
    written = next(
        name for name in (b'numpy._core.multiarray', b'numpy.core.multiarray') if name in data
    )
    path = tmp_path / 'a.pkl'
    path.write_bytes(data.replace(written, module))
    np.testing.assert_array_equal(load_arrays(path), [0, 1, 2])


def test_python2_pickle():
    # Written by hand as Python 2 pickles the uint8 array [200, 255]: its bytes are a str, opcode U.
    data = (
        b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR'
        b'(K\x01(K\x02tcnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xff'
        b'J\xff\xff\xff\xffK\x00tbI00\nU\x02\xc8\xfftb.'
    )
    np.testing.assert_array_equal(load_arrays(io.BytesIO(data)), np.array([200, 255], np.uint8))
    with pytest.raises(UnicodeDecodeError):
        load_arrays(io.BytesIO(data), encoding='ASCII')


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'function, name',
    [
        (eval, 'builtins.eval'),
        (getattr, 'builtins.getattr'),
        (np.load, 'numpy.load'),
        (subprocess.Popen, 'subprocess.Popen'),
    ],
)
def test_other_globals_are_refused_and_named(function, name):
    data = pickle.dumps({'features': np.zeros(2), 'x': Call(function, 'x', 'y')}, 4)
    with pytest.raises(
        UnsafePickleError,
        match=(
            f'refused to unpickle {name}: only NumPy arrays and builtin containers are admitted'
        ),
    ):
        load_arrays(io.BytesIO(data))


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_called_in_any_protocol(tmp_path, protocol):
    data = pickle.dumps(Call(os.mkdir, str(tmp_path / 'made')), protocol)
    with pytest.raises(UnsafePickleError, match='refused to unpickle (posix|nt).mkdir'):
        load_arrays(io.BytesIO(data))
    assert not (tmp_path / 'made').exists()


class Own:
    """A class that this process has imported."""


def test_classes_of_this_process_are_refused():
    with pytest.raises(UnsafePickleError, match='refused to unpickle .*Own'):
        load_arrays(io.BytesIO(pickle.dumps(Own())))


def test_the_array_type_cannot_be_called():
    # numpy.ndarray((1,), 'O', bytearray) would take the bytes for an object's address.
    data = pickle.dumps(Call(np.ndarray, (1,), 'O', bytearray(b'\x08' * 8)))
    with pytest.raises(TypeError, match='not callable'):
        load_arrays(io.BytesIO(data))


def test_other_codecs_are_refused():
    data = pickle.dumps(Call(codecs.encode, 'x', 'rot13'))
    assert load_arrays(io.BytesIO(pickle.dumps(Call(codecs.encode, 'x', 'latin1')))) == b'x'
    with pytest.raises(UnsafePickleError, match="codec 'rot13'"):
        load_arrays(io.BytesIO(data))


def test_object_npy(tmp_path):
    path = tmp_path / 'a.npy'
    np.save(path, {'X': np.arange(3)}, allow_pickle=True)
    np.testing.assert_array_equal(load_object_npy(path)['X'], [0, 1, 2])
    np.save(path, np.array([np.arange(2), np.arange(3)], dtype=object), allow_pickle=True)
    assert [len(part) for part in load_object_npy(path)] == [2, 3]
    np.save(path, np.arange(4.0))
    np.testing.assert_array_equal(load_object_npy(path), np.arange(4.0))
    np.save(path, {'X': Call(eval, '1')}, allow_pickle=True)
    with pytest.raises(UnsafePickleError, match='eval'):
        load_object_npy(path)


def test_object_npy_that_is_damaged(tmp_path):
    path = tmp_path / 'a.npy'
    path.write_bytes(b'no npy file')
    with pytest.raises(ValueError, match='magic'):
        load_object_npy(path)
    np.save(path, {'X': 1}, allow_pickle=True)
    with path.open('rb') as file:
        read_npy_header(file)
        header = path.read_bytes()[: file.tell()]
    path.write_bytes(header + pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match=r'a.npy: the header promises .* the file holds list'):
        load_object_npy(path)


@pytest.mark.parametrize('version', [(1, 0), (2, 0)])
def test_npy_header(version):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.zeros((3, 2), np.int16, order='F'), version)
    file.seek(0)
    assert read_npy_header(file) == ((3, 2), True, np.dtype('int16'))
    assert len(file.read()) == 3 * 2 * 2
