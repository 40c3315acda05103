"""Label Studio: its export named JSON, a list of tasks with their annotations."""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sola_plugin.messages import first_few

from .json_values import get, items, load_json
from .label_studio_regions import Row, actions_of, check_rates, parse_row
from .records import AnnotationError, AnnotationFile, Options, group_rows

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
    rows: list[Row] = []
    faults: list[str] = []
    counts: collections.Counter[str] = collections.Counter()
    tasks: dict[str, str] = {}
    for index, task in enumerate(content):
        named = isinstance(task, dict) and 'id' in task
        where = f'task {task["id"]}' if named else f'task #{index}'
        try:
            video_id = _video_id(task, where, counts)
        except AnnotationError as error:
            faults.append(str(error))
            continue
        if video_id in tasks:
            raise AnnotationError(
                f'{path}: {tasks[video_id]} and {where} are both of the video {video_id!r}: '
                'expected one task a video'
            )
        tasks[video_id] = where
        try:
            rows += _rows(task, video_id, where, options.annotator, counts)
        except AnnotationError as error:
            faults.append(str(error))
    if not rows and not faults:
        raise _nobody(path, content, options.annotator)
    check_rates(path, rows, options.fps)
    rows = list(actions_of(rows, options.fps, counts))
    videos, more = group_rows(rows, parse_row, options.durations, path, _NO_DURATIONS)
    notes = [f'{count} {text}' for text, count in counts.items()]
    return AnnotationFile(videos, (*faults, *more), tuple(repeated), tuple(notes), 'label_studio')


def _rows(
    task: dict, video_id: str, where: str, annotator: str | None, counts: collections.Counter[str]
) -> list[Row]:
    """A row for the video and one for each region; none, if the task is not annotated."""
    annotation = _annotation(task, where, annotator, counts)
    if annotation is None:
        return []
    regions = items(annotation, 'result', where)
    return [
        (video_id, where, None),
        *((video_id, f'{where}, result {index}', one) for index, one in enumerate(regions)),
    ]


def _nobody(path: Path, tasks: list[dict], annotator: str | None) -> AnnotationError:
    by = '' if annotator is None else f' by {annotator!r}'
    people = {name for task in tasks for one in task['annotations'] for name in _people(one)}
    return AnnotationError(
        f'{path}: no task is annotated{by}; there are annotations by '
        f'{first_few(sorted(people)) or "nobody"}'
    )


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
