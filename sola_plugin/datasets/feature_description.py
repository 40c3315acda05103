"""``features.json``: what was noted of the features in a folder when they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .feature_readers import FeatureError

DESCRIPTION_NAME = 'features.json'

#: What a description says of single videos.
_OF_VIDEOS = ('videos', 'failed')

#: Numbers that agree to four digits are the same, rounded by hand; 29.97 and 30 frames a second are
#: not.
_ROUNDING = 5e-4


def describe_source(source: Any) -> dict[str, Any]:
    """Read what is noted of features, without opening them.

    Args:
        source: As for :func:`~sola_plugin.datasets.feature_sources.open_features`. Of several
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
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise FeatureError(
            f'{path}: expected what tools/extract_features.py writes, got no JSON ({error}): '
            'remove the file, and give feature_stride and feature_offset'
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
