"""Reading one array from one file: ``.npy .npz .csv .pt .pkl .h5`` and their other names."""

from __future__ import annotations

import contextlib
import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sola_plugin import size_limits
from sola_plugin.size_limits import SizeError, allowed_bytes, check_size, check_torch_file

from .csv_reader import read_csv
from .safe_pickle import UnsafePickleError, load_arrays, load_object_npy

#: Formats that can be read, by the end of the file name.
SUFFIXES = ('.npy', '.npz', '.csv', '.pt', '.pkl', '.pickle', '.h5', '.hdf5')

#: Formats that are read where ``suffix`` says so: often such files are no features.
NAMED_SUFFIXES = ('.txt', '.pth')

#: Formats of which a row is a snippet.
ROWS = ('.csv', '.txt')


class FeatureError(ValueError):
    """Features cannot be used; the message says whose they are, what is wrong, and what to do."""


class ChannelError(FeatureError):
    """A video has another number of channels than is expected."""


class LayoutError(FeatureError):
    """It is not clear which axis is time."""


@contextlib.contextmanager
def reading(where: str, suffix: str) -> Iterator[None]:
    """Turn a failure to read a file into one kind of error, which says whose features these are.

    Args:
        where: What is read, as messages call it.
        suffix: Format of the file, such as ``'.npy'``.

    Raises:
        FeatureError: Anything was raised inside, but for ``ImportError``.
    """
    try:
        yield
    except FeatureError as error:
        raise type(error)(f'{where}: {error}') from error
    except SizeError as error:
        raise FeatureError(f'{where}: {error}') from error
    except MemoryError as error:
        raise FeatureError(
            f'{where}: expected features that fit in memory, got a {suffix} file that asks for '
            'more than there is: check its shape, or write it again'
        ) from error
    except ImportError:
        raise
    except Exception as error:
        # A damaged file makes the libraries that read these formats raise nearly anything.
        raise FeatureError(
            f'{where}: expected a readable {suffix} file, got {type(error).__name__} '
            f'({error}): it may be '
            'truncated or of another format; write it again'
        ) from error


@contextlib.contextmanager
def open_array(path: Path, key: str | None = None) -> Iterator[Any]:
    """Open the array of a file. Of ``.npy`` and ``.h5`` only what is sliced is read.

    Args:
        path: File whose name ends in one of :data:`SUFFIXES`.
        key: Name of the array in ``.npz``, ``.h5``, or a dict in ``.pt`` or ``.pkl``; needed where
            there are several. Formats without names do not use it.

    Yields:
        An object with ``shape``, ``dtype`` and slicing as NumPy's.

    Raises:
        FeatureError: The file is empty, or it is not clear which array is meant.
        ImportError: h5py or torch is needed and not installed.
        Exception: The library that reads the format raises its own errors for a damaged file.
    """
    _refuse_empty(path)
    suffix = path.suffix.lower()
    if suffix == '.npy' and not holds_objects(path):
        yield np.lib.format.open_memmap(path, mode='r')
    elif suffix == '.npz':
        with np.load(path, allow_pickle=False) as archive:
            name = _choose(archive.files, key)
            member = name if name in archive.zip.namelist() else f'{name}.npy'
            member_shape(archive.zip, archive.zip.getinfo(member))
            yield archive[name]
    elif suffix in ('.h5', '.hdf5'):
        h5py = import_h5py()
        with h5py.File(path, 'r') as file:
            # A name that is there saves listing the others, of which there may be thousands.
            known = key is not None and isinstance(file.get(key), h5py.Dataset)
            array = file[key if known else _choose(list(_h5_shapes(file)), key)]
            _refuse_unstored(array)
            yield array
    elif suffix in ROWS:
        yield read_csv(path)
    else:
        yield as_array(_single_array(load_objects(path), key), path)


def holds_objects(path: Path) -> bool:
    """Whether an ``.npy`` is a pickle of a dict or a list, which cannot be mapped into memory."""
    with path.open('rb') as file:
        try:
            return size_limits.read_npy_header(file)[2].hasobject
        except ValueError:
            return False  # damaged, which the caller says


def array_shape(path: Path, key: str | None = None) -> tuple[int, ...]:
    """Shape of the array of a file; of ``.npy``, ``.npz`` and ``.h5`` only the header is read.

    Args, Raises: as :func:`open_array`.
    """
    if path.suffix.lower() != '.npz':
        with open_array(path, key) as array:
            return tuple(array.shape)
    shapes = array_shapes(path)
    return shapes[_choose(list(shapes), key)]


