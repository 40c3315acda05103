"""One file with the features of many videos: ``.h5``, ``.npz``, or a dict of arrays."""

from __future__ import annotations

import collections
import contextlib
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sola_plugin.messages import first_few

from .array_store import ArrayStore
from .axes import Crops
from .readers import (
    FeatureError,
    array_shapes,
    as_array,
    holds_objects,
    is_array,
    load_objects,
    open_array,
    reading,
)

#: Formats of a dict of arrays, which is read at once.
OBJECT_SUFFIXES = ('.pkl', '.pickle', '.pt', '.pth', '.npy')

#: Formats in which one file may hold the features of all videos.
ARCHIVE_SUFFIXES = ('.h5', '.hdf5', '.npz', *OBJECT_SUFFIXES)


def may_hold_many(path: Path) -> bool:
    """Whether a feature file can be one of many videos, as far as its first bytes tell."""
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in ARCHIVE_SUFFIXES:
        return False
    return suffix != '.npy' or holds_objects(path)


class FeatureArchive(ArrayStore):
    """Frozen features of many videos in one file, an array ``prefix + id + suffix`` each.

    The arrays are listed once, by the constructor. The file is opened for each video that is read;
    of ``.h5`` a window is read without the rest. A ``.pkl``, ``.pt`` or ``.npy`` with a dict of
    arrays is kept in memory, once a process; ``tools/pack_features.py`` makes of it what is not.

    Args:
        path: The file, ``.h5``, ``.hdf5``, ``.npz``, or ``.pkl``, ``.pickle``, ``.pt``, ``.pth`` or
            ``.npy`` with a dict.
        suffix: End of the arrays' names that is not part of the id.
        prefix: Start of the arrays' names that is not part of the id.
        key: Name of the array in the group of a video: the features of ``v_1`` are ``v_1/<key>``.
            ``None``: the arrays have the names of the videos, or each is alone in its video's group
            under the same name as all others.
        layout: See :class:`~sola_plugin.datasets.features.folder.FeatureFolder`.
        feat_dim: See there.
        crops: See there.
        crop_axis: See there.

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
        crops: str | int | None = None,
        crop_axis: int = 1,
    ) -> None:
        super().__init__(f'feature file {path}', layout, feat_dim, Crops(crops, crop_axis))
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
        if self._holds_objects:
            array = self._objects[self._names[video_id]]
            return contextlib.nullcontext(as_array(array, self.root))
        # An open .h5 file must not be shared with the processes that a loader forks.
        return open_array(self.root, self._names[video_id])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the arrays to their file."""
        return {name: value for name, value in vars(self).items() if name != '_objects'}

    @property
    def _holds_objects(self) -> bool:
        return self.root.suffix.lower() in OBJECT_SUFFIXES

    @functools.cached_property
    def _objects(self) -> dict[str, Any]:
        """The arrays of a file of objects by name, ``id`` or ``id/key``."""
        if self.root.suffix.lower() == '.npy' and not holds_objects(self.root):
            with open_array(self.root) as array:
                content = array
        else:
            content = load_objects(self.root)
        if not isinstance(content, Mapping):
            kind = 'one array' if is_array(content) else type(content).__name__
            raise FeatureError(
                f'expected a dict of arrays, the features of each video by its id, got {kind}: '
                'say which video is which, or give a folder with a file for each'
            )
        return {
            name: array if isinstance(array, np.ndarray) else as_array(array, self.root)
            for name, array in _flat(content)
        }

    def _list(self) -> dict[str, tuple[int, ...]]:
        if not self.root.is_file():
            raise FeatureError(f'{self.name} does not exist: check the path')
        with reading(self.name, self.root.suffix):
            if self._holds_objects:
                return {name: tuple(array.shape) for name, array in self._objects.items()}
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


def _flat(content: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The arrays of a dict, and of the dicts in it as ``id/key``."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from ((f'{name}/{key}', array) for key, array in value.items() if is_array(array))
        elif is_array(value):
            yield str(name), value


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
