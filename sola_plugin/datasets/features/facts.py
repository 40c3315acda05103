"""What feature files hold: all that the checks want to know, from one look at each file."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

import numpy as np

from .readers import FeatureError, LayoutError
from .store import FeatureStore

#: Axes that are shorter tell nothing of what neighbours have in common.
_MIN_AXIS = 8


@dataclasses.dataclass(frozen=True)
class FeatureFacts:
    """What one feature file holds.

    Attributes:
        channels: C.
        length: T.
        dtype: Of the values in the file.
        digest: Hash of shape, dtype and values: equal for equal content.
        bad_snippets: Number of snippets with NaN or infinity.
        first_bad: Snippet and channel of the first of these values; ``None`` where all are finite.
        constant: Whether all values are equal.
        zero_snippets: Number of snippets of zeros.
        counting: Channels whose values rise by the same step from snippet to snippet, as row
            numbers and time stamps do.
        norm: Mean over the snippets of the L2 norm; NaN with ``first_bad``.
        alike_in_time: Correlation of neighbours along the time axis, ``[-1, 1]``.
        alike_in_channels: The same along the channels.
    """

    channels: int
    length: int
    dtype: str
    digest: bytes
    bad_snippets: int = 0
    first_bad: tuple[int, int] | None = None
    constant: bool = False
    zero_snippets: int = 0
    counting: tuple[int, ...] = ()
    norm: float = float('nan')
    alike_in_time: float = 0.0
    alike_in_channels: float = 0.0


def describe(stored: np.ndarray) -> FeatureFacts:
    """Look at the features of a video once.

    Args:
        stored: ``(C, T)``, as ``FeatureStore.stored`` reads them.

    Example:
        >>> describe(np.zeros((4, 9), np.float16)).constant
        True
    """
    channels, length = stored.shape
    digest = hashlib.blake2b(f'{stored.shape} {stored.dtype}'.encode(), digest_size=16)
    digest.update(np.ascontiguousarray(stored).data)
    seen = FeatureFacts(channels, length, str(stored.dtype), digest.digest())
    with np.errstate(over='ignore'):
        features = stored.astype(np.float32, order='C')
    finite = np.isfinite(features)
    if not finite.all():
        bad = np.flatnonzero(~finite.all(axis=0))
        first = (int(bad[0]), int(np.argmin(finite[:, bad[0]])))
        return dataclasses.replace(seen, bad_snippets=len(bad), first_bad=first)
    norms = np.sqrt(np.einsum('ct,ct->t', features, features, dtype=np.float64))
    return dataclasses.replace(
        seen,
        constant=bool(features.min() == features.max()),
        zero_snippets=int(np.count_nonzero(norms == 0)),
        counting=_counting(features),
        norm=float(norms.mean()),
        alike_in_time=_alike(features),
        alike_in_channels=_alike(features.T),
    )


def _counting(features: np.ndarray) -> tuple[int, ...]:
    """Channels of ``(C, T)`` whose steps in time are all alike."""
    if features.shape[1] < _MIN_AXIS:
        return ()
    step = features[:, 1] - features[:, 0]
    tolerance = 1e-3 * np.abs(step)
    # Few channels pass the first look.
    near = np.flatnonzero(
        (step != 0) & (np.abs(features[:, 2] - features[:, 1] - step) <= tolerance)
    )
    alike = np.abs(np.diff(features[near], axis=1) - step[near, None]) <= tolerance[near, None]
    return tuple(near[alike.all(axis=1)].tolist())


def _alike(features: np.ndarray) -> float:
    """Correlation of neighbours along the last axis."""
    if min(features.shape) < _MIN_AXIS:
        return 0.0
    centred = features - features.mean(axis=1, keepdims=True)
    power = _mean_product(centred, centred)
    return _mean_product(centred[:, 1:], centred[:, :-1]) / power if power > 0 else 0.0


def _mean_product(a: np.ndarray, b: np.ndarray) -> float:
    """Mean of ``a * b`` without an array of the products."""
    return float(np.einsum('ct,ct->', a, b, dtype=np.float64)) / a.size


def read_facts(
    store: FeatureStore, video_ids: Iterable[str]
) -> tuple[dict[str, FeatureFacts], dict[str, FeatureError]]:
    """Read the features of every video once, one at a time.

    Args:
        store: The features.
        video_ids: Whose; an iterable that shows progress will do.

    Returns:
        What there is at each place (``FeatureStore.where``), and why others cannot be read.

    Raises:
        LayoutError: It is not clear which axis of the files is time.
    """
    facts, failures = {}, {}
    for video_id in video_ids:
        try:
            facts[store.where(video_id)] = describe(store.stored(video_id))
        except LayoutError:
            raise
        except FeatureError as error:
            # Without its traceback, which would keep the arrays of the file.
            failures[store.where(video_id)] = type(error)(str(error))
    return facts, failures
