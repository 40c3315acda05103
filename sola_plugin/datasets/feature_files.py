"""A folder with one feature file a video, read as float32 ``(C, T)`` whatever the files' format."""
from __future__ import annotations

import collections
import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .feature_readers import SUFFIXES, FeatureError, array_shape, open_array

__all__ = ['ChannelError', 'FeatureError', 'FeatureFolder', 'LayoutError']

#: Files whose shapes tell the orientation of a folder.
_NUM_FIRST_FILES = 16


class ChannelError(FeatureError):
    """A file has another number of channels than is expected."""


class LayoutError(FeatureError):
    """It is not clear which axis of the files is time."""


def to_float32(features: np.ndarray) -> np.ndarray:
    """Copy as C-contiguous float32; what is too large for it becomes infinite."""
    with np.errstate(over='ignore'):
        return np.array(features, dtype=np.float32, order='C')


class FeatureFolder:
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
        >>> folder = tempfile.mkdtemp()
        >>> np.save(f'{folder}/v_a.npy', np.zeros((50, 400), np.float32))
        >>> FeatureFolder(folder, feat_dim=400).load('v_a').shape
        (400, 50)
    """

    def __init__(self, root: str | os.PathLike, suffix: str | None = None, prefix: str = '',
                 key: str | None = None, layout: str | None = None,
                 feat_dim: int | None = None) -> None:
        if layout not in (None, 'TC', 'CT'):
            raise ValueError(f"layout is {layout!r}, expected 'TC', 'CT' or None")
        if suffix is not None and not suffix.endswith(SUFFIXES):
            raise ValueError(f'suffix is {suffix!r}, expected an end of {", ".join(SUFFIXES)}')
        self.root = Path(root)
        self.suffix = suffix
        self.prefix = prefix
        self.key = key
        self.layout = layout
        self.feat_dim = feat_dim
        self._names = self._list()
        self._lengths: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._names

    def ids(self) -> list[str]:
        """Ids of all videos, in the order of the sorted file names."""
        return list(self._names)

    def path(self, video_id: str) -> Path:
        """The file of a video; where there is none, the file that is expected."""
        if video_id in self._names:
            return self.root / self._names[video_id]
        suffix = self.suffix or Path(next(iter(self._names.values()))).suffix
        return self.root / f'{self.prefix}{video_id}{suffix}'

    @functools.cached_property
    def channels(self) -> int:
        """Number of channels C: ``feat_dim``, or what most of the first files have.

        Raises:
            FeatureError: The orientation of the files is not clear.
        """
        if self.feat_dim is not None:
            return self.feat_dim
        sizes = (shape[1] if self._layout_of(shape, suffix) == 'TC' else shape[0]
                 for shape, suffix in self._first_shapes)
        return collections.Counter(sizes).most_common(1)[0][0]

    def length(self, video_id: str) -> int:
        """Number of snippets T of a video; of ``.npy .npz .h5`` only the header is read.

        Raises:
            FeatureError: As :meth:`load`; values are not looked at.
        """
        if video_id not in self._lengths:
            with self._reading(video_id) as path:
                shape = array_shape(path, self.key)
                self._lengths[video_id] = shape[self._time_axis(shape, path.suffix)]
        return self._lengths[video_id]

    def load(self, video_id: str) -> np.ndarray:
        """Read all features of a video.

        Returns:
            Float32 ``(C, T)``, C-contiguous, finite.

        Raises:
            FeatureError: There is no such file, it is damaged or empty, its shape or dtype is not
                that of features, or a value is NaN or infinite.
        """
        return self._read(video_id, 0, None)

    def window(self, video_id: str, start: int, length: int) -> np.ndarray:
        """Read the snippets ``start .. start + length - 1`` of a video.

        Returns:
            Float32 ``(C, length)``, C-contiguous, finite.

        Raises:
            FeatureError: As :meth:`load`, for this window.
            IndexError: The window is not inside the features.
        """
        total = self.length(video_id)
        if not 0 <= start <= start + length <= total:
            raise IndexError(f'features of {video_id!r} have {total} snippets; asked for {length} '
                             f'from {start}')
        return self._read(video_id, start, start + length)

    def stored(self, video_id: str) -> np.ndarray:
        """Read all features of a video as the file has them.

        Returns:
            ``(C, T)``, C-contiguous, of the file's dtype; NaN and infinity are left in.

        Raises:
            FeatureError: As :meth:`load`, but for NaN and infinity.
        """
        with self._opened(video_id, 0, None) as part:
            return np.array(part, order='C')

    @contextlib.contextmanager
    def _opened(self, video_id: str, start: int, stop: int | None) -> Iterator[np.ndarray]:
        """Give the snippets ``start .. stop - 1`` as the file has them, ``(C, stop - start)``."""
        with self._reading(video_id) as path, open_array(path, self.key) as array:
            time_axis = self._time_axis(array.shape, path.suffix)
            if array.dtype.kind not in 'iuf':
                raise FeatureError(f'expected numbers, got dtype {array.dtype}: write the features '
                                   'as float32')
            yield array[start:stop].T if time_axis == 0 else array[:, start:stop]

    def _read(self, video_id: str, start: int, stop: int | None) -> np.ndarray:
        with self._opened(video_id, start, stop) as part:
            features = to_float32(part)
            bad = np.flatnonzero(~np.isfinite(features).all(axis=0))
            if bad.size:
                raise FeatureError(
                    f'expected finite float32 values, got NaN or Inf in {bad.size} of '
                    f'{features.shape[1]} snippets, the first is snippet {start + bad[0]}: extract '
                    'the features of this video again')
        return features

    @contextlib.contextmanager
    def _reading(self, video_id: str) -> Iterator[Path]:
        """Give the file; a failure to read it becomes an error that names video and file."""
        path = self.path(video_id)
        where = f'features of {video_id!r} ({path})'
        if video_id not in self._names:
            raise FeatureError(
                f'{where}: expected this file, got none; the folder has {len(self)} others, such '
                f'as {next(iter(self._names.values()))!r}: check prefix and suffix')
        try:
            yield path
        except FeatureError as error:
            raise type(error)(f'{where}: {error}') from error
        except (ImportError, MemoryError):
            raise
        except Exception as error:
            # A damaged file makes the libraries that read these formats raise nearly anything.
            raise FeatureError(
                f'{where}: expected a readable {path.suffix} file, got {type(error).__name__} '
                f'({error}): it may be truncated or of another format; write it again') from error

    def _list(self) -> dict[str, str]:
        """Map ids to file names."""
        if not self.root.is_dir():
            raise FeatureError(f'feature folder {self.root} does not exist: check the path')
        with os.scandir(self.root) as entries:
            files = sorted(entry.name for entry in entries
                           if entry.is_file() and not entry.name.startswith('.'))
        names: dict[str, str] = {}
        for name in files:
            suffix = next((end for end in self._suffixes() if name.endswith(end)), None)
            if suffix is None or not name.startswith(self.prefix):
                continue
            video_id = name[len(self.prefix):len(name) - len(suffix)]
            if video_id in names:
                raise FeatureError(
                    f'feature folder {self.root}: expected one file for {video_id!r}, got '
                    f'{names[video_id]!r} and {name!r}: choose one kind with suffix=...')
            if video_id:
                names[video_id] = name
        if not names:
            raise FeatureError(
                f'feature folder {self.root}: expected files {self.prefix}ID'
                f'{" or ".join(self._suffixes())}, got none among {len(files)} files '
                f'{files[:3]}: check the path, prefix and suffix')
        return names

    def _suffixes(self) -> tuple[str, ...]:
        return SUFFIXES if self.suffix is None else (self.suffix,)

    def _time_axis(self, shape: tuple[int, ...], suffix: str) -> int:
        """Check a shape and tell which of its two axes is time."""
        if len(shape) != 2:
            raise FeatureError(f'expected two axes, (T, C) or (C, T), got shape {tuple(shape)}')
        if 0 in shape:
            raise FeatureError(f'expected at least one snippet, got shape {tuple(shape)}')
        layout = self._layout_of(shape, suffix)
        channels = shape[1] if layout == 'TC' else shape[0]
        if channels != self.channels:
            source = '' if self.feat_dim is not None else ' as in the first files of the folder'
            raise ChannelError(
                f'expected {self.channels} channels{source}, got {channels}: shape {tuple(shape)} '
                f'was read as ({layout[0]}, {layout[1]}); check the encoder, feat_dim and layout')
        return 0 if layout == 'TC' else 1

    def _layout_of(self, shape: tuple[int, ...], suffix: str) -> str:
        if self.layout is not None:
            return self.layout
        if suffix == '.csv':
            return 'TC'
        if self.feat_dim is not None:
            if self.feat_dim not in shape:
                raise ChannelError(f'expected {self.feat_dim} channels, got shape {tuple(shape)}: '
                                   'check the encoder and feat_dim')
            if shape[0] != shape[1]:
                return 'TC' if shape[1] == self.feat_dim else 'CT'
        return self._common_layout

    @functools.cached_property
    def _first_shapes(self) -> list[tuple[tuple[int, ...], str]]:
        """Shape and suffix of the first good files. A damaged one is reported when its turn comes."""
        found: list[tuple[tuple[int, ...], str]] = []
        problem = None
        for video_id in self._names:
            if len(found) == _NUM_FIRST_FILES:
                break
            try:
                with self._reading(video_id) as path:
                    shape = array_shape(path, self.key)
            except FeatureError as error:
                problem = error
                continue
            if len(shape) == 2 and 0 not in shape:
                found.append((shape, path.suffix))
        if not found:
            raise problem or FeatureError(
                f'feature folder {self.root}: expected arrays with two axes, got none in the first '
                f'{len(self)} files: check what was extracted')
        return found

    @functools.cached_property
    def _common_layout(self) -> str:
        """The one layout under which the first files agree on the number of channels."""
        shapes = [shape for shape, suffix in self._first_shapes if suffix != '.csv']
        sizes = {'TC': {shape[1] for shape in shapes}, 'CT': {shape[0] for shape in shapes}}
        fitting = [layout for layout, channels in sizes.items()
                   if len(channels) == 1 and self.feat_dim in (None, *channels)]
        if len(fitting) == 1:
            return fitting[0]
        seen = ', '.join(str(shape) for shape in sorted(set(shapes))[:4])
        raise LayoutError(
            f'(T, C) or (C, T)? The first {len(shapes)} files of {self.root} have the shapes '
            f"{seen}, which does not tell: say layout='TC' (rows are snippets) or layout='CT' "
            '(rows are channels)')
