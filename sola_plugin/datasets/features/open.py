"""Opening of features, whatever holds them, and what ``features.json`` notes of them."""

from __future__ import annotations

import collections
import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sola_plugin.io import read_json

from .archive import ARCHIVE_SUFFIXES, FeatureArchive
from .axes import Crops
from .fused import FusedFeatures
from .packed import DATA_NAME, INDEX_NAME, PackedFeatures
from .packing import partial_folder
from .readers import NAMED_SUFFIXES, SUFFIXES, FeatureError, array_shape, open_array
from .store import DESCRIPTION_NAME, ArrayStore, FeatureStore

#: What options of a source may be, beside ``root``.
OPTIONS = (
    'suffix',
    'prefix',
    'key',
    'layout',
    'feat_dim',
    'crops',
    'crop_axis',
    'max_stretch',
)


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


def open_features(source: Any, **options: Any) -> FeatureStore:
    """Open features, whatever form they have.

    Args:
        source: One of

            - a folder with one file a video: ``FeatureFolder``;
            - a ``.h5`` or ``.npz`` file with all videos, or a ``.pkl``, ``.pt`` or ``.npy`` with a
              dict of them: ``FeatureArchive``;
            - a folder that ``tools/pack_features.py`` has written: ``PackedFeatures``;
            - a dict, ``root`` and options of its own, which come before ``options``;
            - a list of these, joined along the channels: ``FusedFeatures``.

        **options: ``suffix``, ``prefix``, ``key``, ``layout``, ``feat_dim``, ``crops``,
            ``crop_axis`` as in :class:`~sola_plugin.datasets.features.open.FeatureFolder`. Of a
            packed folder, all but ``prefix`` and ``feat_dim`` are known and not used. For a list,
            ``max_stretch`` as in :class:`~sola_plugin.datasets.features.fused.FusedFeatures`;
            ``feat_dim`` is then that of all sources together, the others are for each source.

    Returns:
        The store.

    Raises:
        FeatureError: There are no features there, or they cannot be used.
        ValueError: An option is not known, or has none of the known values.
    """
    if isinstance(source, Mapping):
        options = {**options, **source}
        if 'root' not in options:
            raise ValueError(
                f'expected dict(root=..., ...) as a source of features, got {dict(source)}'
            )
        return open_features(options.pop('root'), **options)
    unknown = [option for option in options if option not in OPTIONS]
    if unknown:
        raise ValueError(
            f'expected options of {", ".join(OPTIONS)} for features, got {unknown[0]!r}'
        )
    max_stretch = options.pop('max_stretch', 1.05)
    if isinstance(source, (list, tuple)):
        feat_dim = options.pop('feat_dim', None)
        return FusedFeatures(
            [open_features(part, **options) for part in source], feat_dim, max_stretch
        )
    return _open_path(Path(source), options)


def is_source(value: Any) -> bool:
    """Whether :func:`open_features` can be meant: a path, a dict with ``root``, a list."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return len(value) > 0 and all(map(is_source, value))
    return isinstance(value, (str, os.PathLike)) or isinstance(value, Mapping) and 'root' in value


def rooted(source: Any, root: str | os.PathLike) -> Any:
    """Let the relative paths of a source start from a folder.

    >>> rooted(['rgb', dict(root='/data/flow', suffix='.npy')], '/home')
    ['/home/rgb', {'root': '/data/flow', 'suffix': '.npy'}]
    """
    if isinstance(source, Mapping):
        return {**source, 'root': rooted(source['root'], root)} if 'root' in source else source
    if isinstance(source, (list, tuple)):
        return [rooted(part, root) for part in source]
    return os.path.join(root, source)


def _open_path(path: Path, options: dict[str, Any]) -> FeatureStore:
    if (path / INDEX_NAME).exists() or (path / DATA_NAME).exists():
        return PackedFeatures(
            path, **{key: options[key] for key in ('prefix', 'feat_dim') if key in options}
        )
    if path.suffix.lower() in ARCHIVE_SUFFIXES and not path.is_dir():
        return FeatureArchive(path, **options)
    if path.is_file():
        raise FeatureError(
            f'features {path}: expected a folder, or a file with all videos '
            f'({", ".join(ARCHIVE_SUFFIXES)}), got another file: give the folder of the files'
        )
    if not path.exists() and partial_folder(path).exists():
        raise FeatureError(
            f'{path} does not exist; {partial_folder(path)} does: packing has not finished, '
            'the same command of tools/pack_features.py goes on'
        )
    return FeatureFolder(path, **options)


#: What a description says of single videos.
_OF_VIDEOS = ('videos', 'failed')

#: Numbers that agree to four digits are the same, rounded by hand; 29.97 and 30 frames a second are
#: not.
_ROUNDING = 5e-4


def describe_source(source: Any) -> dict[str, Any]:
    """Read what is noted of features, without opening them.

    Args:
        source: As for :func:`~sola_plugin.datasets.features.open.open_features`. Of several
            sources, what is the same in all.

    Returns:
        What ``features.json`` says of all videos: ``feature_stride`` and ``feature_offset`` (s;
        ``None`` where the videos differ), the encoder, ...; empty where there is no such file.

    Raises:
        FeatureError: The file is no JSON.
    """
    if isinstance(source, Mapping):
        return describe_source(source.get('root', ()))
    if isinstance(source, (list, tuple)):
        first, *others = map(describe_source, source) if source else ({},)
        return {
            key: value
            for key, value in first.items()
            if all(key in other and other[key] == value for other in others)
        }
    path = Path(source, DESCRIPTION_NAME)
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
    except ValueError as error:
        raise FeatureError(
            f'{error}. Expected what tools/extract_features.py writes: remove the file, and give '
            'feature_stride and feature_offset'
        ) from error
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if key not in _OF_VIDEOS}


def settle_time(
    source: Any, stride: float | None, offset: float | None
) -> tuple[float | None, float]:
    """Complete the time axis of features by what is noted beside them.

    Args:
        source: See :func:`describe_source`.
        stride: Seconds between two snippets that are said elsewhere, in a config; ``None``: nothing
            is.
        offset: Second at which the first snippet starts; likewise.

    Returns:
        Stride and offset. ``(None, 0.0)`` where neither says anything.

    Raises:
        FeatureError: One says something else than the other.
        ValueError: There is an offset and no stride.
    """
    description = describe_source(source)
    noted_stride, noted_offset = (
        description.get(f'feature_{what}') for what in ('stride', 'offset')
    )
    if not (isinstance(noted_stride, (int, float)) and isinstance(noted_offset, (int, float))):
        if stride is None and offset:
            raise ValueError(f'feature_offset is {offset}, which needs feature_stride')
        return stride, offset or 0.0
    for key, given, noted in (('stride', stride, noted_stride), ('offset', offset, noted_offset)):
        if given is not None and abs(given - noted) > _ROUNDING * noted_stride:
            raise FeatureError(
                f'feature_{key} is {given:g}, but the {DESCRIPTION_NAME} of {source} says '
                f'{noted:.9g}: leave '
                'feature_stride and feature_offset out of the config, which then are those '
                'of the file'
            )
    return (noted_stride if stride is None else stride), (
        noted_offset if offset is None else offset
    )
