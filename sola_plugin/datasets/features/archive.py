"""One ``.h5`` or ``.npz`` file with the features of many videos."""

from __future__ import annotations

import collections
import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sola_plugin.messages import first_few

from .readers import FeatureError, array_shapes, open_array, reading
from .store import ArrayStore

#: Formats in which one file may hold the features of all videos.
ARCHIVE_SUFFIXES = ('.h5', '.hdf5', '.npz')


class FeatureArchive(ArrayStore):
    """Frozen features of many videos in one file, an array ``prefix + id + suffix`` each.

    The arrays are listed once, by the constructor. The file is opened for each video that is read;
    of ``.h5`` a window is read without the rest.

    Args:
        path: The file, ``.h5``, ``.hdf5`` or ``.npz``.
        suffix: End of the arrays' names that is not part of the id.
        prefix: Start of the arrays' names that is not part of the id.
        key: Name of the array in the group of a video: the features of ``v_1`` are ``v_1/<key>``.
            ``None``: the arrays have the names of the videos, or each is alone in its video's group
            under the same name as all others.
        layout: See :class:`~sola_plugin.datasets.features.open.FeatureFolder`.
        feat_dim: See there.

    Single values, such as frame rates, are passed over.

    Raises:
        FeatureError: The file is missing or damaged, holds no such arrays, or several for each
            video.
        ImportError: h5py is needed and not installed.
        ValueError: ``layout`` is none of the known ones.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> path = f'{tempfile.mkdtemp()}/features.npz'
        >>> np.savez(path, v_a=np.zeros((50, 400)), v_b=np.zeros((70, 400)))
        >>> FeatureArchive(path).load('v_b').shape
        (400, 70)
    """

    def __init__(
        self,
        path: str | os.PathLike,
        suffix: str | None = None,
        prefix: str = '',
        key: str | None = None,
        layout: str | None = None,
        feat_dim: int | None = None,
    ) -> None:
        super().__init__(f'feature file {path}', layout, feat_dim)
        self.root = Path(path)
        self.suffix = suffix or ''
        self.prefix = prefix
        self._shapes = {name: shape for name, shape in self._list().items() if shape}
        self._names = self._names_of_videos(key)

    def where(self, video_id: str) -> str:
        """The file, and the name of a video's array in it."""
        name = self._names.get(video_id, f'{self.prefix}{video_id}{self.suffix}')
        return f'{self.root}, array {name!r}'

    def files(self, video_id: str) -> tuple[Path, ...]:
        """The file, which is the same for all videos."""
        return (self.root,)

    def _suffix(self, video_id: str) -> str:
        return self.root.suffix.lower()

    def _shape(self, video_id: str) -> tuple[int, ...]:
        return self._shapes[self._names[video_id]]

    def _open(self, video_id: str) -> contextlib.AbstractContextManager[Any]:
        # An open .h5 file must not be shared with the processes that a loader forks.
        return open_array(self.root, self._names[video_id])

    def _list(self) -> dict[str, tuple[int, ...]]:
        if not self.root.is_file():
            raise FeatureError(f'{self.name} does not exist: check the path')
        with reading(self.name, self.root.suffix):
            return array_shapes(self.root)

    def _names_of_videos(self, key: str | None) -> dict[str, str]:
        """Map ids to the names of arrays."""
        names = {}
        for stem, name in _stems(self.name, self._shapes, key).items():
            if stem.startswith(self.prefix) and stem.endswith(self.suffix):
                video_id = stem[len(self.prefix) : len(stem) - len(self.suffix)]
                if video_id:
                    names[video_id] = name
        if not names:
            tail = '' if key is None else f'/{key}'
            raise FeatureError(
                f'{self.name}: expected arrays {self.prefix}ID{self.suffix}{tail}, got '
                f'{first_few(map(repr, self._shapes)) or "none"}: check prefix, suffix and key'
            )
        return names


def _stems(where: str, names: Iterable[str], key: str | None) -> Mapping[str, str]:
    """Map what names the videos to the names of their arrays."""
    if key is not None:
        return {name.removesuffix(f'/{key}'): name for name in names if name.endswith(f'/{key}')}
    groups = collections.defaultdict(set)
    for name in names:
        group, _, last = name.rpartition('/')
        groups[group].add(last)
    contents = set(map(frozenset, groups.values()))
    if '' in groups or len(contents) > 1 or len(groups) == 1 and len(*contents) > 1:
        # The names differ from group to group: they, and not the groups, are the videos'.
        return {name: name for name in names}
    for inside in contents:
        if len(inside) > 1:
            raise FeatureError(
                f'{where}: expected one array for each video, got {len(inside)} '
                f'({first_few(map(repr, sorted(inside)))}): choose one with key=...'
            )
    return {name.rpartition('/')[0]: name for name in names}
