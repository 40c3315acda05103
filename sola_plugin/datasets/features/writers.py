"""Writing features a part at a time, in every format that can be read."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from sola_plugin.io import atomic_write

from .readers import NAMED_SUFFIXES, SUFFIXES, import_h5py

#: What one array in a file is called where formats want a name and nobody gave one.
_NAME = 'features'

#: Formats of files that hold one array after the other: no more than a part is in memory.
_HDF5 = ('.h5', '.hdf5')


class Array(NamedTuple):
    """Features of one video, to be written.

    Attributes:
        shape: ``(T, C)``.
        dtype: In the file.
        layout: ``'TC'`` or ``'CT'``: the shape in the file. Formats of which a row is a snippet are
            always ``'TC'``.
        parts: Rows ``(n, C)`` one after the other, T in all.
    """

    shape: tuple[int, int]
    dtype: np.dtype
    layout: str
    parts: Iterable[np.ndarray]

    def rows(self) -> Iterator[np.ndarray]:
        """The parts in the dtype of the file, C-contiguous."""
        for part in self.parts:
            yield np.ascontiguousarray(part, self.dtype)

    def whole(self) -> np.ndarray:
        """All of it, in the shape of the file."""
        rows = np.concatenate(list(self.rows()))
        return rows if self.layout == 'TC' else np.ascontiguousarray(rows.T)


def write_array(path: Path, array: Array, name: str | None = None) -> None:
    """Write the features of one video to a file, which appears when it is complete.

    ``.npy``, ``.npz``, ``.csv`` and ``.h5`` are written a part at a time, the others at once. A
    ``.npy`` or ``.npz`` of layout ``'CT'`` is in Fortran order, so that the snippets lie one after
    the other: NumPy reads it as any other.

    Args:
        path: Its suffix tells the format, one of ``.npy .npz .csv .txt .pt .pth .pkl .pickle .h5
            .hdf5``.
        array: The features.
        name: Of the array in ``.npz`` and ``.h5``; in ``.pt`` and ``.pkl`` a name makes a dict.

    Raises:
        ImportError: h5py is needed and not installed.
        OSError: The file cannot be written.
        ValueError: The suffix is none of these.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES + NAMED_SUFFIXES:
        raise ValueError(
            f'{path}: expected a name that ends in one of {", ".join(SUFFIXES + NAMED_SUFFIXES)}'
        )
    with atomic_write(path, _mode(suffix)) as file:
        if suffix == '.npy':
            _write_npy(file, array)
        elif suffix in ('.csv', '.txt'):
            _write_csv(file, array, header=suffix == '.csv')
        elif suffix == '.npz' or suffix in _HDF5:
            _write_arrays(file, suffix, [(name or _NAME, array)])
        else:
            content = array.whole()
            _dump(file, suffix, content if name is None else {name: content})


def write_archive(path: Path, arrays: Iterable[tuple[str, Array]]) -> None:
    """Write one file with the features of many videos, which appears when it is complete.

    A ``.pt`` or ``.pkl`` is a dict of arrays, which is made in memory; of ``.npz`` and ``.h5`` no
    more than a part of one video is.

    Args:
        path: Its suffix tells the format, one of ``.npz .h5 .hdf5 .pt .pth .pkl .pickle``.
        arrays: Names and features.

    Raises:
        ImportError: h5py is needed and not installed.
        OSError: The file cannot be written.
    """
    suffix = path.suffix.lower()
    with atomic_write(path, _mode(suffix)) as file:
        if suffix == '.npz' or suffix in _HDF5:
            _write_arrays(file, suffix, arrays)
        else:
            _dump(file, suffix, {name: array.whole() for name, array in arrays})


def _mode(suffix: str) -> str:
    """HDF5 reads what it has written."""
    return 'w+b' if suffix in _HDF5 else 'wb'


def _write_npy(file: IO[bytes], array: Array) -> None:
    by_rows = array.layout == 'TC'
    header = dict(
        descr=np.lib.format.dtype_to_descr(array.dtype),
        fortran_order=not by_rows,
        shape=array.shape if by_rows else array.shape[::-1],
    )
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]
    for rows in array.rows():
        file.write(rows.data)


def _write_csv(file: IO[bytes], array: Array, header: bool) -> None:
    """As mmaction2 reads it: its loader takes the first line of a ``.csv`` for a header."""
    if header:
        names = ','.join(f'f{channel}' for channel in range(array.shape[1]))
        file.write(f'{names}\n'.encode())
    for rows in array.rows():
        np.savetxt(file, rows, '%.9g', ',')


def _write_arrays(file: IO[bytes], suffix: str, arrays: Iterable[tuple[str, Array]]) -> None:
    if suffix == '.npz':
        with zipfile.ZipFile(file, 'w') as archive:
            for name, array in arrays:
                with archive.open(f'{name}.npy', 'w', force_zip64=True) as member:
                    _write_npy(member, array)
        return
    with import_h5py().File(file, 'w') as content:
        for name, array in arrays:
            by_rows = array.layout == 'TC'
            shape = array.shape if by_rows else array.shape[::-1]
            stored, start = content.create_dataset(name, shape, array.dtype), 0
            for rows in array.rows():
                stop = start + len(rows)
                if by_rows:
                    stored[start:stop] = rows
                else:
                    stored[:, start:stop] = rows.T
                start = stop


def _dump(file: IO[bytes], suffix: str, content: Any) -> None:
    if suffix not in ('.pt', '.pth'):
        pickle.dump(content, file, protocol=4)
        return
    import torch

    if isinstance(content, dict):
        torch.save({name: torch.from_numpy(array) for name, array in content.items()}, file)
    else:
        torch.save(torch.from_numpy(content), file)
