"""A folder with one feature file a video, read as float32 ``(C, T)`` whatever the files' format."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from .readers import SUFFIXES, FeatureError, array_shape, open_array
from .store import ArrayStore

__all__ = ['FeatureError', 'FeatureFolder']


class FeatureFolder(ArrayStore):
    """Frozen features of many videos, one file ``prefix + id + suffix`` each.

    The folder is listed once, by the constructor. Files are opened when they are asked for; of
    ``.npy`` and ``.h5`` a window is read without the rest of the file.

    Args:
        root: The folder.
        suffix: End of the file names, such as ``'.npy'`` or ``'_rgb.npy'``; it tells the format,
            one of ``.npy .npz .csv .pt .pkl .h5 .hdf5``. ``None``: every file of a known format.
        prefix: Start of the file names that is not part of the id.
        key: Name of the array in files that hold several.
        layout: Order of the axes in the files, ``'TC'`` or ``'CT'``. ``None``: rows are snippets in
            ``.csv``. Elsewhere ``feat_dim`` decides where it is the size of one axis only; without
            it, the channels are the axis that the first files have in common while the other
            varies. What is not clear then is an error, never a guess.
        feat_dim: Number of channels C, checked in every file. ``None``: that of the first files.

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
    ) -> None:
        super().__init__(f'feature folder {root}', layout, feat_dim)
        if suffix is not None and not suffix.endswith(SUFFIXES):
            raise ValueError(f'suffix is {suffix!r}, expected an end of {", ".join(SUFFIXES)}')
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
        return self.path(video_id).suffix

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
            suffix = next((end for end in suffixes if name.endswith(end)), None)
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
            )
        return names
