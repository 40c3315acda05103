"""Features in a folder, one file a video."""

from __future__ import annotations

import collections
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .array_store import ArrayStore
from .axes import Crops
from .readers import NAMED_SUFFIXES, SUFFIXES, FeatureError, array_shape, open_array


class FeatureFolder(ArrayStore):
    """Frozen features of many videos, one file ``prefix + id + suffix`` each.

    The folder is listed once, by the constructor. Files are opened when they are asked for; of
    ``.npy`` and ``.h5`` a window is read without the rest of the file.

    Args:
        root: The folder.
        suffix: End of the file names, such as ``'.npy'`` or ``'_rgb.npy'``; it tells the format,
            one of ``.npy .npz .csv .pt .pkl .pickle .h5 .hdf5``, or ``.txt`` (as ``.csv``) and
            ``.pth`` (as ``.pt``), which are often no features: ``None`` is every file of a known
            format but these two.
        prefix: Start of the file names that is not part of the id.
        key: Name of the array in files that hold several.
        layout: Order of the axes in the files, ``'TC'`` or ``'CT'``. ``None``: rows are snippets in
            ``.csv``. Elsewhere ``feat_dim`` decides where it is the size of one axis only; without
            it, the channels are the axis that the first files have in common while the other
            varies. What is not clear then is an error, never a guess.
        feat_dim: Number of channels C, checked in every file. ``None``: that of the first files.
        crops: What to take of files with several crops of each frame, such as ``(T, 10, C)``:
            ``'mean'``, the number of one, or ``'random'``: one at random in a training data set,
            elsewhere the mean. Axes of length 1 are left out without it.
        crop_axis: The axis of the crops in the files, counted from 0.

    Raises:
        FeatureError: The folder is missing or holds no feature files, or two files for one id.
        ValueError: ``layout`` or ``suffix`` is none of the known ones.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> folder = tempfile.mkdtemp()
        >>> np.save(f'{folder}/v_a.npy', np.zeros((50, 400), np.float32))
        >>> FeatureFolder(folder, feat_dim=400).load('v_a').shape
        (400, 50)
    """

    def __init__(
        self,
        root: str | os.PathLike,
        suffix: str | None = None,
        prefix: str = '',
        key: str | None = None,
        layout: str | None = None,
        feat_dim: int | None = None,
        crops: str | int | None = None,
        crop_axis: int = 1,
    ) -> None:
        super().__init__(f'feature folder {root}', layout, feat_dim, Crops(crops, crop_axis))
        known = SUFFIXES + NAMED_SUFFIXES
        if suffix is not None and not suffix.lower().endswith(known):
            raise ValueError(f'suffix is {suffix!r}, expected an end of {", ".join(known)}')
        self.root = Path(root)
        self.suffix = suffix
        self.prefix = prefix
        self.key = key
        self._names = self._list()

    def path(self, video_id: str) -> Path:
        """The file of a video; where there is none, the file that is expected."""
        if video_id in self._names:
            return self.root / self._names[video_id]
        suffix = self.suffix or Path(next(iter(self._names.values()))).suffix
        return self.root / f'{self.prefix}{video_id}{suffix}'

    def where(self, video_id: str) -> str:
        """The path of a video's file, or that which is expected."""
        return str(self.path(video_id))

    def files(self, video_id: str) -> tuple[Path, ...]:
        """The file of a video."""
        return (self.path(video_id),)

    def _suffix(self, video_id: str) -> str:
        return self.path(video_id).suffix.lower()

    def _shape(self, video_id: str) -> tuple[int, ...]:
        return array_shape(self.path(video_id), self.key)

    def _open(self, video_id: str) -> contextlib.AbstractContextManager[Any]:
        return open_array(self.path(video_id), self.key)

    def _list(self) -> dict[str, str]:
        """Map ids to file names."""
        if not self.root.is_dir():
            raise FeatureError(f'{self.name} does not exist: check the path')
        with os.scandir(self.root) as entries:
            files = sorted(
                entry.name
                for entry in entries
                if entry.is_file() and not entry.name.startswith('.')
            )
        names: dict[str, str] = {}
        suffixes = SUFFIXES if self.suffix is None else (self.suffix,)
        for name in files:
            suffix = next((end for end in suffixes if name.lower().endswith(end.lower())), None)
            if suffix is None or not name.startswith(self.prefix):
                continue
            video_id = name[len(self.prefix) : len(name) - len(suffix)]
            if video_id in names:
                raise FeatureError(
                    f'{self.name}: expected one file for {video_id!r}, got '
                    f'{names[video_id]!r} and {name!r}: '
                    'choose one kind with suffix=...'
                )
            if video_id:
                names[video_id] = name
        if not names:
            raise FeatureError(
                f'{self.name}: expected files {self.prefix}ID{" or ".join(suffixes)}, got '
                'none among '
                f'{len(files)} files {files[:3]}: check the path, prefix and suffix'
                + _of_other_suffixes(files)
                + _in_subfolders(self.root, suffixes)
            )
        return names


def _of_other_suffixes(files: Sequence[str]) -> str:
    """Which files could be read if it was said that they are features."""
    counts = collections.Counter(Path(name).suffix.lower() for name in files)
    return ''.join(
        f'. If the {counts[suffix]} files *{suffix} are features, say suffix={suffix!r}'
        for suffix in NAMED_SUFFIXES
        if counts[suffix]
    )


def _in_subfolders(root: Path, suffixes: Sequence[str]) -> str:
    """Where the files are that are not in the folder itself."""
    counts = collections.Counter(
        path.parent.name for path in root.glob('*/*') if path.name.endswith(tuple(suffixes))
    )
    if not counts:
        return ''
    folders = ', '.join(f'{name} ({count} files)' for name, count in sorted(counts.items())[:3])
    return f'. Sub-folders are not read, and there are such files in {folders}: give one of them'
