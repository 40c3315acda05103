"""Checks of annotations: what stops training or evaluation, what silently lowers the figures."""

from __future__ import annotations

import collections
import os
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from sola_plugin.datasets.annotations.formats.records import Durations
from sola_plugin.datasets.findings import Finding, segment_text
from sola_plugin.segments import segment_iou

from .model import (
    FAR_BEYOND,
    AnnotationError,
    Video,
    clip_segment,
    read_annotation_file,
    relative_ends,
    systematic_faults,
)

#: Two segments of a class with at least this tIoU are meant to be one.
_SAME = 0.9

#: Videos are seldom longer (seconds, median): such durations may be frames.
_LONG_VIDEO = 1000.0


def check_annotation_file(
    path: str | os.PathLike, durations: Durations | None = None
) -> tuple[dict[str, Video], list[Finding]]:
    """Read an annotation file, whatever is wrong with it.

    Of a video that cannot be read only the first fault is reported, and the video is left out.

    Args:
        path: See :func:`~sola_plugin.datasets.annotations.model.load_annotations`.
        durations: See there.

    Returns:
        The videos that could be read, and what is wrong with the others.
    """
    try:
        content = read_annotation_file(path, durations)
    except AnnotationError as error:
        return {}, [Finding('error', 'annotation-file', str(error))]
    except OSError as error:
        return {}, [
            Finding('error', 'annotation-file', f'{path}: {error.strerror}: check the path')
        ]
    findings = []
    if content.faults:
        findings.append(
            Finding.of(
                'error',
                'annotation-values',
                (
                    f'{path}: {len(content.faults)} of '
                    f'{len(content.faults) + len(content.videos)} videos cannot be '
                    'read, and are not part of what follows: correct them'
                ),
                content.faults,
            )
        )
    if content.repeated_keys:
        findings.append(
            Finding.of(
                'error',
                'repeated-keys',
                (
                    f'{path}: keys, such as video ids, stand more than once in the same '
                    'object, and only the last '
                    'of each is read: rename or merge them'
                ),
                map(repr, content.repeated_keys),
            )
        )
    return content.videos, findings


def check_annotations(
    videos: Mapping[str, Video], classes: Collection[str] | None = None
) -> list[Finding]:
    """Check videos and segments that could be read.

    Args:
        videos: Videos by id.
        classes: The known labels; ``None`` admits all.

    Returns:
        One finding for each kind of fault, and what there is of each subset.

    Example:
        >>> two = [dict(segment=[1, 3], label='run'), dict(segment=[3, 3], label='run')]
        >>> [(f.level, f.kind) for f in check_annotations({'v_1': Video(10.0, None, tuple(two))})]
        [('warning', 'no-length'), ('info', 'contents')]
    """
    systematic = systematic_faults(videos, classes)
    kinds = {fault.kind for fault in systematic}
    findings = [
        *systematic,
        *_repeated_segments(videos),
        *_labels(videos, classes),
        *_durations(videos),
    ]
    if 'segments-in-frames' not in kinds:
        findings += _outside(videos)
    if 'mostly-reversed' not in kinds:
        findings += _reversed(videos)
    return [*findings, *_without_length(videos), *_contents(videos)]


def _report(level: str, kind: str, text: str, cases: Collection[str]) -> Iterator[Finding]:
    """A finding whose message begins with the number of cases, if there are any."""
    if cases:
        yield Finding.of(level, kind, f'{len(cases)} {text}', cases)


def _choose(
    videos: Mapping[str, Video], wanted: Callable[[Sequence[float], float], bool]
) -> list[tuple[str, Sequence[float], float]]:
    """Id, segment and duration of the video, of the segments that are wanted."""
    return [
        (video_id, action['segment'], video.duration)
        for video_id, video in videos.items()
        for action in video.annotations
        if wanted(action['segment'], video.duration)
    ]


def _reversed(videos: Mapping[str, Video]) -> Iterator[Finding]:
    cases = _choose(videos, lambda segment, _: segment[0] > segment[1])
    yield from _report(
        'error',
        'reversed',
        'segments end before they start: training leaves them out, '
        'evaluation stops at them; exchange start and end',
        [segment_text(*case) for case in cases],
    )


def _without_length(videos: Mapping[str, Video]) -> Iterator[Finding]:
    cases = _choose(videos, lambda segment, _: segment[0] == segment[1])
    yield from _report(
        'warning',
        'no-length',
        'segments have no length: training leaves them out, in '
        'evaluation hardly any detection can match them; remove them, or keep them to compare '
        'with published figures',
        [segment_text(*case) for case in cases],
    )


def _outside(videos: Mapping[str, Video]) -> Iterator[Finding]:
    outside = _choose(
        videos,
        lambda segment, duration: (
            segment[0] < segment[1] and clip_segment(segment, duration) is None
        ),
    )
    yield from _report(
        'warning',
        'outside',
        'segments lie outside their video: training leaves them out, in '
        'evaluation no detection can match them; correct segment or duration',
        [segment_text(*case) for case in outside],
    )
    cut = _choose(
        videos,
        lambda segment, duration: clip_segment(segment, duration) not in (None, list(segment)),
    )
    excess = max((max(-start, end - duration) for _, (start, end), duration in cut), default=0.0)
    yield from _report(
        'warning',
        'beyond-the-video',
        'segments reach out of their video, by up to '
        f'{excess:.3g} s: training cuts them, evaluation does not',
        [segment_text(*case) for case in cut],
    )


