"""Annotation files of temporal action localization: reading and checking. Standard library only."""
from __future__ import annotations

import collections
import dataclasses
import difflib
import gzip
import json
import math
import os
import zlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

#: Frame rates that a hint may name, frames per second.
_COMMON_FPS = (10, 15, 24, 25, 30, 50, 60)


class AnnotationError(ValueError):
    """An annotation file cannot be used; the message names the file or the video, and the key."""


@dataclasses.dataclass(frozen=True)
class Video:
    """What an annotation file says of one video.

    Attributes:
        duration: Length of the video, seconds.
        subset: ``'training'``, ``'validation'``, ...; ``None`` where the file has no subsets.
        annotations: One ``dict(segment=[start, end], label=str)`` an action; seconds, values as in
            the file.
        feature_span: ``(start, end)`` of the stretch that the features cover, seconds; ``None``
            where the file does not say.
    """

    duration: float
    subset: str | None = None
    annotations: tuple[dict, ...] = ()
    feature_span: tuple[float, float] | None = None


def load_annotations(path: str | os.PathLike) -> dict[str, Video]:
    """Read ActivityNet's JSON or mmaction2's flat JSON, plain or gzipped.

    ActivityNet's form is ``{"database": {id: {"duration", "subset", "annotations"}}}``. mmaction2's
    is ``{id: {"duration_second", "duration_frame", "feature_frame", "annotations"}}``, where the
    features cover the first ``feature_frame / duration_frame`` of the video.

    Args:
        path: The file.

    Returns:
        Video ids, whole and in the order of the file, and what is said of each.

    Raises:
        AnnotationError: The file is of neither form, or a value is missing or of the wrong kind;
            the message names file, video and key.
        FileNotFoundError: There is no such file.
    """
    content = _read_json(Path(path))
    if not isinstance(content, dict):
        raise AnnotationError(f'{path}: expected a JSON object, got {type(content).__name__}')
    is_flat = 'database' not in content
    entries = content if is_flat else content['database']
    if not isinstance(entries, dict):
        raise AnnotationError(f"{path}: expected an object under 'database', got "
                              f'{type(entries).__name__}')
    parse = _flat_video if is_flat else _database_video
    return {video_id: parse(entry, f'{path}: video {video_id!r}')
            for video_id, entry in entries.items()}


def check_segments(videos: Mapping[str, Video],
                   classes: Collection[str] | None = None) -> tuple[dict[str, Video], list[str]]:
    """Make annotations fit for training.

    Real annotations have small faults (ActivityNet-1.3: 12 segments without length, 215 that end
    up to 0.85 s after their video). A segment is clipped to its video, and dropped if nothing is
    left of it: it is reversed, has no length, or lies outside. Faults that speak of a misread file
    are errors.

    Args:
        videos: Videos by id; segments in seconds.
        classes: The known labels; ``None`` admits all.

    Returns:
        The videos with usable segments only, and one line for each segment that was dropped.

    Raises:
        AnnotationError: In more than half of the annotated videos a segment ends beyond 1.5 times
            the duration (these are frames); more than half of the segments are reversed; or a label
            is not in ``classes``.
    """
    _refuse_frames(videos)
    _refuse_reversed(videos)
    if classes is not None:
        _refuse_unknown_labels(videos, classes)
    clean, dropped = {}, []
    for video_id, video in videos.items():
        kept = []
        for annotation in video.annotations:
            start, end = annotation['segment']
            clipped = [max(start, 0.0), min(end, video.duration)]
            if clipped[0] < clipped[1]:
                kept.append({**annotation, 'segment': clipped})
            else:
                dropped.append(f'{video_id!r} [{start:g}, {end:g}] of {video.duration:g} s')
        clean[video_id] = dataclasses.replace(video, annotations=tuple(kept))
    return clean, dropped


def first_few(items: Iterable[Any], count: int = 3) -> str:
    """List the first items for a message.

    >>> first_few(['a', 'b', 'c', 'd', 'e'])
    'a, b, c and 2 more'
    """
    texts = [str(item) for item in items]
    more = f' and {len(texts) - count} more' if len(texts) > count else ''
    return ', '.join(texts[:count]) + more


def _read_json(path: Path) -> Any:
    data = path.read_bytes()
    try:
        return json.loads(gzip.decompress(data) if data[:2] == b'\x1f\x8b' else data)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise AnnotationError(f'{path}: not complete JSON ({error}): the file may be truncated; '
                              'write or download it again') from error


def _database_video(entry: Any, where: str) -> Video:
    return Video(_positive(entry, 'duration', where), _subset(entry, where),
                 _annotations(entry, where))


