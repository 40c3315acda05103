"""From a path, or a list of them, to a store of features."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .feature_archive import ARCHIVE_SUFFIXES, FeatureArchive
from .feature_files import FeatureFolder
from .feature_readers import FeatureError
from .feature_store import FeatureStore
from .fused_features import FusedFeatures
from .packed_features import DATA_NAME, INDEX_NAME, PackedFeatures
from .packing import partial_folder

#: What options of a source may be, beside ``root``.
OPTIONS = ('suffix', 'prefix', 'key', 'layout', 'feat_dim', 'max_stretch')


def open_features(source: Any, **options: Any) -> FeatureStore:
    """Open features, whatever form they have.

    Args:
        source: One of

            - a folder with one file a video: ``FeatureFolder``;
            - a ``.h5`` or ``.npz`` file with all videos: ``FeatureArchive``;
            - a folder that ``tools/pack_features.py`` has written: ``PackedFeatures``;
            - a dict, ``root`` and options of its own, which come before ``options``;
            - a list of these, joined along the channels: ``FusedFeatures``.

        **options: ``suffix``, ``prefix``, ``key``, ``layout``, ``feat_dim`` as in
            :class:`~sola_plugin.datasets.feature_files.FeatureFolder`. Of a packed folder,
            ``suffix``, ``key`` and ``layout`` are known and not used. For a list, ``max_stretch``
            as in :class:`~sola_plugin.datasets.fused_features.FusedFeatures`; ``feat_dim`` is then
            that of all sources together, the others are for each source.

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
    """Whether something can be meant for :func:`open_features`: a path, a dict with ``root``, a
    list."""
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
    if path.suffix in ARCHIVE_SUFFIXES and not path.is_dir():
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