def array_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all arrays in a ``.npz`` or ``.h5`` file, from their headers.

    Args:
        path: The file.

    Returns:
        Shapes by name, in the order of the file; a name in groups of ``.h5`` is ``'group/name'``.

    Raises:
        FeatureError: The file is empty, or has two arrays of one name.
        ImportError: h5py is needed and not installed.
        Exception: The library that reads the format raises its own errors for a damaged file.
    """
    _refuse_empty(path)
    if path.suffix.lower() != '.npz':
        with import_h5py().File(path, 'r') as file:
            return _h5_shapes(file)
    shapes: dict[str, tuple[int, ...]] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            # np.load names a member without its suffix.
            name = info.filename.removesuffix('.npy')
            if name in shapes:
                raise FeatureError(f'expected one array {name!r}, got two: write the file again')
            if name != info.filename:
                shapes[name] = member_shape(archive, info)
    return shapes


def member_shape(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[int, ...]:
    """See :func:`sola_plugin.size_limits.member_shape`.

    Raises:
        FeatureError: The header promises more than follows.
    """
    try:
        return size_limits.member_shape(archive, info)
    except size_limits.HeaderError as error:
        raise FeatureError(str(error)) from error


def _refuse_unstored(array: Any) -> None:
    """Refuse a dataset of ``.h5`` of which the file holds next to nothing."""
    if array.nbytes > allowed_bytes(0):  # to count what is stored takes longer
        stored = array.id.get_storage_size()
        check_size(f'array {array.name!r}, shape {array.shape}', array.nbytes, stored)


def _h5_shapes(file: Any) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, item: Any) -> None:
        if hasattr(item, 'shape'):  # a dataset, not a group
            _refuse_unstored(item)
            # An empty dataset has the shape None.
            shapes[name] = tuple(item.shape or ())

    file.visititems(note)
    return shapes


def _refuse_empty(path: Path) -> None:
    if os.stat(path).st_size == 0:
        raise FeatureError('the file is empty: write it again')


def _choose(names: Sequence[str], key: str | None) -> str:
    """The array that ``key`` names, or the only one there is."""
    listed = ', '.join(map(repr, sorted(names)[:10]))
    if key is None:
        if len(names) != 1:
            raise FeatureError(
                f'expected one array, got {len(names)} ({listed}): choose one with key=...'
            )
        return names[0]
    if key not in names:
        raise FeatureError(f'expected an array {key!r} (key=...), got {listed or "none"}')
    return key


def load_objects(path: Path) -> Any:
    """Read what a ``.pt``, ``.pkl`` or ``.npy`` of objects holds, and run nothing that it says.

    Args:
        path: The file; names that end otherwise are read as a pickle.

    Returns:
        Arrays, tensors, and containers of them.

    Raises:
        FeatureError: It holds something else.
        Exception: As :func:`open_array`.
    """
    _refuse_empty(path)
    suffix = path.suffix.lower()
    if suffix in ('.pt', '.pth'):
        return _load_torch(path)
    try:
        return load_object_npy(path) if suffix == '.npy' else load_arrays(path)
    except UnsafePickleError as error:
        raise FeatureError(str(error)) from error


def _load_torch(path: Path) -> Any:
    import torch

    check_torch_file(path)
    try:
        # What a file of today holds is mapped, so that one of all videos is not read at once.
        mapped = zipfile.is_zipfile(path)
        return torch.load(path, map_location='cpu', weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        # torch's own message is long and advises to switch the safety off.
        raise FeatureError(
            'expected a tensor or a dict of tensors, got what torch.load refuses '
            'with weights_only=True: save the features as one torch.Tensor'
        ) from error


def is_array(value: Any) -> bool:
    """Whether this is an array or a tensor; torch is not imported for it."""
    return isinstance(value, np.ndarray) or (
        hasattr(value, 'untyped_storage') and hasattr(value, 'detach')
    )


def as_array(value: Any, path: Path) -> np.ndarray:
    """An array of what :func:`is_array`.

    Raises:
        FeatureError: It holds objects.
        SizeError: It is far larger than its file.
    """
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise FeatureError(
                f'expected numbers, got an array of objects, shape {value.shape}: save the '
                'features of each video as one array, or of all with np.savez'
            )
        return value
    import torch

    tensor = value.detach()
    if tensor.layout == torch.strided:
        # Strides of 0 make a tensor of any shape of one number, and old constructors one of none.
        check_size(
            f'tensor of shape {tuple(tensor.shape)}',
            tensor.numel() * tensor.element_size(),
            min(tensor.untyped_storage().nbytes(), path.stat().st_size),
        )
    # NumPy has no bfloat16.
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _single_array(content: Any, key: str | None) -> Any:
    """The array in what a file of objects holds: an array, or a dict with arrays."""
    if is_array(content):
        return content
    if not isinstance(content, Mapping):
        raise FeatureError(
            f'expected an array or a dict of arrays, got {type(content).__name__}: write the '
            'features as one array'
        )
    return content[_choose([name for name in content if is_array(content[name])], key)]


def import_h5py() -> Any:
    """The package h5py.

    Raises:
        ImportError: It is not installed; the message says how to.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "features in .h5 files need h5py, which is not installed: pip install 'sola_plugin[h5]'"
        ) from error
    return h5py
