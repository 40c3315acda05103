"""What a file claims to hold, its size and its headers: checked before memory is taken."""

from __future__ import annotations

import io
import math
import os
import pickletools
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: Bytes that a file may claim, however small it is. The environment variable
#: :data:`VARIABLE` takes its place.
MAX_UNPACKED_BYTES = 256 << 20

VARIABLE = 'SOLA_MAX_UNPACKED_BYTES'

#: A file may always claim this many times its own size: features and JSON are seldom compressed
#: further.
_COMPRESSION = 20

#: Pickles at the start of a file that an old version of torch has saved.
_PICKLES = 5


class SizeError(ValueError):
    """A file claims to hold far more than its size lets one expect."""


class HeaderError(ValueError):
    """A header promises more than follows."""


def allowed_bytes(stored: int) -> int:
    """Bytes that may be unpacked from so many stored ones.

    >>> allowed_bytes(1000) == 256 * 2**20
    True
    >>> allowed_bytes(2**30) == 20 * 2**30
    True

    Raises:
        ValueError: The environment variable is not a whole number above 0.
    """
    given = os.environ.get(VARIABLE)
    limit = MAX_UNPACKED_BYTES
    if given is not None:
        if not (given.isdecimal() and len(given) < 20 and int(given) > 0):
            raise ValueError(f'{VARIABLE}: expected a number of bytes above 0, got {given[:40]!r}')
        limit = int(given)
    return max(limit, _COMPRESSION * stored)


def check_size(what: str, claimed: int, stored: int) -> None:
    """Refuse what claims far more bytes than are stored.

    Args:
        what: What is read, as messages call it.
        claimed: Bytes that it takes in memory, by its header.
        stored: Bytes in the file.

    Raises:
        SizeError: ``claimed`` is above :func:`allowed_bytes`.
    """
    allowed = allowed_bytes(stored)
    if claimed > allowed:
        raise SizeError(
            f'{what}: expected at most {allowed:,} bytes of the {stored:,} that are stored, got '
            f'a claim of {claimed:,}: if the file can be trusted, set the environment variable '
            f'{VARIABLE} to at least that'
        )


def check_torch_file(path: str | os.PathLike) -> None:
    """Refuse a file of ``torch.save`` that would take far more memory than it is large.

    ``torch.load`` calls ``bytearray(n)`` for any file that asks for it, also with
    ``weights_only=True``; no tensor needs it.

    Args:
        path: The file. What is no such file, or damaged, is left to ``torch.load``.

    Raises:
        SizeError: It unpacks to more than :func:`allowed_bytes`, or asks for a ``bytearray``.
    """
    with open(path, 'rb') as file:
        # As torch.load decides it: a file may end as an archive does without beginning as one.
        is_archive = file.read(4) == b'PK\3\4'
        file.seek(0)
        asks = not is_archive and _asks_for_bytearray(file)
    if is_archive and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for info in members:
                check_size(f'{info.filename!r} in it', info.file_size, info.compress_size)
        with open(path, 'rb') as file:
            pickles = (
                _stored_bytes(file, info)
                for info in members
                if info.filename.lower().endswith('.pkl')
            )
            asks = any(
                b'bytearray' in pickled and _asks_for_bytearray(io.BytesIO(pickled))
                for pickled in pickles
            )
    if asks:
        raise SizeError('expected tensors, got a file that asks for a bytearray of any size')


def _stored_bytes(file: IO[bytes], info: zipfile.ZipInfo) -> bytes:
    """Content of a member of an archive; its checksum is ignored, as by ``torch.load``.

    Nothing of a damaged one, which ``torch.load`` refuses.
    """
    try:
        file.seek(info.header_offset)
        length_of_name, length_of_extra = struct.unpack('<26xHH', file.read(30))
        file.seek(length_of_name + length_of_extra, os.SEEK_CUR)
        content = file.read(info.compress_size)
        if info.compress_type == zipfile.ZIP_STORED:
            return content
        # At least one: zlib takes 0 for no limit.
        limit = max(info.file_size, 1)
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, limit)
    except (struct.error, zlib.error):
        return b''


def _asks_for_bytearray(file: IO[bytes]) -> bool:
    """Whether one of the pickles at the start of a file names ``bytearray``."""
    try:
        for _ in range(_PICKLES):
            for _opcode, argument, _position in pickletools.genops(file):
                if isinstance(argument, str) and argument.rpartition(' ')[2] == 'bytearray':
                    return True
    except (ValueError, zipfile.BadZipFile):
        pass  # the tensors' own bytes, or a damaged file
    return False


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of a ``.npy`` file and stop where its data start.

    Args:
        file: Binary file at the start of the ``.npy`` data.

    Returns:
        Shape, whether the data lie in Fortran order, and dtype.

    Raises:
        ValueError: This is not ``.npy`` data, or the header is damaged.
    """
    from numpy.lib import format as npy_format  # who reads no arrays does not wait for NumPy

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
        SizeError: It unpacks to more than :func:`allowed_bytes`.
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
