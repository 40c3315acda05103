"""Perception Test: the action segments of its JSON files."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

from .json_values import get, is_finite_number, items, label_ids, load_json, positive, text_of
from .records import AnnotationError, AnnotationFile, Options, Video, checked_segment

_ACTIONS = 'action_localisation'
_MICROSECONDS = 1_000_000
#: Times that differ by so much from those of the frames are in another unit.
_OTHER_UNIT = 10


def is_form(content: Any) -> bool:
    """Whether JSON has this form: there is ``metadata`` of the first video."""
    if not isinstance(content, dict) or 'database' in content:
        return False
    first = next(iter(content.values()), None)
    return isinstance(first, dict) and isinstance(first.get('metadata'), dict)


def read(path: Path, options: Options) -> AnnotationFile:
    """Read ``{id: {"metadata": {...}, "action_localisation": [...], ...}}``.

    ``timestamps`` of a segment are microseconds (the official page says ms; ``frame_ids``, where
    there are any, decide). Durations are ``num_frames / frame_rate``, subsets are ``split``.

    Args:
        path: The file.
        options: Not used.

    Returns:
        The videos; those without ``action_localisation`` have no actions.

    Raises:
        AnnotationError: It is not JSON, or no video of it has action segments.
        FileNotFoundError: There is no such file.
    """
    return parse(path, *load_json(path), options)


def parse(path: Path, content: Any, repeated: list[str], options: Options) -> AnnotationFile:
    """As :func:`read`, of what is loaded already, with the keys that are given twice."""
    if not is_form(content):
        raise AnnotationError(
            f'{path}: expected {{id: {{"metadata": {{"frame_rate", "num_frames", ...}}, '
            f'"{_ACTIONS}": [...]}}}} as the Perception Test has it'
        )
    videos, faults = {}, []
    for video_id, entry in content.items():
        try:
            videos[video_id] = _video(video_id, entry, f'video {video_id!r}')
        except AnnotationError as error:
            faults.append(str(error))
    good = [content[video_id] for video_id in videos]
    without = [video_id for video_id in videos if _ACTIONS not in content[video_id]]
    if good and len(without) == len(good) and any(v.subset != 'test' for v in videos.values()):
        others = ', '.join(repr(key) for key in good[0] if key != 'metadata')
        raise AnnotationError(
            f'{path}: no video has {_ACTIONS!r}, there are {others or "no segments"}: take the '
            'file of action localisation'
        )
    notes = _notes(good, len(without))
    return AnnotationFile(videos, tuple(faults), tuple(repeated), tuple(notes), 'perception_test')


def _video(video_id: str, entry: Any, where: str) -> Video:
    metadata = get(entry, 'metadata', where)
    fps = positive(metadata, 'frame_rate', f'{where}, metadata')
    num_frames = round(positive(metadata, 'num_frames', f'{where}, metadata'))
    if metadata.get('video_id', video_id) != video_id:
        raise AnnotationError(
            f"{where}: expected its id under 'video_id', got {metadata['video_id']!r}"
        )
    subset = text_of(metadata, 'split', where) if 'split' in metadata else None
    entries = items(entry, _ACTIONS, where) if _ACTIONS in entry else []
    actions = [
        _action(action, f'{where}, {_ACTIONS} {index}', fps) for index, action in enumerate(entries)
    ]
    return Video(num_frames / fps, subset, tuple(actions), None, fps, num_frames)


def _action(entry: Any, where: str, fps: float) -> dict:
    times = get(entry, 'timestamps', where)
    if not isinstance(times, list) or len(times) != 2 or not all(map(is_finite_number, times)):
        raise AnnotationError(
            f"{where}: expected [start, end] in microseconds under 'timestamps', got {times!r}"
        )
    start, end = (time / _MICROSECONDS for time in times)
    segment = checked_segment(start, end, where, f'{times} microseconds')
    frames = entry.get('frame_ids')
    if isinstance(frames, list) and len(frames) == 2 and all(map(is_finite_number, frames)):
        by_frames = frames[1] / fps
        # Near 0 a frame more or less is a large part.
        if by_frames > 1 and not 1 / _OTHER_UNIT < segment[1] / by_frames < _OTHER_UNIT:
            raise AnnotationError(
                f"{where}: 'timestamps' are no microseconds: the end {times[1]} would be "
                f"{segment[1]:g} s, that of 'frame_ids' is {by_frames:g} s"
            )
    return dict(segment=segment, label=text_of(entry, 'label', where))


def _notes(entries: list[dict], without: int) -> list[str]:
    others = collections.Counter(
        key for entry in entries for key in entry if key not in ('metadata', _ACTIONS)
    )
    notes = [f'{key!r} of {count} videos is not kept' for key, count in others.items()]
    if without:
        notes.append(f'{without} videos have no {_ACTIONS!r}: they are read without actions')
    return notes + label_ids(action for entry in entries for action in entry.get(_ACTIONS, ()))