def _durations(videos: Mapping[str, Video]) -> Iterator[Finding]:
    far = [
        f'{video_id!r}: {videos[video_id].duration:g} s, latest end '
        f'{ratio * videos[video_id].duration:g} s'
        for video_id, ratio in relative_ends(videos).items()
        if ratio > FAR_BEYOND
    ]
    yield from _report(
        'warning',
        'duration-too-short',
        f'videos have segments that end beyond {FAR_BEYOND} '
        'times the duration: is the duration, or the unit of these segments, wrong?',
        far,
    )
    times = [
        time
        for video in videos.values()
        for time in (
            video.duration,
            *(time for action in video.annotations for time in action['segment']),
        )
    ]
    if times and all(float(time).is_integer() for time in times):
        median = statistics.median(video.duration for video in videos.values())
        if median > _LONG_VIDEO:
            yield Finding(
                'warning',
                'all-in-frames',
                'all durations and segments are whole numbers, and the '
                f'median of {len(videos)} videos is {median:g} long: if these are frames, divide '
                'by fps',
                len(videos),
            )


def _repeated_segments(videos: Mapping[str, Video]) -> Iterator[Finding]:
    """Segments that equal, nearly equal or overlap an earlier one of their class and video."""
    equal: list[str] = []
    near: list[str] = []
    overlapping: list[str] = []
    for video_id, video in videos.items():
        by_label = collections.defaultdict(list)
        for action in video.annotations:
            by_label[action['label']].append(action['segment'])
        for label, segments in by_label.items():
            tiou = segment_iou(np.array(segments), np.array(segments))
            for index in range(1, len(segments)):
                other = int(tiou[index, :index].argmax())
                case = (
                    f'{video_id!r} {label!r} [{segments[index][0]:g}, {segments[index][1]:g}] and '
                    f'[{segments[other][0]:g}, {segments[other][1]:g}]'
                )
                if segments[index] in segments[:index]:
                    equal.append(case)
                elif tiou[index, other] >= _SAME:
                    near.append(case)
                elif tiou[index, other] > 0:
                    overlapping.append(case)
    advice = (
        'to match both takes two detections in the same place, of which suppression lowers one; '
        'remove them'
    )
    yield from _report(
        'warning',
        'duplicates',
        f'segments equal another one of the same video and label: {advice}',
        equal,
    )
    yield from _report(
        'warning',
        'near-duplicates',
        f'segments have a tIoU of at least {_SAME} with another '
        f'one of the same video and label: {advice}, if they mean the same',
        near,
    )
    yield from _report(
        'info',
        'overlaps',
        'segments overlap another one of the same video and label: what '
        'suppresses overlapping detections may suppress one of the two',
        overlapping,
    )


def _labels(videos: Mapping[str, Video], classes: Collection[str] | None) -> Iterator[Finding]:
    """Classes without segments, and labels that a subset lacks."""
    by_subset: dict[str | None, set[str]] = collections.defaultdict(set)
    for video in videos.values():
        by_subset[video.subset].update(action['label'] for action in video.annotations)
    by_subset = {subset: labels for subset, labels in by_subset.items() if labels}
    seen = set().union(*by_subset.values())
    yield from _report(
        'warning',
        'unused-classes',
        f'of {len(classes or ())} classes have no segment: are they spelt as in the annotations?',
        [repr(label) for label in classes or () if label not in seen],
    )
    for subset, labels in by_subset.items():
        yield from _report(
            'warning',
            'labels-of-other-subsets',
            'labels have no segment in subset '
            f'{subset!r}, but in others: what is not trained is not found, what is not tested '
            'does not count',
            [repr(label) for label in sorted(seen - labels)],
        )


def _contents(videos: Mapping[str, Video]) -> Iterator[Finding]:
    """What there is of each subset."""
    if not videos:
        yield Finding('error', 'no-videos', 'there are no videos: check the file and the subset')
        return
    by_subset: dict[str | None, list[Video]] = collections.defaultdict(list)
    for video in videos.values():
        by_subset[video.subset].append(video)
    yield from _report(
        'info',
        'no-actions',
        'videos have no action: training leaves them out, in evaluation '
        'every detection in them is wrong',
        [repr(video_id) for video_id, video in videos.items() if not video.annotations],
    )
    yield Finding.of(
        'info',
        'contents',
        f'{len(videos)} videos',
        [_summary(subset, members) for subset, members in by_subset.items()],
    )


def _summary(subset: str | None, videos: Collection[Video]) -> str:
    actions = [action for video in videos for action in video.annotations]
    text = (
        f'{subset!r}: {len(videos)} videos, {len(actions)} segments, '
        f'{len({action["label"] for action in actions})} labels'
    )
    lengths = sorted(
        end - start for start, end in (action['segment'] for action in actions) if start <= end
    )
    if not lengths:
        return text
    return (
        f'{text}; length {lengths[0]:.3g} to {lengths[-1]:.3g} s, median '
        f'{statistics.median(lengths):.3g} s'
    )
