"""Writing JSON: ActivityNet's form, those of OpenTAD, ActionFormer and HACS, and mmaction2's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sola_plugin.messages import first_few

from .records import Options, Video, write_text


def write_activitynet(path: Path, videos: Mapping[str, Video], options: Options) -> list[str]:
    """Write ActivityNet's form, with all keys that its evaluation asks for.

    Args:
        path: The file.
        videos: Videos by id.
        options: Not used.

    Returns:
        What else was not kept: nothing.
    """
    _write_database(path, {video_id: _entry(video) for video_id, video in videos.items()})
    return []


def write_opentad(path: Path, videos: Mapping[str, Video], options: Options) -> list[str]:
    """Write the form of OpenTAD and ActionFormer: with ``label_id``, ``fps`` and ``frame``.

    Labels are numbered in sorted order. Where only one of ``fps`` and ``frame`` is known, the other
    follows from the duration.

    Args, Returns: See :func:`write_activitynet`.
    """
    labels = sorted({action['label'] for video in videos.values() for action in video.annotations})
    numbers = {label: number for number, label in enumerate(labels)}
    database = {}
    for video_id, video in videos.items():
        entry = database[video_id] = _entry(video)
        for action in entry['annotations']:
            action['label_id'] = numbers[action['label']]
        num_frames = _num_frames(video)
        if num_frames:
            entry.update(fps=video.fps or num_frames / video.duration, frame=num_frames)
    _write_database(path, database)
    return []


def write_hacs(path: Path, videos: Mapping[str, Video], options: Options) -> list[str]:
    """Write the form of HACS Segments: durations are texts.

    Args, Returns: See :func:`write_activitynet`.
    """
    database = {
        video_id: {**_entry(video), 'duration': repr(video.duration)}
        for video_id, video in videos.items()
    }
    _write_database(path, database)
    return ["'url' is not written: ids need not be those of YouTube"]


def write_mmaction(path: Path, videos: Mapping[str, Video], options: Options) -> list[str]:
    """Write mmaction2's flat form, with ``subset``, which mmaction2 does not look at.

    ``duration_frame`` is the number of frames, or follows from ``fps``. ``feature_frame`` follows
    from ``feature_span``; where that is not known, the features are taken to cover the whole video.

    Args, Returns: See :func:`write_activitynet`.
    """
    content, without = {}, []
    for video_id, video in videos.items():
        entry = content[video_id] = dict(
            duration_second=video.duration, annotations=_actions(video)
        )
        num_frames = _num_frames(video)
        if num_frames:
            covered = 1.0 if video.feature_span is None else video.feature_span[1] / video.duration
            entry.update(duration_frame=num_frames, feature_frame=round(covered * num_frames))
        else:
            without.append(video_id)
        if video.fps:
            entry['fps'] = video.fps
        if video.subset is not None:
            entry['subset'] = video.subset
    write_text(path, json.dumps(content, ensure_ascii=False))
    notes = []
    if without:
        notes.append(
            f"'duration_frame' and 'feature_frame' are not known for {len(without)} videos "
            f'({first_few(map(repr, without))}): mmaction2 itself needs them, give --fps'
        )
    if len({video.subset for video in videos.values()}) > 1:
        notes.append(
            "mmaction2 itself uses all videos of a file, whatever their 'subset': write one file "
            'for each with --subset'
        )
    return notes


def _entry(video: Video) -> dict[str, Any]:
    subset = {} if video.subset is None else dict(subset=video.subset)
    return dict(duration=video.duration, **subset, annotations=_actions(video))


def _actions(video: Video) -> list[dict[str, Any]]:
    return [
        dict(segment=list(action['segment']), label=action['label']) for action in video.annotations
    ]


def _num_frames(video: Video) -> int | None:
    return video.num_frames or (round(video.duration * video.fps) if video.fps else None)


def _write_database(path: Path, database: dict[str, dict]) -> None:
    content = dict(version='VERSION 1.3', taxonomy=[], database=database)
    write_text(path, json.dumps(content, ensure_ascii=False))
