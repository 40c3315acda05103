"""Annotations of temporal action localization: reading and checking. Standard library only."""

from __future__ import annotations

import collections
import dataclasses
import difflib
import fnmatch
import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from sola_plugin.datasets.annotations.formats.records import (
    AnnotationError,
    AnnotationFile,
    Durations,
    Options,
    Video,
)
from sola_plugin.datasets.findings import Finding, segment_text
from sola_plugin.messages import first_few

from .formats import read_annotations

__all__ = [
    'AnnotationError',
    'AnnotationFile',
    'Video',
    'check_segments',
    'choose_subset',
    'clip_segment',
    'load_annotations',
    'read_annotation_file',
]

#: Frame rates that a hint may name, frames per second.
COMMON_FPS = (10, 15, 24, 25, 30, 50, 60)

#: A segment that ends beyond this many durations is not in seconds, or the duration is wrong.
FAR_BEYOND = 1.5

#: Beyond so many durations they are no frames: the name of the unit, and how many make a second.
_UNITS = ((2_000, ('microseconds', 1_000_000)), (130, ('milliseconds', 1_000)))


def load_annotations(
    path: str | os.PathLike, durations: Durations | None = None
) -> dict[str, Video]:
    """Read annotations of any known format that its contents tell, plain or gzipped.

    These are ActivityNet's JSON, also as HACS, OpenTAD and ActionFormer have it; mmaction2's flat
    JSON; plain CSV; THUMOS14's text files; Charades' CSV; the Perception Test's JSON; ELAN's files
    of one tier; and Label Studio's JSON with seconds. Others need to be told more: convert them.

    Args:
        path: The file; a folder of THUMOS14's or ELAN's files.
        durations: Tells the duration of a video, in seconds, where the file does not.

    Returns:
        Video ids, whole and in the order of the file, and what is said of each.

    Raises:
        AnnotationError: The file is of no known format, or a value is missing or of the wrong kind;
            the message names file, video and key.
        FileNotFoundError: There is no such file.
    """
    content = read_annotation_file(path, durations)
    if content.faults:
        raise AnnotationError(f'{path}: {content.faults[0]}')
    return content.videos


def read_annotation_file(
    path: str | os.PathLike, durations: Durations | None = None
) -> AnnotationFile:
    """Read as :func:`load_annotations`, but go on after a video that cannot be read.

    Raises:
        AnnotationError: The file as a whole cannot be read.
        FileNotFoundError: There is no such file.
    """
    return read_annotations([Path(path)], options=Options(durations=durations))


def choose_subset(
    videos: Mapping[str, Video],
    subsets: Collection[str | None] | None,
    patterns: Sequence[str] | None = None,
) -> dict[str, Video]:
    """The videos of some subsets, and of these the ones that patterns name.

    Args:
        videos: Videos by id.
        subsets: Names of subsets; ``None``: all.
        patterns: See :func:`matching_videos`; ``None``: all.

    Raises:
        AnnotationError: There is no such subset, or see :func:`matching_videos`.
    """
    chosen = dict(videos) if subsets is None else _of_subsets(videos, subsets)
    return chosen if patterns is None else matching_videos(chosen, patterns)


