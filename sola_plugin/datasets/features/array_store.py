"""What stores of arrays share: which axis is time, and checks of what is read."""

from __future__ import annotations

import abc
import collections
import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from .axes import NO_CROPS, Crops, TwoAxes, channels_first, two_axes
from .notices import say_once
from .readers import ROWS, ChannelError, FeatureError, LayoutError, reading
from .store import FeatureStore, StoredForm

#: Videos whose shapes tell the orientation of all.
_NUM_FIRST = 16


class ArrayStore(FeatureStore):
    """Finds out which axis is time, and checks what is read.

    Args:
        name: The source as messages call it.
        layout: ``'TC'``, ``'CT'`` or ``None``, see
            :class:`~sola_plugin.datasets.features.folder.FeatureFolder`.
        feat_dim: Number of channels; ``None``: that of the first videos.
        crops: What to take of arrays with several crops of each frame.

    Raises:
        ValueError: ``layout`` is none of the known ones.
    """

    def __init__(
        self, name: str, layout: str | None, feat_dim: int | None, crops: Crops = NO_CROPS
    ) -> None:
        if layout not in (None, 'TC', 'CT'):
            raise ValueError(f"layout is {layout!r}, expected 'TC', 'CT' or None")
        self.name = name
        self.layout = layout
        self.feat_dim = feat_dim
        self.crops = crops
        self._lengths: dict[str, int] = {}
        #: Id of a video → what its array, or file, is called. A subclass fills it.
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._names

    def ids(self) -> list[str]:
        """Ids of all videos, in the order of the file or of the sorted file names."""
        return list(self._names)

    def stored_name(self, video_id: str) -> str:
        """Name of a video's file or array."""
        if video_id not in self:
            raise self._absent(video_id)
        return self._names[video_id]

    def form(self, video_id: str) -> StoredForm:
        """How the features of a video lie in their file, without axes of length 1 and crops."""
        with self._opened(video_id) as (array, time_axis):
            layout = 'TC' if time_axis == 0 else 'CT'
            return StoredForm(layout, np.dtype(array.dtype))

    @abc.abstractmethod
    def _suffix(self, video_id: str) -> str:
        """The format of a video's file, such as ``'.npy'``."""

    @abc.abstractmethod
    def _shape(self, video_id: str) -> tuple[int, ...]:
        """Shape of a video's array."""

    @abc.abstractmethod
    def _open(self, video_id: str) -> contextlib.AbstractContextManager[Any]:
        """Open a video's array: an object with ``shape``, ``dtype`` and slicing as NumPy's."""

    @functools.cached_property
    def channels(self) -> int:
        """Number of channels C: ``feat_dim``, or what most of the first videos have.

        Raises:
            FeatureError: The orientation of the arrays is not clear.
        """
        if self.feat_dim is not None:
            return self.feat_dim
        sizes = (
            shape[1] if self._layout_of(shape, suffix) == 'TC' else shape[0]
            for shape, suffix in self._first_shapes
        )
        return collections.Counter(sizes).most_common(1)[0][0]

    def length(self, video_id: str) -> int:
        """Number of snippets T of a video; of ``.npy .npz .h5`` only the header is read.

        Raises:
            FeatureError: As :meth:`load`; values are not looked at.
        """
        if video_id not in self._lengths:
            with self._reading(video_id):
                shape = two_axes(self._shape(video_id), self.crops)
                self._lengths[video_id] = shape[self._time_axis(shape, self._suffix(video_id))]
        return self._lengths[video_id]

    def draw(self, video_id: str) -> np.ndarray:
        """Read all features of a video, of one crop where that is drawn at random."""
        return self._read(video_id, 0, None, drawn=True)

    def stored(self, video_id: str) -> np.ndarray:
        """Read all features of a video as the file has them.

        Returns:
            ``(C, T)``, C-contiguous, of the file's dtype; NaN and infinity are left in.

        Raises:
            FeatureError: As :meth:`load`, but for NaN and infinity.
        """
        with self._opened(video_id) as (array, time_axis):
            return np.array(array[:].T if time_axis == 0 else array[:], order='C')

    @contextlib.contextmanager
    def _opened(self, video_id: str, drawn: bool = False) -> Iterator[tuple[Any, int]]:
        """Open a video's array; give it and its time axis."""
        with self._reading(video_id), self._open(video_id) as opened:
            array = TwoAxes(opened, self.crops, drawn)
            time_axis = self._time_axis(array.shape, self._suffix(video_id))
            if array.dtype.kind not in 'iuf':
                raise FeatureError(
                    f'expected numbers, got dtype {array.dtype}: write the features as float32'
                )
            yield array, time_axis

    def _read(self, video_id: str, start: int, stop: int | None, drawn: bool = False) -> np.ndarray:
        with self._opened(video_id, drawn) as (array, time_axis):
            with np.errstate(over='ignore'):
                features = (
                    channels_first(array[start:stop])
                    if time_axis == 0
                    else np.array(array[:, start:stop], dtype=np.float32, order='C')
                )
            bad = np.flatnonzero(~np.isfinite(features).all(axis=0))
            if bad.size:
                raise FeatureError(
                    f'expected finite float32 values, got NaN or Inf in {bad.size} of '
                    f'{features.shape[1]} snippets, the first is snippet {start + bad[0]}: extract '
                    'the features of this video again'
                )
        return features

    def _reading(self, video_id: str) -> contextlib.AbstractContextManager[None]:
        """Turn a failure to read a video into an error that names video and file."""
        if video_id not in self:
            raise self._absent(video_id)
        return reading(f'features of {video_id!r} ({self.where(video_id)})', self._suffix(video_id))

    def _time_axis(self, shape: tuple[int, ...], suffix: str) -> int:
        """Check a shape of two axes and tell which of them is time."""
        if 0 in shape:
            raise FeatureError(f'expected at least one snippet, got shape {tuple(shape)}')
        layout = self._layout_of(shape, suffix)
        channels = shape[1] if layout == 'TC' else shape[0]
        if channels != self.channels:
            source = '' if self.feat_dim is not None else ' as in the first videos'
            raise ChannelError(
                f'expected {self.channels} channels{source}, got {channels}: shape {tuple(shape)} '
                f'was read as ({layout[0]}, {layout[1]}); check the encoder, feat_dim and layout'
            )
        return 0 if layout == 'TC' else 1

    def _layout_of(self, shape: tuple[int, ...], suffix: str) -> str:
        if self.layout is not None:
            return self.layout
        if suffix in ROWS:
            return 'TC'
        if self.feat_dim is not None:
            if self.feat_dim not in shape:
                raise ChannelError(
                    f'expected {self.feat_dim} channels, got shape {tuple(shape)}: '
                    'check the encoder and feat_dim'
                )
            if shape[0] != shape[1]:
                return 'TC' if shape[1] == self.feat_dim else 'CT'
        return self._common_layout

    @functools.cached_property
    def _first_shapes(self) -> list[tuple[tuple[int, ...], str]]:
        """Shape and suffix of the first good videos; a damaged one is reported at its turn."""
        found: list[tuple[tuple[int, ...], str]] = []
        problem = None
        for video_id in self.ids():
            if len(found) == _NUM_FIRST:
                break
            try:
                with self._reading(video_id):
                    whole = self._shape(video_id)
                    shape = two_axes(whole, self.crops)
            except FeatureError as error:
                problem = problem or error
                continue
            if 0 not in shape:
                found.append((shape, self._suffix(video_id)))
                if len(whole) - len(shape) != (self.crops.take is not None):
                    say_once(f'{self.name}: of {len(whole)} axes those of length 1 are left out')
        if not found:
            raise problem or FeatureError(
                f'{self.name}: expected arrays with two axes, got none in {len(self)} '
                'videos: check what was '
                'extracted'
            )
        return found

    @functools.cached_property
    def _common_layout(self) -> str:
        """The one layout under which the first videos agree on the number of channels."""
        shapes = [shape for shape, suffix in self._first_shapes if suffix not in ROWS]
        sizes = {'TC': {shape[1] for shape in shapes}, 'CT': {shape[0] for shape in shapes}}
        fitting = [
            layout
            for layout, channels in sizes.items()
            if len(channels) == 1 and self.feat_dim in (None, *channels)
        ]
        if len(fitting) == 1:
            return fitting[0]
        seen = ', '.join(str(shape) for shape in sorted(set(shapes))[:4])
        raise LayoutError(
            f'(T, C) or (C, T)? The first {len(shapes)} videos of {self.name} have the shapes '
            f"{seen}, which does not tell: say layout='TC' (rows are snippets) or layout='CT' "
            '(rows are channels)'
        )
