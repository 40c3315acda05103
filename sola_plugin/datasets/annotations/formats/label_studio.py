"""Label Studio: its export named JSON, a list of tasks with their annotations."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sola_plugin.messages import first_few

from .json_values import get, is_finite_number, items, load_json
from .records import (
    AnnotationError,
    AnnotationFile,
    Options,
    Rates,
    checked_segment,
    group_rows,
)

_MEDIA = re.compile(
    r'.+\.(mp4|m4v|mov|mkv|avi|webm|mpe?g|m?ts|m2ts|wmv|flv|3gp|ogv|vob|mxf|wav|mp3|m4a|flac|og[ga]'
    r'|aac|opus)',
    re.IGNORECASE,
)
#: What Label Studio puts before the name of a file that is uploaded.
_UPLOADED = re.compile(r'[0-9a-f]{8}-(?=.)')
_NO_DURATIONS = (
    'Label Studio stores them for audio only: give --durations FILE to '
    'tools/convert_annotations.py; or give feature_stride to the dataset, which then takes the '
    'length of the features'
)


def is_form(content: Any) -> bool:
    """Whether JSON has this form: a list of tasks."""
    return (
        isinstance(content, list)
        and bool(content)
        and isinstance(content[0], dict)
        and ('data' in content[0] or 'annotation_id' in content[0])
    )


def read(path: Path, options: Options) -> AnnotationFile:
    """Read ``[{"data": {...}, "annotations": [{"result": [...]}]}, ...]``.

    Actions are regions with ``timelinelabels``, whose ``ranges`` are frames from 1 with both ends
    part of them, and regions of audio or video with ``labels``, ``start`` and ``end`` in seconds.
    A region with several labels is an action of each.

    A video is called as the file in ``data``, without its ending and without the eight characters
    that Label Studio puts before uploaded files. Annotations that were cancelled do not count, and
    tasks without others are left out, being not annotated. Predictions are not read.

    Args:
        path: The file.
        options: ``fps`` for regions in frames; ``annotator`` where several have annotated a task;
            ``durations``.

    Returns:
        The videos.

    Raises:
        AnnotationError: It is no such list, two tasks are of one video, or a frame rate is not
            known.
        NoDurationError: A duration is not known.
        FileNotFoundError: There is no such file.
    """
    return parse(path, *load_json(path), options)


def parse(path: Path, content: Any, repeated: list[str], options: Options) -> AnnotationFile:
    """As :func:`read`, of what is loaded already, with the keys that are given twice."""
    if not is_form(content) or 'annotation_id' in content[0]:
        raise AnnotationError(
            f'{path}: expected a list of tasks with "data" and "annotations": choose the export '
            'called JSON (not JSON-MIN or CSV) of Label Studio'
        )
    rows: list[tuple[str, str, Any]] = []
    faults: list[str] = []
    counts: collections.Counter[str] = collections.Counter()
    tasks: dict[str, str] = {}
    for index, task in enumerate(content):
        where = (
            f'task {task["id"]}' if isinstance(task, dict) and 'id' in task else f'task #{index}'
        )
        try:
            video_id = _video_id(task, where, counts)
            if video_id in tasks:
                raise AnnotationError(
                    f'{path}: {tasks[video_id]} and {where} are both of the video {video_id!r}: '
                    'expected one task a video'
                )
            tasks[video_id] = where
            annotation = _annotation(task, where, options.annotator, counts)
            if annotation is not None:
                regions = items(annotation, 'result', where)
                rows.append((video_id, where, None))
                rows += [(video_id, f'{where}, result {i}', one) for i, one in enumerate(regions)]
        except AnnotationError as error:
            if str(error).startswith(f'{path}: '):
                raise
            faults.append(str(error))
    _check_rates(path, rows, options.fps)
    rows = list(_split(rows, options.fps, counts))
    videos, more = group_rows(rows, _parse, options.durations, path, _NO_DURATIONS)
    notes = [f'{count} {text}' for text, count in counts.items()]
    return AnnotationFile(videos, (*faults, *more), tuple(repeated), tuple(notes), 'label_studio')


def _video_id(task: Any, where: str, counts: collections.Counter[str]) -> str:
    data = get(task, 'data', where)
    values = data.values() if isinstance(data, dict) else ()
    files = [_file_name(value) for value in values if isinstance(value, str)]
    files = [name for name in files if _MEDIA.fullmatch(name)]
    upload = task.get('file_upload')
    if not files and isinstance(upload, str) and _MEDIA.fullmatch(upload):
        files = [upload]
    names = dict.fromkeys(PurePosixPath(_original(name, task)).stem for name in files)
    if len(names) != 1:
        raise AnnotationError(
            f"{where}: expected one file of video or audio under 'data', got "
            f'{first_few(map(repr, names)) or "none"}'
        )
    if any(_original(name, task) != name for name in files):
        counts['videos are called without the eight characters before uploaded files'] += 1
    return next(iter(names))


def _file_name(address: str) -> str:
    """The name of the file in an address: a URL, a path, or one of Label Studio's local files."""
    try:
        parts = urlsplit(address.replace('\\', '/'))
    except ValueError:
        return ''
    local = parse_qs(parts.query).get('d')
    return (local[0] if local else unquote(parts.path)).rpartition('/')[2]


