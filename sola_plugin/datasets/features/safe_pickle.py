"""Unpickling of arrays from files of unknown origin.

A pickle may name any function of the installed Python and have it called. The reader here looks
names up in a short table of what NumPy arrays and builtin containers need, and refuses all others.
So a file cannot run code by naming it. NumPy's own decoding of array data is trusted; a file made
to exploit a fault in that is beyond this reader.
"""

from __future__ import annotations

import collections
import functools
import os
import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from sola_plugin.size_limits import read_npy_header, refuse_missing


class UnsafePickleError(pickle.UnpicklingError):
    """A pickle names something other than NumPy arrays and builtin containers."""


def _encode_latin1(text: str, encoding: str) -> bytes:
    """``_codecs.encode`` as protocol 2 uses it for ``bytes``, and no other codec."""
    if encoding != 'latin1':
        raise UnsafePickleError(f'refused to unpickle text in the codec {encoding!r}')
    return text.encode('latin1')


def _of_content(kind: type, *arguments: Any) -> Any:
    """``bytes`` or ``bytearray`` of what is in the file, not of as many zeros as it says."""
    if len(arguments) == 1 and not isinstance(arguments[0], (bytes, bytearray, list, tuple)):
        raise UnsafePickleError(
            f'refused to unpickle {kind.__name__} of {type(arguments[0]).__name__}'
        )
    return kind(*arguments)


def _scalar(rebuild: Any, dtype: np.dtype, content: Any) -> Any:
    """``scalar`` of content that is in the file: without it, NumPy makes zeros of any size."""
    return rebuild(dtype, content)


def _empty_array(_subtype: object, _shape: object, _dtype: object) -> np.ndarray:
    """``_reconstruct``: the array whose state follows in the pickle."""
    return np.empty(0, dtype=np.int8)


@functools.cache
def _admitted() -> dict[tuple[str, str], Any]:
    """Map the ``(module, name)`` pairs that a pickle may use to what they stand for."""
    table: dict[tuple[str, str], Any] = {
        # Only an argument of _reconstruct: a call could take any bytes for object pointers.
        ('numpy', 'ndarray'): 'ndarray',
        ('numpy', 'dtype'): np.dtype,
        ('collections', 'OrderedDict'): collections.OrderedDict,
        ('_codecs', 'encode'): _encode_latin1,
    }
    for kind in (
        bool,
        complex,
        dict,
        float,
        frozenset,
        int,
        list,
        set,
        slice,
        str,
        tuple,
    ):
        table['builtins', kind.__name__] = table['__builtin__', kind.__name__] = kind
    for name, make in (('bytes', bytes), ('bytearray', bytearray)):
        of_content = functools.partial(_of_content, make)
        table['builtins', name] = table['__builtin__', name] = of_content
    # The module in the file depends on the NumPy version that wrote it: numpy.core until 1.26.
    array = np.zeros(1)
    rebuild: list[tuple[str, str, Any]] = [
        ('multiarray', '_reconstruct', _empty_array),
        ('multiarray', 'scalar', functools.partial(_scalar, array[0].__reduce__()[0])),
        ('numeric', '_frombuffer', array.__reduce_ex__(5)[0]),
    ]
    for module, name, function in rebuild:
        table[f'numpy.core.{module}', name] = table[f'numpy._core.{module}', name] = function
    return table


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _admitted()[module, name]
        except KeyError:
            raise UnsafePickleError(
                f'refused to unpickle {module}.{name}: only NumPy arrays and builtin containers '
                'are admitted; save the arrays as .npy or .npz'
            ) from None


def load_arrays(file: str | os.PathLike | IO[bytes], encoding: str = 'latin1') -> Any:
    """Unpickle NumPy arrays, dtypes and scalars in builtin containers.

    Args:
        file: Path, or a binary file at the position where the pickle starts.
        encoding: How the text of a Python 2 pickle is decoded. Its arrays need ``'latin1'``; a
            pickle that Python 3 wrote does not use it.

    Returns:
        What was pickled.

    Raises:
        UnsafePickleError: The pickle names anything else, or asks for memory beyond its content;
            the message says what.
        Exception: A damaged pickle raises nearly anything (``pickle.UnpicklingError``,
            ``EOFError``, ``KeyError``, ...).
    """
    if isinstance(file, (str, os.PathLike)):
        with Path(file).open('rb') as opened:
            return load_arrays(opened, encoding)
    try:
        return _ArrayUnpickler(file, encoding=encoding).load()
    except (MemoryError, OverflowError) as error:
        raise UnsafePickleError(
            'the pickle asks for more memory than there is: it may be damaged or made to do '
            'harm; save the arrays as .npy or .npz'
        ) from error


def load_object_npy(path: str | os.PathLike, encoding: str = 'latin1') -> Any:
    """Read a ``.npy`` file that may hold Python objects (``np.save`` of a dict or a ragged list).

    Args:
        path: The ``.npy`` file.
        encoding: See :func:`load_arrays`.

    Returns:
        The array; the object itself where the array has no axes, as ``np.save`` makes of a dict.

    Raises:
        UnsafePickleError: The objects are other than NumPy arrays and builtin containers.
        ValueError: This is not a ``.npy`` file, or its content is not what its header says.
    """
    with Path(path).open('rb') as file:
        shape, _, dtype = read_npy_header(file)
        if not dtype.hasobject:
            refuse_missing(shape, dtype, os.fstat(file.fileno()).st_size - file.tell())
            file.seek(0)
            return npy_format.read_array(file, allow_pickle=False)
        array = load_arrays(file, encoding)
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise ValueError(
            f'{path}: the header promises an array of shape {shape}, the file holds '
            f'{type(array).__name__}: write it again with np.save'
        )
    return array.item() if array.shape == () else array
