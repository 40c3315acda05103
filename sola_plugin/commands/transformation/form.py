"""In which form transformed features are written: that of their source, or another."""

from __future__ import annotations

import collections
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sola_plugin.datasets.features.archive import FeatureArchive
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.fused import FusedFeatures
from sola_plugin.datasets.features.packed import PackedFeatures
from sola_plugin.datasets.features.readers import ROWS, FeatureError, array_shapes
from sola_plugin.datasets.features.store import FeatureStore
from sola_plugin.file_names import file_name

#: What can be asked for: the suffix of a file for each video, or one packed folder.
FORMATS = ('npy', 'npz', 'csv', 'pt', 'pkl', 'h5', 'packed')

#: Ends of the name of one file for all videos.
ARCHIVES = ('.h5', '.hdf5', '.npz', '.pt', '.pth', '.pkl', '.pickle')


@dataclass(frozen=True)
class OutputForm:
    """How the output lies on disk.

    Attributes:
        kind: ``'folder'`` (a file for each video), ``'archive'`` (one file) or ``'packed'``.
        suffix: Of the files of a folder; ``None``: as each has it in the source.
        layout: ``'TC'``, ``'CT'``, or ``None``: as in the source.
        dtype: ``'float32'``, ``'float16'``, or ``None``: float16 where the source has it.
    """

    kind: str
    suffix: str | None = None
    layout: str | None = None
    dtype: str | None = None

    def layout_of(self, suffix: str, layout: str) -> str:
        """The layout of a file whose source has a layout."""
        return 'TC' if suffix.lower() in ROWS or self.kind == 'packed' else self.layout or layout

    def dtype_of(self, dtype: np.dtype) -> np.dtype:
        """The dtype of an array whose source has a dtype."""
        return np.dtype(self.dtype or ('float16' if dtype == np.float16 else 'float32'))


def output_form(
    source: FeatureStore,
    out: Path,
    format: str | None = None,
    layout: str | None = None,
    dtype: str | None = None,
) -> OutputForm:
    """Decide the form of the output.

    Args:
        source: Features to transform.
        out: Where to. A name that ends as one file for all videos does (``.h5``) is one.
        format: One of :data:`FORMATS`; ``None``: as the source.
        layout: ``'TC'``, ``'CT'`` or ``None``.
        dtype: ``'float32'``, ``'float16'`` or ``None``.

    Returns:
        The form.

    Raises:
        FeatureError: The name of the output does not fit.
        ValueError: ``format`` is none of the known ones.
    """
    if format not in (None, *FORMATS):
        raise ValueError(f'format is {format!r}, expected one of {", ".join(FORMATS)}')
    first = _first(source)
    end = out.suffix.lower()
    if end in ARCHIVES and not out.is_dir():
        if format is not None and format != end[1:]:
            raise FeatureError(
                f'{out}: expected a folder for format={format!r}, got the name of one {end} file '
                'with all videos: leave format out, or give another name'
            )
        return OutputForm('archive', end, layout, dtype)
    if format is None and isinstance(first, FeatureArchive):
        raise FeatureError(
            f'{out}: expected the name of one file with all videos, such as {out}'
            f'{first.root.suffix}, as {first.root} is one: or say format={FORMATS[0]!r} for a '
            'folder with a file for each'
        )
    if format == 'packed' or format is None and isinstance(first, PackedFeatures):
        return OutputForm('packed', None, 'TC', dtype)
    return OutputForm('folder', None if format is None else f'.{format}', layout, dtype)


def output_names(source: FeatureStore, ids: Sequence[str], form: OutputForm) -> dict[str, str]:
    """Name the files, or arrays, of the output as the source has them.

    Args:
        source: Features to transform.
        ids: Videos.
        form: Of the output.

    Returns:
        Names by id.

    Raises:
        FeatureError: Two videos would have one name.
    """
    first = _first(source)
    has_files = not isinstance(first, (FeatureArchive, PackedFeatures))
    names = {}
    for video_id in ids:
        name = first.stored_name(video_id)
        stem, suffix = os.path.splitext(name) if has_files else (name, '.npy')
        if form.kind == 'folder':
            stem = stem if has_files else file_name(stem)
            names[video_id] = stem + (form.suffix or suffix)
        else:
            names[video_id] = stem
    [(name, count)] = collections.Counter(names.values()).most_common(1)
    if count > 1:
        same = [repr(video_id) for video_id in ids if names[video_id] == name]
        raise FeatureError(
            f'expected a name of its own for each video, got {name!r} for {" and ".join(same)}: '
            'rename one, or write one file with all videos'
        )
    return names


def array_name(source: FeatureStore, video_id: str, suffix: str) -> str | None:
    """What the array in a file of one video is called, in the source's files of the same kind.

    Args:
        source: Features to transform.
        video_id: The video.
        suffix: Of its new file.

    Returns:
        The name; ``None`` where there is none to keep.
    """
    first = _first(source)
    if not isinstance(first, FeatureFolder):
        return None
    path = first.path(video_id)
    if first.key is None and path.suffix.lower() == suffix and suffix in ('.npz', '.h5', '.hdf5'):
        return next(iter(array_shapes(path)))
    return first.key


def _first(source: FeatureStore) -> FeatureStore:
    return source.stores[0] if isinstance(source, FusedFeatures) else source
