"""Headers of ``.npy`` arrays, in ``.npz`` too: read and checked before memory is taken."""

from __future__ import annotations

import math
import zipfile
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from .size_limits import check_size


class HeaderError(ValueError):
    """A header promises more than follows."""


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of a ``.npy`` file and stop where its data start.

    Args:
        file: Binary file at the start of the ``.npy`` data.

    Returns:
        Shape, whether the data lie in Fortran order, and dtype.

    Raises:
        ValueError: This is not ``.npy`` data, or the header is damaged.
    """
    if npy_format.read_magic(file) == (1, 0):
        return npy_format.read_array_header_1_0(file)
    return npy_format.read_array_header_2_0(file)


def refuse_missing(shape: tuple[int, ...], dtype: np.dtype, stored: int) -> None:
    """Refuse a header that promises more than follows, before memory is taken for it.

    Args:
        shape: Of the array, by the header.
        dtype: Likewise.
        stored: Bytes after the header.

    Raises:
        HeaderError: There are fewer bytes than these values take, or a size is below 0.
    """
    needed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or needed > stored and not dtype.hasobject:
        raise HeaderError(
            f'the header promises shape {shape}, {dtype}: {needed:,} bytes, but {stored:,} follow'
        )


def member_shape(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[int, ...]:
    """Shape of an array in a ``.npz``, after a check that its values are there and not too many.

    Raises:
        HeaderError: The header promises more than follows.
        SizeError: It unpacks to more than :func:`~sola_plugin.size_limits.allowed_bytes`.
        ValueError: It is not ``.npy`` data.
    """
    check_size(f'array {info.filename!r}', info.file_size, info.compress_size)
    with archive.open(info) as member:
        shape, _, dtype = read_npy_header(member)
        try:
            refuse_missing(shape, dtype, info.file_size - member.tell())
        except HeaderError as error:
            raise HeaderError(f'array {info.filename!r}: {error}: write the file again') from error
    return shape