def matching_videos(videos: Mapping[str, Video], patterns: Sequence[str]) -> dict[str, Video]:
    """The videos whose ids match patterns, such as the folds of a cross validation.

    Args:
        videos: Videos by id.
        patterns: Of a shell, for whole ids: ``'salad_1_*'``. One that begins with ``!`` leaves
            out what it matches; if there are no others, it is left out of all.

    Raises:
        AnnotationError: A pattern matches no video, or none is left.

    Example:
        >>> list(matching_videos(dict(a_1=None, a_2=None, b_1=None), ['a_*', '!*_2']))
        ['a_1']
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith('!')]
    matches = {
        pattern: set(fnmatch.filter(videos, pattern.removeprefix('!'))) for pattern in patterns
    }
    for pattern, found in matches.items():
        if not found:
            raise AnnotationError(
                f'videos={pattern!r} matches none of {len(videos)} videos, such as '
                f'{first_few(map(repr, videos))}'
            )
    kept = set().union(*(matches[pattern] for pattern in wanted)) if wanted else set(videos)
    kept -= set().union(*(matches[pattern] for pattern in patterns if pattern not in wanted))
    if not kept:
        raise AnnotationError(f'videos={list(patterns)!r} leaves none of {len(videos)} videos')
    return {video_id: video for video_id, video in videos.items() if video_id in kept}


def _of_subsets(videos: Mapping[str, Video], subsets: Collection[str | None]) -> dict[str, Video]:
    sizes = collections.Counter(video.subset for video in videos.values())
    unknown = [subset for subset in subsets if subset not in sizes]
    if unknown:
        if set(sizes) <= {None}:
            raise AnnotationError(
                f'the annotations have no subsets, got subset={unknown[0]!r}: leave it out, or say '
                'in the file which videos are of which'
            )
        known = ', '.join(f'{subset!r} ({size} videos)' for subset, size in sizes.items())
        raise AnnotationError(f'expected one of the subsets {known}, got subset={unknown[0]!r}')
    return {video_id: video for video_id, video in videos.items() if video.subset in subsets}


def check_segments(
    videos: Mapping[str, Video], classes: Collection[str] | None = None
) -> tuple[dict[str, Video], list[str]]:
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


def systematic_faults(
    videos: Mapping[str, Video], classes: Collection[str] | None = None
) -> list[Finding]:
    """Faults that speak of a misread file, for which :func:`check_segments` refuses it."""
    found = [
        _in_frames(videos),
        _mostly_reversed(videos),
        None if classes is None else _unknown_labels(videos, classes),
    ]
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
    return {
        video_id: max(action['segment'][1] for action in video.annotations) / video.duration
        for video_id, video in videos.items()
        if video.annotations
    }


def _in_frames(videos: Mapping[str, Video]) -> Finding | None:
    ratios = sorted(relative_ends(videos).values())
    beyond = sum(ratio > FAR_BEYOND for ratio in ratios)
    if 2 * beyond <= len(ratios):
        return None
    typical = ratios[int(0.95 * (len(ratios) - 1))]
    unit = next((name for limit, name in _UNITS if typical > limit), None)
    if unit is not None:
        return Finding(
            'error',
            'segments-in-frames',
            f'in {beyond} of {len(ratios)} annotated videos a segment ends beyond {FAR_BEYOND} '
            f'times the duration (at up to {ratios[-1]:.3g} times): expected seconds, these seem '
            f'to be {unit[0]}. Divide by {unit[1]:,}',
            beyond,
        )
    fps = next((fps for fps in COMMON_FPS if fps >= 0.99 * typical), math.ceil(typical))
    return Finding(
        'error',
        'segments-in-frames',
        (
            f'in {beyond} of {len(ratios)} annotated videos a segment ends beyond '
            f'{FAR_BEYOND} times the '
            f'duration (at up to {ratios[-1]:.3g} times): expected seconds, these seem to be '
            'frames. '
            f'Divide by fps (here probably {fps})'
        ),
        beyond,
    )


def _mostly_reversed(videos: Mapping[str, Video]) -> Finding | None:
    count, reversed_ones = 0, []
    for video_id, video in videos.items():
        count += len(video.annotations)
        reversed_ones += [
            f'{video_id!r} {action["segment"]}'
            for action in video.annotations
            if action['segment'][0] > action['segment'][1]
        ]
    if 2 * len(reversed_ones) <= count:
        return None
    return Finding(
        'error',
        'mostly-reversed',
        (
            f'{len(reversed_ones)} of {count} segments end before they start '
            f'({first_few(reversed_ones)}): expected [start, end] in seconds, these seem to be '
            '[end, start] or [start, length]'
        ),
        len(reversed_ones),
    )


def _unknown_labels(videos: Mapping[str, Video], classes: Collection[str]) -> Finding | None:
    unknown = collections.Counter(
        annotation['label']
        for video in videos.values()
        for annotation in video.annotations
        if annotation['label'] not in classes
    )
    if not unknown:
        return None
    hints = []
    for label, times in unknown.items():
        closest = difflib.get_close_matches(label, classes, n=1)
        hint = f', did you mean {closest[0]!r}?' if closest else ''
        hints.append(f'{label!r} ({times} times{hint})')
    return Finding(
        'error',
        'unknown-labels',
        (
            f'labels that are not among the {len(classes)} classes: '
            f'{first_few(hints, 5)}. Correct the annotations or the classes'
        ),
        unknown.total(),
    )