def _flat_video(entry: Any, where: str) -> Video:
    duration = _positive(entry, 'duration_second', where)
    span = None
    if 'feature_frame' in entry and 'duration_frame' in entry:
        frames = _positive(entry, 'duration_frame', where)
        span = (0.0, _positive(entry, 'feature_frame', where) / frames * duration)
    return Video(duration, _subset(entry, where), _annotations(entry, where), span)


def _get(entry: Any, key: str, where: str) -> Any:
    if not isinstance(entry, dict):
        raise AnnotationError(f'{where}: expected an object, got {type(entry).__name__}. Known '
                              'forms: ActivityNet {"database": {id: {"duration", ...}}}, mmaction2 '
                              '{id: {"duration_second", ...}}')
    if key not in entry:
        raise AnnotationError(f'{where}: key {key!r} is missing; there are {sorted(entry)}')
    return entry[key]


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _positive(entry: Any, key: str, where: str) -> float:
    value = _get(entry, key, where)
    if not _is_finite_number(value) or value <= 0:
        raise AnnotationError(f'{where}: expected a positive number under {key!r}, got {value!r}')
    return float(value)


def _subset(entry: dict, where: str) -> str | None:
    subset = entry.get('subset')
    if subset is not None and not isinstance(subset, str):
        raise AnnotationError(f"{where}: expected text under 'subset', got {subset!r}")
    return subset


def _annotations(entry: dict, where: str) -> tuple[dict, ...]:
    annotations = _get(entry, 'annotations', where)
    if not isinstance(annotations, list):
        raise AnnotationError(f"{where}: expected a list under 'annotations' ([] where there are "
                              f'none), got {type(annotations).__name__}')
    return tuple(_annotation(annotation, f'{where}, annotation {index}')
                 for index, annotation in enumerate(annotations))


def _annotation(annotation: Any, where: str) -> dict:
    segment = _get(annotation, 'segment', where)
    if not (isinstance(segment, list) and len(segment) == 2
            and all(_is_finite_number(time) for time in segment)):
        raise AnnotationError(f"{where}: expected [start, end] in seconds under 'segment', got "
                              f'{segment!r}')
    label = _get(annotation, 'label', where)
    if not isinstance(label, str):
        raise AnnotationError(f"{where}: expected text under 'label', got {label!r}")
    return dict(segment=segment, label=label)


def _refuse_frames(videos: Mapping[str, Video]) -> None:
    annotated = [video for video in videos.values() if video.annotations]
    # The latest end in units of the duration: near the frame rate where ends are frame numbers.
    ratios = sorted(max(action['segment'][1] for action in video.annotations) / video.duration
                    for video in annotated)
    beyond = sum(ratio > 1.5 for ratio in ratios)
    if 2 * beyond <= len(annotated):
        return
    typical = ratios[int(0.95 * (len(ratios) - 1))]
    fps = next((fps for fps in _COMMON_FPS if fps >= 0.99 * typical), math.ceil(typical))
    raise AnnotationError(
        f'in {beyond} of {len(annotated)} annotated videos a segment ends beyond 1.5 times the '
        f'duration (at up to {ratios[-1]:.3g} times): expected seconds, these seem to be frames. '
        f'Divide by fps (here probably {fps})')


def _refuse_reversed(videos: Mapping[str, Video]) -> None:
    count, reversed_ones = 0, []
    for video_id, video in videos.items():
        count += len(video.annotations)
        reversed_ones += [f"{video_id!r} {action['segment']}" for action in video.annotations
                          if action['segment'][0] > action['segment'][1]]
    if 2 * len(reversed_ones) > count:
        raise AnnotationError(
            f'{len(reversed_ones)} of {count} segments end before they start '
            f'({first_few(reversed_ones)}): expected [start, end] in seconds, these seem to be '
            '[end, start] or [start, length]')


def _refuse_unknown_labels(videos: Mapping[str, Video], classes: Collection[str]) -> None:
    unknown = collections.Counter(annotation['label'] for video in videos.values()
                                  for annotation in video.annotations
                                  if annotation['label'] not in classes)
    if not unknown:
        return
    hints = []
    for label, times in unknown.items():
        closest = difflib.get_close_matches(label, classes, n=1)
        hint = f', did you mean {closest[0]!r}?' if closest else ''
        hints.append(f'{label!r} ({times} times{hint})')
    raise AnnotationError(f'labels that are not among the {len(classes)} classes: '
                          f'{first_few(hints, 5)}. Correct the annotations or the classes')
