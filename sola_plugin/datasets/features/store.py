"""Stores: features of many videos, read one video or window at a time."""

from __future__ import annotations

import abc
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .readers import FeatureError

#: File beside features that says how they were made.
DESCRIPTION_NAME = 'features.json'


class StoredForm(NamedTuple):
    """How the features of a video lie in their file.

    Attributes:
        layout: ``'TC'`` or ``'CT'``.
        dtype: Of the values.
    """

    layout: str
    dtype: np.dtype


class FeatureStore(abc.ABC):
    """Frozen features of many videos, read as float32 ``(C, T)``.

    :func:`~sola_plugin.datasets.features.open.open_features` makes the right one from a path. A
    store can be pickled, and read in several processes at once.

    Attributes:
        name: The source as messages call it.
    """

    name: str

    @abc.abstractmethod
    def ids(self) -> list[str]:
        """Ids of all videos, in a fixed order."""

    @abc.abstractmethod
    def __contains__(self, video_id: object) -> bool:
        """Whether there are features of a video."""

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.ids())

    @property
    @abc.abstractmethod
    def channels(self) -> int:
        """Number of channels C of all videos.

        Raises:
            FeatureError: The files do not tell.
        """

    @abc.abstractmethod
    def length(self, video_id: str) -> int:
        """Number of snippets T of a video.

        Raises:
            FeatureError: As :meth:`load`; values are not looked at.
        """

    @abc.abstractmethod
    def where(self, video_id: str) -> str:
        """The place of a video's features, or where they are expected, for messages."""

    @abc.abstractmethod
    def files(self, video_id: str) -> tuple[Path, ...]:
        """The files that hold the features of a video."""

    @abc.abstractmethod
    def stored_name(self, video_id: str) -> str:
        """Name of a video's file in its folder, or of its array in a file of many videos.

        Raises:
            FeatureError: There is none.
        """

    @abc.abstractmethod
    def form(self, video_id: str) -> StoredForm:
        """How the features of a video lie in their file; of several sources, in the first.

        Raises:
            FeatureError: As :meth:`load`; values are not looked at.
        """

    @abc.abstractmethod
    def _read(self, video_id: str, start: int, stop: int | None) -> np.ndarray:
        """Read the snippets ``start .. stop - 1``; ``None``: to the end."""

    def load(self, video_id: str) -> np.ndarray:
        """Read all features of a video.

        Returns:
            Float32 ``(C, T)``, C-contiguous, finite.

        Raises:
            FeatureError: There are none, they are damaged or empty, their shape or dtype is not
                that of features, or a value is NaN or infinite.
        """
        return self._read(video_id, 0, None)

    def draw(self, video_id: str) -> np.ndarray:
        """Read all features of a video for training: with ``crops='random'``, of one crop.

        Returns, Raises: as :meth:`load`.
        """
        return self.load(video_id)

    def stored(self, video_id: str) -> np.ndarray:
        """Read all features of a video, where possible as they are on disk.

        Returns:
            ``(C, T)``, C-contiguous. NaN and infinity may be left in.

        Raises:
            FeatureError: As :meth:`load`.
        """
        return self.load(video_id)

    def window(self, video_id: str, start: int, length: int) -> np.ndarray:
        """Read the snippets ``start .. start + length - 1`` of a video.

        Returns:
            Float32 ``(C, length)``, C-contiguous, finite; ``load(video_id)[:, start:start +
            length]``.

        Raises:
            FeatureError: As :meth:`load`, for this window.
            IndexError: The window is not inside the features.
        """
        total = self.length(video_id)
        if not 0 <= start <= start + length <= total:
            raise IndexError(
                f'features of {video_id!r} have {total} snippets; asked for {length} from {start}'
            )
        return self._read(video_id, start, start + length)

    def _absent(self, video_id: str) -> FeatureError:
        """The error for a video that is not there."""
        return FeatureError(
            f'features of {video_id!r} ({self.where(video_id)}) are missing; {self.name} has '
            f'{len(self)} others, such as {self.ids()[0]!r}: check prefix and suffix'
            f'{self.kinds_hint(video_id)}'
        )

    def kinds_hint(self, video_id: str) -> str:
        """Why a video may not be found: it has several kinds of files, or its id a folder in it."""
        endings = sorted(
            os.path.basename(self.where(name)).partition(video_id)[2]
            for name in self.ids()
            if name != video_id and name.startswith(video_id)
        )
        if len(endings) < 2 and '/' not in video_id:
            return ''
        if len(endings) < 2:
            return (
                '. Files of a folder have no / in their ids, arrays of one .h5 or .npz may: cut '
                'the ids of the annotations'
            )
        kinds = ', '.join(f'suffix={ending!r}' for ending in endings[:6])
        return f'. Of this video there are the kinds {kinds}: choose one, or fuse several'
