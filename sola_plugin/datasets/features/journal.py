"""Packing, video after video: the rows, and a journal of the videos whose rows are all there."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sola_plugin.progress import Show

from .lazy import stored_features
from .packed import DATA_NAME, DTYPES, VERSION
from .readers import FeatureError
from .store import FeatureStore

JOURNAL_NAME = 'packed_features.journal'


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of the journal: one video that is in the file."""

    id: str
    length: int
    crc32: int
    stamps: list[list[int]]


def write_videos(
    source: FeatureStore, partial: Path, ids: list[str], dtype: str, progress: Show | None
) -> list[Entry]:
    """Go on after what is there, until all videos are in the file."""
    header = dict(version=VERSION, dtype=dtype, channels=source.channels)
    data_path, journal_path = partial / DATA_NAME, partial / JOURNAL_NAME
    # Without buffers: when the disk is full, nothing is left that would have to be written yet.
    with (
        data_path.open('ab+', buffering=0) as data,
        journal_path.open('ab+', buffering=0) as journal,
    ):
        with kept(partial, 0, len(ids)):
            entries = _recover(source, header, ids, data, journal)
        tell(progress, len(entries), len(ids))
        for video_id in ids[len(entries) :]:
            stamps = stamps_of(source, video_id)
            length = crc32 = 0
            for rows in _encode(source, video_id, dtype):
                length, crc32 = length + len(rows), zlib.crc32(rows.data, crc32)
                with kept(partial, len(entries), len(ids)):
                    _write(data, rows.data)
            entry = Entry(video_id, length, crc32, stamps)
            with kept(partial, len(entries), len(ids)):
                _write(journal, _line(dataclasses.asdict(entry)))
            entries.append(entry)
            tell(progress, len(entries), len(ids))
        with kept(partial, len(entries), len(ids)):
            os.fsync(data.fileno())
    return entries


def _recover(
    source: FeatureStore, header: dict[str, Any], ids: list[str], data: BinaryIO, journal: BinaryIO
) -> list[Entry]:
    """Find the first videos that are complete and as they should be, and cut off the rest."""
    for file in (data, journal):
        file.seek(0)
    entries: list[Entry] = []
    row_bytes = header['channels'] * DTYPES[header['dtype']].itemsize
    lines = journal.read().splitlines(keepends=True)
    if lines[:1] == [_line(header)]:
        for video_id, line in zip(ids, lines[1:]):
            entry = _parse(line)
            if entry is None or (entry.id, entry.stamps) != (video_id, stamps_of(source, video_id)):
                break
            block = data.read(entry.length * row_bytes)
            if len(block) < entry.length * row_bytes or zlib.crc32(block) != entry.crc32:
                break
            entries.append(entry)
    data.truncate(sum(entry.length for entry in entries) * row_bytes)
    journal.truncate(sum(map(len, lines[: 1 + len(entries)])) if entries else 0)
    if not entries:
        _write(journal, _line(header))
    return entries


def _parse(line: bytes) -> Entry | None:
    """Read a line of the journal; ``None`` where a kill has torn it."""
    try:
        return Entry(**json.loads(line)) if line.endswith(b'\n') else None
    except (ValueError, TypeError):
        return None


def _encode(source: FeatureStore, video_id: str, dtype: str) -> Iterator[np.ndarray]:
    """Rows ``(n, C)`` of a video as they are written, a part at a time."""
    features = stored_features(source, video_id)
    for start, stop in features.spans():
        part = features[:, start:stop]
        rows = _cast(part.T, DTYPES[dtype])
        beyond = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if beyond.size:
            raise FeatureError(
                f'features of {video_id!r} ({source.where(video_id)}): expected values of at '
                f'most 65504 for {dtype}, got {np.abs(part).max():.6g}, the first is in snippet '
                f'{start + beyond[0]}: pack them as float32'
            )
        yield rows


def _cast(rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over='ignore'):
        return np.ascontiguousarray(rows, dtype)


def checksum(source: FeatureStore, video_id: str, dtype: str) -> int:
    """Checksum of a video as it would be written."""
    parts = _encode(source, video_id, dtype)
    return functools.reduce(lambda crc32, rows: zlib.crc32(rows.data, crc32), parts, 0)


def stamps_of(source: FeatureStore, video_id: str) -> list[list[int]]:
    """Size and time of change of the files of a video."""
    stats = [path.stat() for path in source.files(video_id)]
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b'\n'


def _write(file: BinaryIO, content: bytes | memoryview) -> None:
    """Write all of it; the system may take a part at a time."""
    rest = memoryview(content).cast('B')
    while rest:
        rest = rest[file.write(rest) :]


@contextlib.contextmanager
def kept(partial: Path, done: int, total: int) -> Iterator[None]:
    """Say in an error of the system what is kept, and that the same command goes on."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f'{error.strerror} after {done} of {total} videos, which are kept: when '
            'this is mended, the same command goes on',
            str(partial),
        ) from error


def tell(progress: Show | None, done: int, total: int) -> None:
    """Show how many videos are done, if anybody looks."""
    if progress is not None:
        progress('', done, total)
