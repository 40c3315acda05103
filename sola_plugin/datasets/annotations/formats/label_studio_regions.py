"""Regions of Label Studio: from frames or seconds and labels to actions."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sola_plugin.messages import first_few

from .json_values import get, is_finite_number, items
from .records import AnnotationError, Rates, checked_segment

#: Part by which lengths of the same file may differ.
_SAME_LENGTH = 0.01

#: Video, where it stands, and what.
Row = tuple[str, str, Any]


def _in_frames(region: Any) -> bool:
    value = region.get('value') if isinstance(region, dict) else None
    return isinstance(value, dict) and 'timelinelabels' in value


def check_rates(path: Path, rows: Sequence[Row], fps: Rates | None) -> None:
    """Check that the frame rate of every video with regions in frames is known.

    Raises:
        AnnotationError: That of a video is not.
    """
    videos = dict.fromkeys(video_id for video_id, _, region in rows if _in_frames(region))
    unknown = [video_id for video_id in videos if fps is None or fps(video_id) is None]
    if unknown:
        raise AnnotationError(
            f'{path}: ranges of timelinelabels are frames, and the frame rate is not known for '
            f'{len(unknown)} of {len(videos)} videos: {first_few(map(repr, unknown))}. Convert the '
            'file with tools/convert_annotations.py --fps F (the frameRate of the project, 24 '
            'where it has none), or a column fps in the file of --durations'
        )


def actions_of(
    rows: Sequence[Row], fps: Rates | None, counts: collections.Counter[str]
) -> Iterator[Row]:
    """Make rows of one segment with one label, of a fact, or of a fault.

    Args:
        rows: Video, where it stands, and the region; ``None``, where there is none.
        fps: Frame rates, of regions in frames.
        counts: Takes what is not kept.
    """
    lengths: dict[str, float] = {}
    for video_id, where, region in rows:
        if region is None:
            yield video_id, where, {}
            continue
        try:
            rate = fps(video_id) if fps is not None and _in_frames(region) else None
            for one in _actions(region, where, rate, counts):
                if 'duration' in one:
                    first = lengths.setdefault(video_id, one['duration'])
                    # Browsers measure the same audio with other last digits.
                    if math.isclose(one['duration'], first, rel_tol=_SAME_LENGTH):
                        one['duration'] = first
                yield video_id, where, one
        except AnnotationError as error:
            yield video_id, where, error


def _actions(
    region: Any, where: str, fps: float | None, counts: collections.Counter[str]
) -> list[dict]:
    value = get(region, 'value', where)
    if not isinstance(value, dict):
        raise AnnotationError(f"{where}: expected an object under 'value', got {value!r}")
    facts = {}
    length = region.get('original_length')
    if is_finite_number(length) and length > 0:
        facts['duration'] = float(length)
    if fps is not None:
        segments = [_seconds_of_frames(one, where, fps) for one in items(value, 'ranges', where)]
        labels = _labels(value, 'timelinelabels', where)
    elif 'labels' in value and 'start' in value and not {'text', 'sequence'} & set(value):
        start, end = (_number(value.get(key)) for key in ('start', 'end'))
        given = f'{value.get("start")!r} and {value.get("end")!r}'
        segments = [checked_segment(start, end, where, given)]
        labels = _labels(value, 'labels', where)
    else:
        counts[f'results of type {region.get("type")!r} are no labelled times, and not kept'] += 1
        return [facts]
    return [
        facts,
        *(
            dict(action=dict(segment=list(one), label=label))
            for one in segments
            for label in labels
        ),
    ]


def _number(value: Any) -> float | None:
    return value if is_finite_number(value) else None


def _seconds_of_frames(given: Any, where: str, fps: float) -> list[float]:
    frames = [get(given, key, where) for key in ('start', 'end')]
    if not all(map(is_finite_number, frames)):
        raise AnnotationError(f'{where}: expected numbers of frames, got {given!r}')
    start, end = frames
    if start < 0 or end < start:
        raise AnnotationError(
            f'{where}: expected frames from 1 on, the end not before the start, got {given!r}'
        )
    # The first frame is 1; what was imported may begin with 0.
    return [max(start - 1, 0) / fps, end / fps]


def _labels(value: Mapping[str, Any], key: str, where: str) -> list[str]:
    labels = value[key]
    if not isinstance(labels, list) or not all(isinstance(one, str) and one for one in labels):
        raise AnnotationError(f'{where}: expected texts under {key!r}, got {labels!r}')
    if not labels:
        raise AnnotationError(f'{where}: expected a label under {key!r}, got none')
    return labels


def parse_row(row: Any, where: str) -> tuple[dict | None, dict[str, Any]]:
    """The action of a row, if any, and what it says of its video."""
    if isinstance(row, AnnotationError):
        raise row
    return row.get('action'), {key: value for key, value in row.items() if key != 'action'}
