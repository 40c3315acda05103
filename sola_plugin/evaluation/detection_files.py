"""Detection files in the ActivityNet result format."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from sola_plugin.evaluation.metrics.columns import PerVideo
from sola_plugin.io import atomic_write, read_json


def write_detections(path: str | os.PathLike, results: PerVideo) -> None:
    """Write detections (or proposals) as an ActivityNet result file.

    Floats are written with as many digits as it takes to read the same number back. The file
    appears under its name only when it is complete.

    Args:
        path: Where to; missing folders are made.
        results: ``{video: [{'segment': [start, end], 'score': float, 'label': str}]}``, seconds.
            ``label`` may be missing (class-agnostic proposals).

    Raises:
        ValueError: An entry is malformed; the message names file and video. Nothing is written.
    """
    checked = check_detections(path, results, require_labels=False)
    with atomic_write(path, 'w') as file:
        json.dump({'version': 'VERSION 1.3', 'results': checked, 'external_data': {}}, file)


def read_detections(path: str | os.PathLike, require_labels: bool = True) -> dict[str, list[dict]]:
    """Read an ActivityNet result file, plain or gzipped. OpenTAD's are of this form, too.

    Args:
        path: JSON file with ``{'results': {video: [{'label', 'score', 'segment'}]}}``.
        require_labels: False also admits entries without label (class-agnostic proposals).

    Returns:
        ``{video: [{'segment': [start, end], 'score': float, 'label': str}]}``; other keys of the
        entries are dropped.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not JSON, has no ``results``, or an entry is malformed; the message
            names file and video.
    """
    content = read_json(path)
    if isinstance(content, dict) and 'database' in content and 'results' not in content:
        raise ValueError(
            f"{path}: expected detections, {{'results': {{video: [...]}}}}, but this "
            "is an annotation file ('database')"
        )
    if not isinstance(content, dict) or not isinstance(content.get('results'), dict):
        raise ValueError(
            f"{path}: expected an ActivityNet result file, {{'results': {{video: [...]}}}}, but it "
            "has no 'results' dict"
        )
    return check_detections(path, content['results'], require_labels)


def check_detections(
    path: str | os.PathLike, results: PerVideo, require_labels: bool = True
) -> dict[str, list[dict]]:
    """Return detections with plain Python values and without other keys, or refuse them.

    Args:
        path: File to name in messages.
        results: ``{video: [{'segment', 'score', 'label'}]}``.
        require_labels: False also admits entries without label.

    Raises:
        ValueError: An entry is malformed; the message names file and video.
    """
    checked = {}
    for video, entries in results.items():
        try:
            if isinstance(entries, (str, Mapping)):
                raise ValueError(f'expected a list, got a {type(entries).__name__}')
            checked[video] = [_check(entry, require_labels) for entry in entries]
        except (KeyError, TypeError, ValueError) as error:
            reason: Any = error
            if isinstance(error, KeyError):
                reason = f'missing key {error}'
                if error.args == ('label',):
                    reason += ' (class-agnostic proposals have AR, but no mAP)'
            raise ValueError(f'{path}: video {video!r}: {reason}') from error
    return checked


def _check(entry: Mapping[str, Any], require_labels: bool) -> dict[str, Any]:
    """Return the entry with plain Python values, or raise."""
    if len(entry['segment']) != 2:
        raise ValueError(f'segment {entry["segment"]!r} is not a pair [start, end]')
    start, end = map(float, entry['segment'])
    score = float(entry['score'])
    if not all(map(math.isfinite, (start, end, score))):
        raise ValueError(f'segment {[start, end]}, score {score}: expected finite numbers')
    if start > end:
        raise ValueError(f'segment {[start, end]} ends before it starts')
    checked: dict[str, Any] = {'segment': [start, end], 'score': score}
    if require_labels or 'label' in entry:
        if not isinstance(entry['label'], str):
            raise ValueError(f'label {entry["label"]!r} is not a string')
        checked['label'] = entry['label']
    return checked
