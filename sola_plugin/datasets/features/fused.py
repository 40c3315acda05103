"""Several sources of features for the same videos, joined along the channels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sola_plugin.messages import first_few

from .readers import FeatureError
from .store import FeatureStore, StoredForm

#: Gives the snippets ``first .. last - 1`` of a video, float32 ``(C, last - first)``.
Read = Callable[[int, int], np.ndarray]

#: Lengths that differ by this many snippets are the same but for how the end of a video was
#: treated.
_FEW_SNIPPETS = 2


class FusedFeatures(FeatureStore):
    """RGB and flow, or several encoders: their channels one after the other.

    The sources cover the same stretch of a video. Where one has fewer snippets, it is interpolated
    to the snippets of the longest, as the heads resize features: snippets are intervals that share
    their outer borders, see :func:`resized_window`.

    Args:
        stores: The sources, in the order of the channels.
        feat_dim: Number of channels of all together that is expected; ``None``: any.
        max_stretch: Largest ratio of the lengths in two sources. Lengths that differ by up to 2
            snippets are always admitted. Beyond that one of the sources has another stride: an
            error unless it is meant.

    Raises:
        FeatureError: No video is in all sources, or there are other channels than ``feat_dim``.
        ValueError: No source is given, or ``max_stretch`` is below 1.

    Warns:
        UserWarning: Videos are left out that are in some of the sources only.
    """

    def __init__(
        self, stores: Sequence[FeatureStore], feat_dim: int | None = None, max_stretch: float = 1.05
    ) -> None:
        if not stores:
            raise ValueError('expected at least one source of features, got an empty list')
        if max_stretch < 1:
            raise ValueError(f'max_stretch is {max_stretch}, expected a ratio of at least 1')
        self.name = ' + '.join(store.name for store in stores)
        self.stores = tuple(stores)
        self.feat_dim = feat_dim
        self.max_stretch = max_stretch
        self._ids = dict.fromkeys(video_id for video_id in stores[0].ids() if video_id in self)
        self._report_incomplete()
        if feat_dim is not None:
            _ = self.channels

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, video_id: object) -> bool:
        return all(video_id in store for store in self.stores)

    def ids(self) -> list[str]:
        """Ids of the videos that are in all sources, in the order of the first."""
        return list(self._ids)

    @property
    def channels(self) -> int:
        """Sum of the sources' channels.

        Raises:
            FeatureError: A source does not tell, or the sum is not ``feat_dim``.
        """
        channels = [store.channels for store in self.stores]
        if self.feat_dim not in (None, sum(channels)):
            raise FeatureError(
                f'{self.name}: expected {self.feat_dim} channels together, got '
                f'{" + ".join(map(str, channels))}: check the sources and feat_dim'
            )
        return sum(channels)

    def length(self, video_id: str) -> int:
        """Number of snippets T of the longest source.

        Raises:
            FeatureError: As :meth:`load`; values are not looked at.
        """
        return self._longest(video_id, [store.length(video_id) for store in self.stores])

    def where(self, video_id: str) -> str:
        """The places in all sources, or where those are expected that lack the video."""
        lacking = [store for store in self.stores if video_id not in store]
        return ' + '.join(store.where(video_id) for store in lacking or self.stores)

    def files(self, video_id: str) -> tuple[Path, ...]:
        """The files of all sources."""
        return tuple(path for store in self.stores for path in store.files(video_id))

    def form(self, video_id: str) -> StoredForm:
        """That of the first source."""
        return self.stores[0].form(video_id)

    def stored_name(self, video_id: str) -> str:
        """That of the first source."""
        return self.stores[0].stored_name(video_id)

    def _read(self, video_id: str, start: int, stop: int | None) -> np.ndarray:
        reads: list[Read]
        if stop is None:
            # Files that can only be read whole are read once: their lengths come with them.
            whole = [store.load(video_id) for store in self.stores]
            lengths, reads = [features.shape[1] for features in whole], list(map(_slices, whole))
        else:
            lengths = [store.length(video_id) for store in self.stores]
            reads = [_windows(store, video_id) for store in self.stores]
        total = self._longest(video_id, lengths)
        return np.concatenate(
            [
                resized_window(read, length, total, start, total if stop is None else stop)
                for read, length in zip(reads, lengths)
            ]
        )

    def _longest(self, video_id: str, lengths: list[int]) -> int:
        """Check the lengths in the sources against each other."""
        longest, shortest = max(lengths), min(lengths)
        if longest - shortest > _FEW_SNIPPETS and longest > self.max_stretch * shortest:
            raise FeatureError(
                f'features of {video_id!r} ({self.where(video_id)}): expected lengths within '
                '2 snippets or '
                f'{self.max_stretch:g} times of each other, got '
                f'{" and ".join(map(str, lengths))}: the '
                'strides differ, or one was cut short. Extract with one stride, or admit it '
                'with max_stretch='
                f'{np.ceil(100 * longest / shortest) / 100:g}'
            )
        return longest

    def _report_incomplete(self) -> None:
        union = dict.fromkeys(video_id for store in self.stores for video_id in store.ids())
        partly = [video_id for video_id in union if video_id not in self._ids]
        if not self._ids:
            examples = ', '.join(f'{store.ids()[0]!r} in {store.name}' for store in self.stores)
            raise FeatureError(
                f'no video is in all sources; there are, for example, {examples}: check '
                'prefix and suffix'
            )
        if partly:
            warnings.warn(
                f'{len(partly)} of {len(union)} videos are not in all of {self.name} and are left '
                f'out: {first_few(map(repr, partly))}',
                stacklevel=3,
            )


def _slices(features: np.ndarray) -> Read:
    return lambda first, last: features[:, first:last]


def _windows(store: FeatureStore, video_id: str) -> Read:
    return lambda first, last: store.window(video_id, first, last - first)


def resized_window(read: Read, length: int, total: int, start: int, stop: int) -> np.ndarray:
    """Read a window of features that are resized to more snippets, by linear interpolation.

    It is the resize of :func:`~sola_plugin.heads.shared.neck_support.resize_features`
    (``align_corners=False``): snippet i of ``total`` is centred at ``(i + 0.5) / total`` of the
    stretch that the features cover, and the first and the last value are kept beyond the outermost
    centres. A window is computed as it is in the whole, so it is equal to its slice to the bit.

    Args:
        read: Gives the snippets from one number to before another.
        length: Number of snippets there are.
        total: Number of snippets to which they are resized.
        start: First snippet of the window, of ``total``.
        stop: One past its last.

    Returns:
        Float32 ``(C, stop - start)``.
    """
    if length == total:
        return read(start, stop)
    if start == stop:
        return read(0, 0)
    positions = np.maximum((np.arange(start, stop) + 0.5) * (length / total) - 0.5, 0)
    lower = np.minimum(positions.astype(int), length - 1)
    upper = np.minimum(lower + 1, length - 1)
    weight = (positions - lower).astype(np.float32)
    first = int(lower[0])
    features = read(first, int(upper[-1]) + 1)
    return features[:, lower - first] * (1 - weight) + features[:, upper - first] * weight
