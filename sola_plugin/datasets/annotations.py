"""Annotation files of temporal action localization: reading and checking. Standard library only."""
from __future__ import annotations

import collections
import dataclasses
import difflib
import math
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sola_plugin.utils import first_few, read_json

from .findings import Finding, segment_text

#: Frame rates that a hint may name, frames per second.
COMMON_FPS = (10, 15, 24, 25, 30, 50, 60)

#: A segment that ends beyond this many durations is not in seconds, or the duration is wrong.
FAR_BEYOND = 1.5


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


@dataclasses.dataclass(frozen=True)
class AnnotationFile:
    """All that could be read of an annotation file.

    Attributes:
        videos: Videos by id, whole and in the order of the file.
        faults: What is wrong with each video that could not be read: the first fault of each.
        repeated_keys: Keys that occur more than once in one object, such as a video id. JSON readers,
            this one too, keep the last.
    """

    videos: dict[str, Video]
    faults: tuple[str, ...]
    repeated_keys: tuple[str, ...]


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
    content = read_annotation_file(path)
    if content.faults:
        raise AnnotationError(f'{path}: {content.faults[0]}')
    return content.videos


def read_annotation_file(path: str | os.PathLike) -> AnnotationFile:
    """Read as :func:`load_annotations`, but go on after a video that cannot be read.

    Raises:
        AnnotationError: The file is of neither form as a whole.
        FileNotFoundError: There is no such file.
    """
    repeated: list[str] = []
    content = _read_json(path, repeated)
    if not isinstance(content, dict):
        raise AnnotationError(f'{path}: expected a JSON object, got {type(content).__name__}')
    is_flat = 'database' not in content
    entries = content if is_flat else content['database']
    if not isinstance(entries, dict):
        raise AnnotationError(f"{path}: expected an object under 'database', got "
                              f'{type(entries).__name__}')
    parse = _flat_video if is_flat else _database_video
    videos, faults = {}, []
    for video_id, entry in entries.items():
        try:
            videos[video_id] = parse(entry, f'video {video_id!r}')
        except AnnotationError as error:
            faults.append(str(error))
    return AnnotationFile(videos, tuple(faults), tuple(repeated))


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
    faults = systematic_faults(videos, classes)
    if faults:
        raise AnnotationError(faults[0].message)
    clean, dropped = {}, []
    for video_id, video in videos.items():
        kept = []
        for annotation in video.annotations:
            clipped = clip_segment(annotation['segment'], video.duration)
            if clipped is not None:
                kept.append({**annotation, 'segment': clipped})
            else:
                dropped.append(segment_text(video_id, annotation['segment'], video.duration))
        clean[video_id] = dataclasses.replace(video, annotations=tuple(kept))
    return clean, dropped


def systematic_faults(videos: Mapping[str, Video],
                      classes: Collection[str] | None = None) -> list[Finding]:
    """Faults that speak of a misread file, for which :func:`check_segments` refuses it."""
    found = [_in_frames(videos), _mostly_reversed(videos),
             None if classes is None else _unknown_labels(videos, classes)]
    return [fault for fault in found if fault is not None]


def clip_segment(segment: Sequence[float], duration: float) -> list[float] | None:
    """Cut a segment to its video; ``None`` if nothing is left.

    >>> clip_segment([-1, 3], 10), clip_segment([6, 5], 10), clip_segment([12, 13], 10)
    ([0.0, 3], None, None)
    """
    clipped = [max(segment[0], 0.0), min(segment[1], duration)]
    return clipped if clipped[0] < clipped[1] else None


def relative_ends(videos: Mapping[str, Video]) -> dict[str, float]:
    """Latest end of every annotated video, in units of its duration.

    Near the frame rate where ends are frame numbers.
    """
    return {video_id: max(action['segment'][1] for action in video.annotations) / video.duration
            for video_id, video in videos.items() if video.annotations}


def _read_json(path: str | os.PathLike, repeated_keys: list[str]) -> Any:
    def to_dict(pairs: list[tuple[str, Any]]) -> dict:
        content = dict(pairs)
        if len(content) < len(pairs):
            counts = collections.Counter(key for key, _ in pairs)
            repeated_keys.extend(key for key, times in counts.items() if times > 1)
        return content

    try:
        return read_json(path, object_pairs_hook=to_dict)
    except ValueError as error:
        raise AnnotationError(str(error)) from error


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


def _in_frames(videos: Mapping[str, Video]) -> Finding | None:
    ratios = sorted(relative_ends(videos).values())
    beyond = sum(ratio > FAR_BEYOND for ratio in ratios)
    if 2 * beyond <= len(ratios):
        return None
    typical = ratios[int(0.95 * (len(ratios) - 1))]
    fps = next((fps for fps in COMMON_FPS if fps >= 0.99 * typical), math.ceil(typical))
    return Finding('error', 'segments-in-frames', (
        f'in {beyond} of {len(ratios)} annotated videos a segment ends beyond {FAR_BEYOND} times the '
        f'duration (at up to {ratios[-1]:.3g} times): expected seconds, these seem to be frames. '
        f'Divide by fps (here probably {fps})'), beyond)


def _mostly_reversed(videos: Mapping[str, Video]) -> Finding | None:
    count, reversed_ones = 0, []
    for video_id, video in videos.items():
        count += len(video.annotations)
        reversed_ones += [f"{video_id!r} {action['segment']}" for action in video.annotations
                          if action['segment'][0] > action['segment'][1]]
    if 2 * len(reversed_ones) <= count:
        return None
    return Finding('error', 'mostly-reversed', (
        f'{len(reversed_ones)} of {count} segments end before they start '
        f'({first_few(reversed_ones)}): expected [start, end] in seconds, these seem to be '
        '[end, start] or [start, length]'), len(reversed_ones))


def _unknown_labels(videos: Mapping[str, Video], classes: Collection[str]) -> Finding | None:
    unknown = collections.Counter(annotation['label'] for video in videos.values()
                                  for annotation in video.annotations
                                  if annotation['label'] not in classes)
    if not unknown:
        return None
    hints = []
    for label, times in unknown.items():
        closest = difflib.get_close_matches(label, classes, n=1)
        hint = f', did you mean {closest[0]!r}?' if closest else ''
        hints.append(f'{label!r} ({times} times{hint})')
    return Finding('error', 'unknown-labels', (
        f'labels that are not among the {len(classes)} classes: '
        f'{first_few(hints, 5)}. Correct the annotations or the classes'), unknown.total())
