"""Detection files in the ActivityNet result format."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from sola_plugin.evaluation.metrics.columns import Entries, PerVideo
from sola_plugin.io import atomic_write, read_json, unique_keys

#: A detection while a file is read: a fifth of the memory of a dict.
_PACKED = struct.Struct('<dddq')
_ROW = np.dtype([('segment', '<f8', 2), ('score', '<f8'), ('label', '<i8')])


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
    packed = Detections().of_videos(path, results.items(), require_labels=False)
    content = {video: list(entries) for video, entries in packed.items()}
    with atomic_write(path, 'w') as file:
        json.dump({'version': 'VERSION 1.3', 'results': content, 'external_data': {}}, file)


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
    found = Detections().read(path, require_labels)
    return {video: list(entries) for video, entries in found.items()}


class Detections:
    """Checks detections and packs them into columns; their labels are numbered.

    Args:
        label_names: Names of labels that a file gives as numbers.
    """

    def __init__(self, label_names: Mapping[int, str] | None = None) -> None:
        self._label_names = label_names or {}
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []

    def read(self, path: str | os.PathLike, require_labels: bool = True) -> dict[str, Entries]:
        """Read a file as :func:`read_detections` does.

        Each detection is packed as soon as it is parsed.
        """
        content = read_json(path, object_pairs_hook=lambda pairs: self.pack(unique_keys(pairs)))
        if isinstance(content, dict) and 'database' in content and 'results' not in content:
            raise ValueError(
                f"{path}: expected detections, {{'results': {{video: [...]}}}}, but this "
                "is an annotation file ('database')"
            )
        if not isinstance(content, dict) or not isinstance(content.get('results'), dict):
            raise ValueError(
                f"{path}: expected an ActivityNet result file, {{'results': {{video: [...]}}}}, "
                "but it has no 'results' dict"
            )
        return self.of_videos(path, _taken_out(content['results']), require_labels)

    def pack(self, entry: Any) -> Any:
        """Pack what is a detection; return the rest as it is, for :meth:`of_videos` to refuse."""
        try:
            return self._pack(entry)
        except (KeyError, TypeError, ValueError, OverflowError):
            return entry

    def of_videos(
        self,
        path: str | os.PathLike,
        results: Iterable[tuple[str, Any]],
        require_labels: bool = True,
    ) -> dict[str, Entries]:
        """Check and pack the detections of each video.

        Args:
            path: File to name in messages.
            results: Video and ``[{'segment', 'score', 'label'}]``, packed or not.
            require_labels: False also admits entries without label.

        Raises:
            ValueError: An entry is malformed; the message names file and video.
        """
        packed = {}
        for video, entries in results:
            try:
                if isinstance(entries, (str, bytes, Mapping)):
                    kind = 'dict' if isinstance(entries, bytes) else type(entries).__name__
                    raise ValueError(f'expected a list, got a {kind}')
                rows = [each if isinstance(each, bytes) else self._pack(each) for each in entries]
                table = np.frombuffer(b''.join(rows), _ROW)
                if require_labels and (table['label'] < 0).any():
                    raise KeyError('label')
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                reason: Any = error
                if isinstance(error, KeyError):
                    reason = f'missing key {error}'
                    if error.args == ('label',):
                        reason += ' (class-agnostic proposals have AR, but no mAP)'
                raise ValueError(f'{path}: video {video!r}: {reason}') from error
            packed[video] = Entries(table['segment'], table['score'], table['label'], self._names)
        return packed

    def _pack(self, entry: Mapping[str, Any]) -> bytes:
        """Pack an entry, or raise."""
        segment = entry['segment']
        if len(segment) != 2:
            raise ValueError(f'segment {segment!r} is not a pair [start, end]')
        start, end = map(float, segment)
        score = float(entry['score'])
        if not all(map(math.isfinite, (start, end, score))):
            raise ValueError(f'segment {[start, end]}, score {score}: expected finite numbers')
        if start > end:
            raise ValueError(f'segment {[start, end]} ends before it starts')
        number = -1
        if 'label' in entry:
            label = entry['label']
            if type(label) is int and self._label_names:
                label = self._label_names.get(label, f'label_id {label}')
            if not isinstance(label, str):
                raise ValueError(
                    f'label {label!r} is not a string'
                    + (': name the numbers with --labels FILE' if type(label) is int else '')
                )
            number = self._numbers.setdefault(label, len(self._names))
            if number == len(self._names):
                self._names.append(label)
        return _PACKED.pack(start, end, score, number)


def _taken_out(results: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Items that are gone from the dict, so that their memory is free for what is made of them."""
    for video in list(results):
        yield video, results.pop(video)
