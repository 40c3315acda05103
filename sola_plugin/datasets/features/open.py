"""Opening of features, whatever holds them, and what ``features.json`` notes of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sola_plugin.io import read_json

from .archive import ARCHIVE_SUFFIXES, FeatureArchive
from .folder import FeatureFolder
from .fused import FusedFeatures
from .packed import DATA_NAME, INDEX_NAME, PackedFeatures
from .packing import partial_folder
from .readers import FeatureError
from .store import DESCRIPTION_NAME, FeatureStore

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
            ``crop_axis`` as in :class:`~sola_plugin.datasets.features.folder.FeatureFolder`. Of a
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
