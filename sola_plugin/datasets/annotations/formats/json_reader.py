"""Reading JSON: ActivityNet's ``database``, what others add to it, and mmaction2's flat form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sola_plugin.messages import first_few

from . import label_studio, perception_test
from .json_values import get, is_finite_number, label_ids, load_json, other_keys, positive
from .records import AnnotationError, AnnotationFile, Options, Video

_DATABASE_KEYS = frozenset({'duration', 'subset', 'annotations', 'fps', 'frame'})
_FLAT_KEYS = frozenset(
    {'duration_second', 'duration_frame', 'feature_frame', 'fps', 'subset', 'annotations'}
)
_ACTION_KEYS = frozenset({'segment', 'label', 'label_id'})
_FORMS = (
    '. Known forms: ActivityNet {"database": {id: {"duration", ...}}}, mmaction2 '
    '{id: {"duration_second", ...}}'
)


def read_any(path: Path, options: Options) -> AnnotationFile:
    """Read JSON of any form; what stands at the top tells which.

    Args:
        path: The file.
        options: See :mod:`.label_studio`; the others need none.

    Returns:
        What is in it. ``form`` is ``'mmaction'``, ``'hacs'`` (durations are texts),
        ``'opentad'`` (there are ``label_id`` or ``frame``), ``'activitynet'``,
        ``'perception_test'`` or ``'label_studio'``.

    Raises:
        AnnotationError: It is not JSON, or of no known form.
        FileNotFoundError: There is no such file.
    """
    content, repeated = load_json(path)
    for form in (label_studio, perception_test):
        if form.is_form(content):
            return form.parse(path, content, repeated, options)
    return _parse(path, content, repeated)


def read_database(path: Path, options: Options) -> AnnotationFile:
    """Read the form of ActivityNet, HACS and OpenTAD.

    It is ``{"database": {id: {"duration", "subset", "annotations"}}}``.

    A video of a test subset may be without ``annotations``. ``fps`` and ``frame`` may be given.

    Args, Returns, Raises: See :func:`read_any`.
    """
    return _parse(path, *load_json(path), flat=False)


def read_flat(path: Path, options: Options) -> AnnotationFile:
    """Read the flat form of mmaction2.

    It is ``{id: {"duration_second", "duration_frame", "feature_frame", "annotations"}}``.

    The features cover the first ``feature_frame / duration_frame`` of the video.

    Args, Returns, Raises: See :func:`read_any`.
    """
    return _parse(path, *load_json(path), flat=True)


def _parse(
    path: Path, content: Any, repeated: list[str], flat: bool | None = None
) -> AnnotationFile:
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
        other_keys(good, _FLAT_KEYS if flat else _DATABASE_KEYS)
        + other_keys(actions, _ACTION_KEYS, 'action')
        + label_ids(actions)
    )
    return AnnotationFile(videos, tuple(faults), tuple(repeated), tuple(notes), form)


def _database_form(entries: Iterable[dict], actions: Iterable[dict]) -> str:
    if any(isinstance(entry['duration'], str) for entry in entries):
        return 'hacs'
    more = any('frame' in entry for entry in entries) or any(
        'label_id' in action for action in actions
    )
    return 'opentad' if more else 'activitynet'


def _database_video(entry: Any, where: str) -> Video:
    # HACS Segments gives durations as texts.
    duration = positive(entry, 'duration', where, as_text=True, hint=_FORMS)
    subset = _subset(entry, where)
    if 'annotations' not in entry and (subset or '').lower().startswith('test'):
        entry = {**entry, 'annotations': []}
    return Video(
        duration, subset, _annotations(entry, where), None, *_frames(entry, 'frame', where)
    )


def _flat_video(entry: Any, where: str) -> Video:
    duration = positive(entry, 'duration_second', where, hint=_FORMS)
    fps, num_frames = _frames(entry, 'duration_frame', where)
    span = None
    if 'feature_frame' in entry and num_frames is not None:
        span = (0.0, positive(entry, 'feature_frame', where) / num_frames * duration)
    return Video(duration, _subset(entry, where), _annotations(entry, where), span, fps, num_frames)


def _frames(entry: dict, key: str, where: str) -> tuple[float | None, int | None]:
    fps = positive(entry, 'fps', where) if entry.get('fps') is not None else None
    num_frames = positive(entry, key, where) if entry.get(key) is not None else None
    if num_frames is not None and round(num_frames) < 1:
        raise AnnotationError(
            f'{where}: expected a number of frames from 1 on under {key!r}, got {entry[key]!r}'
        )
    return fps, None if num_frames is None else round(num_frames)


def _subset(entry: dict, where: str) -> str | None:
    subset = entry.get('subset')
    if subset is not None and not isinstance(subset, str):
        raise AnnotationError(f"{where}: expected text under 'subset', got {subset!r}")
    return subset


def _annotations(entry: dict, where: str) -> tuple[dict, ...]:
    annotations = get(entry, 'annotations', where)
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
    segment = get(annotation, 'segment', where, _FORMS)
    if not (
        isinstance(segment, list)
        and len(segment) == 2
        and all(is_finite_number(time) for time in segment)
    ):
        raise AnnotationError(
            f"{where}: expected [start, end] in seconds under 'segment', got {segment!r}"
        )
    label = get(annotation, 'label', where)
    if not isinstance(label, str):
        raise AnnotationError(f"{where}: expected text under 'label', got {label!r}")
    return dict(segment=segment, label=label)
