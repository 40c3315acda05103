"""The packed form of features: one memory-mapped array of all videos and an index.

A packed folder holds ``packed_features.bin``, the snippets of one video after the other as rows of
C numbers, little-endian and without a header, and ``packed_features.json``, the
:class:`PackedIndex`. :mod:`~sola_plugin.datasets.features.packing` writes it. A folder without an
index is no store.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sola_plugin.io import atomic_write, read_json

from .axes import channels_first
from .readers import FeatureError
from .store import FeatureStore, StoredForm

INDEX_NAME = 'packed_features.json'
DATA_NAME = 'packed_features.bin'

#: Of the format. An index of another version is refused.
VERSION = 1

#: Types on disk. The files are little-endian on every machine.
DTYPES: dict[str, np.dtype[Any]] = {'float32': np.dtype('<f4'), 'float16': np.dtype('<f2')}

_AGAIN = 'remove the folder and pack the features again'


@dataclasses.dataclass(frozen=True)
class PackedIndex:
    """What the file of a packed folder holds.

    Attributes:
        dtype: ``'float32'`` or ``'float16'``.
        channels: Numbers in a row.
        ids: Videos in the order of the file.
        lengths: Snippets of each; a video begins where the one before it ends.
        crc32: Checksum of each video's bytes.
        stamps: ``[size, time of change in ns]`` of the files that each video was packed from.
        version: Of the format.
    """

    dtype: str
    channels: int
    ids: list[str]
    lengths: list[int]
    crc32: list[int]
    stamps: list[list[list[int]]]
    version: int = VERSION

    @property
    def row_bytes(self) -> int:
        """Bytes of a snippet."""
        return self.channels * DTYPES[self.dtype].itemsize

    @property
    def num_snippets(self) -> int:
        """Snippets of all videos."""
        return sum(self.lengths)

    @property
    def num_bytes(self) -> int:
        """Size of the file."""
        return self.num_snippets * self.row_bytes

    def write(self, folder: Path) -> None:
        """Write the index, which makes the folder a store."""
        with atomic_write(folder / INDEX_NAME) as file:
            json.dump(dataclasses.asdict(self), file)

    @classmethod
    def read(cls, folder: Path) -> PackedIndex:
        """Read the index of a packed folder.

        Raises:
            FeatureError: There is none, it is damaged or of another version.
        """
        path = folder / INDEX_NAME
        if not path.is_file():
            raise FeatureError(
                f'{folder} is no packed folder, {INDEX_NAME} is missing: pack the features '
                'with tools/pack_features.py; the same command goes on after a kill'
            )
        try:
            content = read_json(path)
        except ValueError as error:
            raise FeatureError(f'{error}; or {_AGAIN}') from error
        version = content.get('version') if isinstance(content, dict) else None
        if version != VERSION:
            raise FeatureError(
                f'{path}: expected version {VERSION} of the packed form, got {version!r}: {_AGAIN}'
            )
        problem = _problem_of(content)
        if problem:
            raise FeatureError(f'{path}: {problem}: {_AGAIN}')
        return cls(**content)


def _problem_of(content: dict[str, Any]) -> str | None:
    """What is wrong with an index that was read, if anything."""
    names = {field.name for field in dataclasses.fields(PackedIndex)}
    if set(content) != names:
        return f'expected the keys {sorted(names)}, got {sorted(content)}'
    if not isinstance(content['dtype'], str) or content['dtype'] not in DTYPES:
        return f'expected a dtype of {", ".join(DTYPES)}, got {content["dtype"]!r}'
    columns = {key: content[key] for key in ('ids', 'lengths', 'crc32', 'stamps')}
    if not all(isinstance(column, list) for column in columns.values()):
        return f'expected lists under {", ".join(columns)}'
    sizes = {key: len(column) for key, column in columns.items()}
    if len(set(sizes.values())) > 1 or not columns['ids']:
        return f'expected one entry for each video, got {sizes}'
    if not all(isinstance(video_id, str) for video_id in columns['ids']):
        return 'expected text under ids'
    counts = [content['channels'], *content['lengths']]
    if not all(isinstance(count, int) and count > 0 for count in counts):
        return 'expected channels and lengths above 0'
    if len(set(content['ids'])) < len(content['ids']):
        return 'expected each video once'
    return None


class PackedFeatures(FeatureStore):
    """Frozen features of many videos in a packed folder.

    A window is read without opening a file. Values were checked when they were packed, and are not
    when they are read: :func:`~sola_plugin.datasets.features.packing.verify_packed` compares the
    checksums.

    Args:
        root: The folder.
        prefix: Start of the packed names that is not part of the id; packing keeps it.
        feat_dim: Number of channels that is expected; ``None``: any.

    Raises:
        FeatureError: The folder is not a packed one, the file is missing or not as long as the
            index says, no name begins with ``prefix``, or there are other channels than
            ``feat_dim``.
    """

    def __init__(
        self, root: str | os.PathLike, prefix: str = '', feat_dim: int | None = None
    ) -> None:
        self.name = f'packed folder {root}'
        self.root = Path(root)
        self.prefix = prefix
        self.index = PackedIndex.read(self.root)
        if feat_dim not in (None, self.index.channels):
            raise FeatureError(
                f'{self.name}: expected {feat_dim} channels, got {self.index.channels}: check '
                'the encoder and feat_dim'
            )
        begins = itertools.accumulate(self.index.lengths, initial=0)
        self._spans = {
            name[len(prefix) :]: (begin, begin + length)
            for name, begin, length in zip(self.index.ids, begins, self.index.lengths)
            if name.startswith(prefix)
        }
        if not self._spans:
            raise FeatureError(
                f'{self.name}: expected names that begin with {prefix!r}, got, for example, '
                f'{self.index.ids[0]!r}: check prefix'
            )
        _ = self.rows

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapped file out: another process maps it for itself."""
        return {key: value for key, value in self.__dict__.items() if key not in ('rows', '_file')}

    def __len__(self) -> int:
        return len(self._spans)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._spans

    def ids(self) -> list[str]:
        """Ids of all videos, in the order of the file."""
        return list(self._spans)

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return self.index.channels

    def length(self, video_id: str) -> int:
        """Number of snippets T of a video.

        Raises:
            FeatureError: It is not there.
        """
        begin, end = self.span(video_id)
        return end - begin

    def where(self, video_id: str) -> str:
        """The folder, and the packed name of a video."""
        return f'{self.root}, {self.prefix + video_id!r}'

    def files(self, video_id: str) -> tuple[Path, ...]:
        """The file, which is the same for all videos."""
        return (self.root / DATA_NAME,)

    def form(self, video_id: str) -> StoredForm:
        """Rows are snippets."""
        self.span(video_id)
        return StoredForm('TC', DTYPES[self.index.dtype])

    def stored_name(self, video_id: str) -> str:
        """The packed name of a video."""
        self.span(video_id)
        return self.prefix + video_id

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """The whole file, ``(snippets, C)``, read only; nothing is read until it is sliced."""
        self.check_size()
        shape = (self.index.num_snippets, self.index.channels)
        # A plain array is sliced faster than np.memmap.
        return np.memmap(self._file, DTYPES[self.index.dtype], 'r', shape=shape).view(np.ndarray)

    @functools.cached_property
    def _file(self) -> BinaryIO:
        path = self.root / DATA_NAME
        if not path.is_file():
            raise FeatureError(f'{path} is missing: {_AGAIN}')
        return path.open('rb')

    def check_size(self) -> None:
        """Look whether the file is as long as it was; to be called before rows are sliced.

        Where a mapped file ends early, the system ends the process (SIGBUS).

        Raises:
            FeatureError: It is missing, or was cut or changed after packing.
        """
        size = os.fstat(self._file.fileno()).st_size
        if size != self.index.num_bytes:
            raise FeatureError(
                f'{self.root / DATA_NAME}: expected {self.index.num_bytes} bytes as in '
                f'{INDEX_NAME}, got {size}: the file was cut or changed after packing; {_AGAIN}'
            )

    def span(self, video_id: str) -> tuple[int, int]:
        """First row of a video, and one past its last.

        Raises:
            FeatureError: It is not there.
        """
        try:
            return self._spans[video_id]
        except KeyError:
            raise self._absent(video_id) from None

    def _read(self, video_id: str, start: int, stop: int | None) -> np.ndarray:
        begin, end = self.span(video_id)
        self.check_size()
        return channels_first(self.rows[begin + start : end if stop is None else begin + stop])
