"""Read what evaluation needs from the metainfo of a data sample, ours or mmaction2's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STOCK_KEYS = ('duration_second', 'duration_frame', 'feature_frame')


def read(metainfo: Mapping[str, Any], key: str) -> Any:
    """Return ``metainfo[key]``.

    Raises:
        ValueError: The key is missing; the message says how to get it into the metainfo.
    """
    if key not in metainfo:
        raise ValueError(_missing(metainfo, repr(key)))
    return metainfo[key]


def feature_span(metainfo: Mapping[str, Any]) -> tuple[float, float]:
    """Return the ``(start, end)`` in seconds that a video's features cover.

    With mmaction2's own annotation keys, the features cover ``feature_frame`` of ``duration_frame``
    frames from the start of the video.

    Raises:
        ValueError: Neither ``feature_span`` nor all of mmaction2's keys are there.
    """
    if 'feature_span' in metainfo:
        start, end = metainfo['feature_span']
        return float(start), float(end)
    if any(key not in metainfo for key in _STOCK_KEYS):
        stock = ', '.join(map(repr, _STOCK_KEYS))
        raise ValueError(_missing(metainfo, f"'feature_span' (or {stock})"))
    seconds, frames, covered = (float(metainfo[key]) for key in _STOCK_KEYS)
    return 0.0, covered / frames * seconds


def _missing(metainfo: Mapping[str, Any], keys: str) -> str:
    return (
        f'the data sample of video {metainfo.get("video_name", "?")!r} has no {keys} in its '
        "metainfo: add it to 'meta_keys' of the packing transform (PackLocalizationInputs) in "
        "this dataset's pipeline"
    )
