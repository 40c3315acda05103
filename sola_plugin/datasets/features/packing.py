"""Writing the packed form of features: atomic, resumable, with checksums."""

from __future__ import annotations

import collections
import json
import os
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sola_plugin.io import atomic_write
from sola_plugin.locking import hold_lock
from sola_plugin.messages import first_few
from sola_plugin.progress import Show
from sola_plugin.temporary_files import remove_abandoned

from .journal import JOURNAL_NAME, checksum, kept, stamps_of, tell, write_videos
from .packed import DATA_NAME, DTYPES, INDEX_NAME, PackedFeatures, PackedIndex
from .readers import FeatureError
from .store import DESCRIPTION_NAME, FeatureStore


def pack_features(
    source: FeatureStore,
    out: str | os.PathLike,
    ids: Sequence[str] | None = None,
    dtype: str = 'float32',
    missing: str = 'error',
    progress: Show | None = None,
    description: Mapping[str, Any] | None = None,
) -> PackedIndex:
    """Write a packed folder, or find it complete.

    Everything is written to ``<out>.partial``, which is renamed at the end. After a kill or a full
    disk the same call goes on after the last video that is there, whose checksum is right and whose
    files are as they were.

    Args:
        source: Features to pack; see :func:`~sola_plugin.datasets.features.open.open_features`.
        out: The folder to make.
        ids: Videos to pack, in this order; ``None``: all.
        dtype: ``'float32'``, or ``'float16'`` for half the size and 3 decimal digits.
        missing: What to do with ``ids`` that have no features: ``'error'``, or ``'skip'`` with a
            warning.
        progress: Told of every video.
        description: What is noted of ``source``, to be noted of the packed folder as well; see
            :func:`~sola_plugin.datasets.features.open.describe_source`.

    Returns:
        The index that was written, or that of the complete folder.

    Raises:
        FeatureError: A video is missing or cannot be read, ids are repeated, a value is beyond the
            range of float16, or ``out`` exists and holds something else.
        BusyError: Another process is packing to ``out``.
        OSError: The disk is full, or the folder cannot be written.
        ValueError: ``dtype`` or ``missing`` is none of the known ones.
    """
    if dtype not in DTYPES:
        raise ValueError(f'dtype is {dtype!r}, expected one of {", ".join(DTYPES)}')
    if missing not in ('error', 'skip'):
        raise ValueError(f"missing is {missing!r}, expected 'error' or 'skip'")
    out, ids = Path(out), _check_ids(source, source.ids() if ids is None else ids, missing)
    if not (out / INDEX_NAME).is_file():
        with hold_lock(out):
            if not (out / INDEX_NAME).is_file():  # another process may have ended meanwhile
                return _pack(source, out, ids, dtype, progress, description)
    return _check_complete(source, out, ids, dtype)


def _pack(
    source: FeatureStore,
    out: Path,
    ids: list[str],
    dtype: str,
    progress: Show | None,
    description: Mapping[str, Any] | None,
) -> PackedIndex:
    """Write the folder, or go on with it."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FeatureError(f'{out} exists and is no packed folder: choose another name')
    partial = partial_folder(out)
    partial.mkdir(parents=True, exist_ok=True)
    remove_abandoned(partial)
    entries = write_videos(source, partial, ids, dtype, progress)
    with kept(partial, len(ids), len(ids)):
        if description:
            with atomic_write(partial / DESCRIPTION_NAME) as file:
                json.dump(dict(description, channels=source.channels, dtype=dtype), file, indent=1)
        PackedIndex(
            dtype,
            source.channels,
            ids,
            [entry.length for entry in entries],
            [entry.crc32 for entry in entries],
            [entry.stamps for entry in entries],
        ).write(partial)
    index = PackedFeatures(partial).index
    partial.rename(out)
    (out / JOURNAL_NAME).unlink()
    return index


def partial_folder(out: Path) -> Path:
    """The folder that packing writes to until all is complete."""
    return out.with_name(f'{out.name}.partial')


def verify_packed(root: str | os.PathLike, progress: Show | None = None) -> PackedIndex:
    """Compare the checksums of all videos of a packed folder.

    Args:
        root: The folder.
        progress: Told of every video.

    Returns:
        Its index.

    Raises:
        FeatureError: Videos differ from what was packed, or the folder cannot be opened.
    """
    store = PackedFeatures(root)
    index, wrong = store.index, []
    with (store.root / DATA_NAME).open('rb') as file:
        for done, (name, length, crc32) in enumerate(
            zip(index.ids, index.lengths, index.crc32), start=1
        ):
            if zlib.crc32(file.read(length * index.row_bytes)) != crc32:
                wrong.append(name)
            tell(progress, done, len(index.ids))
    if wrong:
        raise FeatureError(
            f'{store.root / DATA_NAME}: the checksums of {len(wrong)} of {len(index.ids)} '
            f'videos are wrong ({first_few(map(repr, wrong))}): the file was damaged, or '
            'changed after packing; remove the folder and pack the features again'
        )
    return index


def _check_ids(source: FeatureStore, ids: Sequence[str], missing: str) -> list[str]:
    """The videos that are packed."""
    there = [video_id for video_id in ids if video_id in source]
    if len(there) < len(ids):
        absent = [video_id for video_id in ids if video_id not in source]
        found = (
            f'{len(absent)} of {len(ids)} videos have no features: {first_few(map(repr, absent))}'
        )
        if missing == 'error' or not there:
            raise FeatureError(
                f'{found}. Expected, for example, {source.where(absent[0])}, got, for example, '
                f'{source.where(source.ids()[0])}: check prefix and suffix, or leave them out with '
                "missing='skip'"
            )
        warnings.warn(f'{found}; they are left out', stacklevel=3)
    if not there:
        raise FeatureError('expected videos to pack, got an empty list')
    repeated = [video_id for video_id, count in collections.Counter(there).items() if count > 1]
    if repeated:
        raise FeatureError(
            f'expected each video once, got {first_few(map(repr, repeated))} several times'
        )
    return there


def _check_complete(source: FeatureStore, out: Path, ids: list[str], dtype: str) -> PackedIndex:
    """Make sure that a complete folder holds what would be packed now."""
    index = PackedFeatures(out).index
    others = len(set(ids) ^ set(index.ids))
    if others or (dtype, source.channels) != (index.dtype, index.channels):
        raise FeatureError(
            f'{out} exists with {len(index.ids)} videos, {index.channels} channels, '
            f'{index.dtype}; asked for '
            f'{len(ids)} videos ({others} ids differ), {source.channels} channels, {dtype}: '
            'remove it or '
            'choose another name'
        )
    changed = [
        video_id
        for video_id, stamps, crc32 in zip(index.ids, index.stamps, index.crc32)
        # Copied files are younger and yet the same.
        if stamps != stamps_of(source, video_id) and crc32 != checksum(source, video_id, dtype)
    ]
    if changed:
        raise FeatureError(
            f'{out}: {len(changed)} of {len(ids)} videos have changed in {source.name} since '
            f'they were packed ({first_few(map(repr, changed))}): remove {out} to pack again'
        )
    return index
