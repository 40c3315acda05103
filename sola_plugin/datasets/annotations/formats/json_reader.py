"""Reading JSON: ActivityNet's ``database``, what others add to it, and mmaction2's flat form."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sola_plugin.io import parse_json, read_text
from sola_plugin.messages import first_few

from .records import AnnotationError, AnnotationFile, Options, Video, parse_number

_DATABASE_KEYS = frozenset({'duration', 'subset', 'annotations', 'fps', 'frame'})
_FLAT_KEYS = frozenset(
    {'duration_second', 'duration_frame', 'feature_frame', 'fps', 'subset', 'annotations'}
)
_ACTION_KEYS = frozenset({'segment', 'label', 'label_id'})


def read_any(path: Path, options: Options) -> AnnotationFile:
    """Read JSON of either form; what the top object holds tells which.

    Args:
        path: The file.
        options: Not used.

    Returns:
        What is in it. ``form`` is ``'mmaction'``, ``'hacs'`` (durations are texts),
        ``'opentad'`` (there are ``label_id`` or ``frame``) or ``'activitynet'``.

    Raises:
        AnnotationError: It is not JSON, or of neither form.
        FileNotFoundError: There is no such file.
    """
    return _read(path)


def read_database(path: Path, options: Options) -> AnnotationFile:
    """Read the form of ActivityNet, HACS and OpenTAD.

    It is ``{"database": {id: {"duration", "subset", "annotations"}}}``.

    A video of a test subset may be without ``annotations``. ``fps`` and ``frame`` may be given.

    Args, Returns, Raises: See :func:`read_any`.
    """
    return _read(path, flat=False)


def read_flat(path: Path, options: Options) -> AnnotationFile:
    """Read the flat form of mmaction2.

    It is ``{id: {"duration_second", "duration_frame", "feature_frame", "annotations"}}``.

    The features cover the first ``feature_frame / duration_frame`` of the video.

    Args, Returns, Raises: See :func:`read_any`.
    """
    return _read(path, flat=True)


def _read(path: Path, flat: bool | None = None) -> AnnotationFile:
    repeated: list[str] = []
    content = _load(path, repeated)
    if not isinstance(content, dict):
        raise AnnotationError(f'{path}: expected a JSON object, got {type(content).__name__}')
    if flat is None:
        flat = 'database' not in content
    elif flat == ('database' in content):
        raise AnnotationError(
            f"{path}: expected {'no ' if flat else ''}'database' at the top, got "
            f'{first_few(map(repr, content))}: choose another format to read'
        )
    entries = content if flat else content['database']
    if not isinstance(entries, dict):
        raise AnnotationError(
            f"{path}: expected an object under 'database', got {type(entries).__name__}"
        )
    parse: Callable[[Any, str], Video] = _flat_video if flat else _database_video
    videos, faults = {}, []
    for video_id, entry in entries.items():
        try:
            videos[video_id] = parse(entry, f'video {video_id!r}')
        except AnnotationError as error:
            faults.append(str(error))
    good = [entries[video_id] for video_id in videos]
    actions = [action for entry in good for action in entry.get('annotations', ())]
    form = 'mmaction' if flat else _database_form(good, actions)
    notes = (
        _other_keys(good, _FLAT_KEYS if flat else _DATABASE_KEYS)
        + _other_keys(actions, _ACTION_KEYS, 'action')
        + _label_ids(actions)
    )
    return AnnotationFile(videos, tuple(faults), tuple(repeated), tuple(notes), form)


def _load(path: Path, repeated_keys: list[str]) -> Any:
    def to_dict(pairs: list[tuple[str, Any]]) -> dict:
        content = dict(pairs)
        if len(content) < len(pairs):
            counts = collections.Counter(key for key, _ in pairs)
            repeated_keys.extend(key for key, times in counts.items() if times > 1)
        return content

    try:
        return parse_json(read_text(path), path, object_pairs_hook=to_dict)
    except ValueError as error:
        raise AnnotationError(str(error)) from error


def _database_form(entries: Iterable[dict], actions: Iterable[dict]) -> str:
    if any(isinstance(entry['duration'], str) for entry in entries):
        return 'hacs'
    more = any('frame' in entry for entry in entries) or any(
        'label_id' in action for action in actions
    )
    return 'opentad' if more else 'activitynet'


def _database_video(entry: Any, where: str) -> Video:
    # HACS Segments gives durations as texts.
    duration = _positive(entry, 'duration', where, as_text=True)
    subset = _subset(entry, where)
    if 'annotations' not in entry and (subset or '').lower().startswith('test'):
        entry = {**entry, 'annotations': []}
    return Video(
        duration, subset, _annotations(entry, where), None, *_frames(entry, 'frame', where)
    )


def _flat_video(entry: Any, where: str) -> Video:
    duration = _positive(entry, 'duration_second', where)
    fps, num_frames = _frames(entry, 'duration_frame', where)
    span = None
    if 'feature_frame' in entry and num_frames is not None:
        span = (0.0, _positive(entry, 'feature_frame', where) / num_frames * duration)
    return Video(duration, _subset(entry, where), _annotations(entry, where), span, fps, num_frames)


def _frames(entry: dict, key: str, where: str) -> tuple[float | None, int | None]:
    fps = _positive(entry, 'fps', where) if entry.get('fps') is not None else None
    num_frames = _positive(entry, key, where) if entry.get(key) is not None else None
    return fps, None if num_frames is None else round(num_frames)


def _get(entry: Any, key: str, where: str) -> Any:
    if not isinstance(entry, dict):
        raise AnnotationError(
            f'{where}: expected an object, got {type(entry).__name__}. Known '
            'forms: ActivityNet {"database": {id: {"duration", ...}}}, mmaction2 '
            '{id: {"duration_second", ...}}'
        )
    if key not in entry:
        raise AnnotationError(f'{where}: key {key!r} is missing; there are {sorted(entry)}')
    return entry[key]


def _positive(entry: Any, key: str, where: str, as_text: bool = False) -> float:
    given = _get(entry, key, where)
    value: Any = parse_number(given) if as_text and isinstance(given, str) else given
    if not _is_finite_number(value) or value <= 0:
        raise AnnotationError(f'{where}: expected a positive number under {key!r}, got {given!r}')
    return float(value)


def _subset(entry: dict, where: str) -> str | None:
    subset = entry.get('subset')
    if subset is not None and not isinstance(subset, str):
        raise AnnotationError(f"{where}: expected text under 'subset', got {subset!r}")
    return subset


def _annotations(entry: dict, where: str) -> tuple[dict, ...]:
    annotations = _get(entry, 'annotations', where)
    if not isinstance(annotations, list):
        raise AnnotationError(
            f"{where}: expected a list under 'annotations' ([] where there are "
            f'none), got {type(annotations).__name__}'
        )
    return tuple(
        _annotation(annotation, f'{where}, annotation {index}')
        for index, annotation in enumerate(annotations)
    )


def _annotation(annotation: Any, where: str) -> dict:
    segment = _get(annotation, 'segment', where)
    if not (
        isinstance(segment, list)
        and len(segment) == 2
        and all(_is_finite_number(time) for time in segment)
    ):
        raise AnnotationError(
            f"{where}: expected [start, end] in seconds under 'segment', got {segment!r}"
        )
    label = _get(annotation, 'label', where)
    if not isinstance(label, str):
        raise AnnotationError(f"{where}: expected text under 'label', got {label!r}")
    return dict(segment=segment, label=label)


def _is_finite_number(value: Any) -> bool:
    """Whether a JSON value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _other_keys(entries: Iterable[dict], known: frozenset[str], of: str = 'video') -> list[str]:
    """Keys that are not kept, and how often they occur."""
    counts = collections.Counter(key for entry in entries for key in entry if key not in known)
    return [f'{key!r} of {count} {of}s is not kept' for key, count in counts.items()]


def _label_ids(actions: Iterable[dict]) -> list[str]:
    """Tell where numbers and labels are not the same classes; the numbers are not kept."""
    labels_of = collections.defaultdict(set)
    for action in actions:
        if 'label_id' in action:
            labels_of[str(action['label_id'])].add(action['label'])
    return [
        f'label_id {number} stands for {first_few(map(repr, sorted(labels)))}: these are '
        'classes of '
        'their own here'
        for number, labels in labels_of.items()
        if len(labels) > 1
    ]
