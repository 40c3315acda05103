"""The features of one video that are read a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .store import FeatureStore

#: Formats of which a part cannot be read without the rest.
_READ_WHOLE = ('.npz', '.csv', '.txt', '.pt', '.pth', '.pkl', '.pickle')

#: Bytes of features that are held at a time.
_BLOCK_BYTES = 1 << 23


class LazyFeatures:
    """Features ``(C, T)`` of one video that are read when they are sliced.

    Args:
        shape: ``(C, T)``.
        read: From first and last (exclusive) snippet to finite float32 ``(C, n)``.

    A slice ``[:, start:stop]`` is a float32 array.
    """

    def __init__(self, shape: tuple[int, int], read: Callable[[int, int], np.ndarray]) -> None:
        self.shape = shape
        self._read = read

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        channels, snippets = index
        start, stop, step = snippets.indices(self.shape[1])
        if channels != slice(None) or step != 1:
            raise IndexError(f'features are sliced as [:, start:stop], got {index}')
        return self._read(start, stop)

    def spans(self) -> Iterator[tuple[int, int]]:
        """First and last (exclusive) snippet of parts that take little memory, in order."""
        channels, total = self.shape
        size = max(1, _BLOCK_BYTES // (4 * channels))
        for start in range(0, total, size):
            yield start, min(start + size, total)


def stored_features(store: FeatureStore, video_id: str) -> LazyFeatures:
    """Features of a video in a store.

    Args:
        store: See :func:`~sola_plugin.datasets.features.open.open_features`.
        video_id: One of its ids.

    Raises:
        FeatureError: They cannot be read; NaN and infinite values are found when they are.
    """
    if any(path.suffix.lower() in _READ_WHOLE for path in store.files(video_id)):
        whole = store.load(video_id)
        return LazyFeatures(whole.shape, lambda start, stop: whole[:, start:stop])
    shape = (store.channels, store.length(video_id))
    return LazyFeatures(shape, lambda start, stop: store.window(video_id, start, stop - start))