def _original(name: str, task: Mapping[str, Any]) -> str:
    """The name of a file before it was uploaded, if it was."""
    uploaded = task.get('file_upload') == name or any(
        isinstance(value, str) and '/upload/' in value and _file_name(value) == name
        for value in task['data'].values()
    )
    return _UPLOADED.sub('', name, count=1) if uploaded and _UPLOADED.match(name) else name


def _annotation(
    task: Any, where: str, annotator: str | None, counts: collections.Counter[str]
) -> dict | None:
    """The annotation of a task that counts, if there is one."""
    given = items(task, 'annotations', where)
    if not all(isinstance(one, dict) for one in given):
        raise AnnotationError(f"{where}: expected objects under 'annotations', got others")
    if task.get('predictions'):
        counts['tasks have predictions, which are not read'] += 1
    valid = [one for one in given if not one.get('was_cancelled')]
    if len(valid) < len(given):
        counts['annotations were cancelled and do not count'] += len(given) - len(valid)
    if annotator is not None:
        valid = [one for one in valid if annotator in _people(one)]
    if not valid:
        by = '' if annotator is None else f' by {annotator}'
        counts[f'tasks are not annotated{by}, and left out'] += 1
        return None
    if len(valid) > 1:
        true = [one for one in valid if one.get('ground_truth')]
        if len(true) != 1:
            people = [(_people(one) or ['unknown'])[-1] for one in valid]
            raise AnnotationError(
                f'{where}: expected one annotation, got {len(valid)}, by {first_few(people)}: '
                'choose with tools/convert_annotations.py --annotator, or mark one as ground truth'
            )
        counts['tasks have several annotations: the one that is ground truth counts'] += 1
        valid = true
    return valid[0]


def _people(annotation: Mapping[str, Any]) -> list[str]:
    """What the annotator is called: id, and e-mail address if there is one."""
    person = annotation.get('completed_by')
    if isinstance(person, dict):
        return [str(person[key]) for key in ('id', 'email') if key in person]
    return [] if person is None else [str(person)]


def _in_frames(region: Any) -> bool:
    value = region.get('value') if isinstance(region, dict) else None
    return isinstance(value, dict) and 'timelinelabels' in value


def _check_rates(path: Path, rows: list[tuple[str, str, Any]], fps: Rates | None) -> None:
    videos = dict.fromkeys(video_id for video_id, _, region in rows if _in_frames(region))
    unknown = [video_id for video_id in videos if fps is None or fps(video_id) is None]
    if unknown:
        raise AnnotationError(
            f'{path}: ranges of timelinelabels are frames, and the frame rate is not known for '
            f'{len(unknown)} of {len(videos)} videos: {first_few(map(repr, unknown))}. Convert the '
            'file with tools/convert_annotations.py --fps F (the frameRate of the project, 24 '
            'where it has none), or a column fps in the file of --durations'
        )


def _split(
    rows: list[tuple[str, str, Any]], fps: Rates | None, counts: collections.Counter[str]
) -> Iterator[tuple[str, str, Any]]:
    """Rows of one segment with one label, or of a fact, or of a fault."""
    for video_id, where, region in rows:
        if region is None:
            yield video_id, where, {}
            continue
        try:
            rate = fps(video_id) if fps is not None and _in_frames(region) else None
            yield from ((video_id, where, one) for one in _actions(region, where, rate, counts))
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


def _parse(row: Any, where: str) -> tuple[dict | None, dict[str, Any]]:
    if isinstance(row, AnnotationError):
        raise row
    return row.get('action'), {key: value for key, value in row.items() if key != 'action'}
