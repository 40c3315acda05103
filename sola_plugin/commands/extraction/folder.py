"""The folder that an extraction writes: features, their description, the facts of each video."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from sola_plugin.commands.resuming import as_stored, refuse_other_settings, write_json
from sola_plugin.datasets.annotations.formats.csv_tables import write_table
from sola_plugin.datasets.features.store import DESCRIPTION_NAME
from sola_plugin.datasets.video import VideoError
from sola_plugin.file_names import check_file_names
from sola_plugin.io import atomic_write
from sola_plugin.temporary_files import remove_abandoned

from .encoding import VideoFeatures

#: Two time axes are the same if their strides differ by less, relatively: 36 ms in an hour.
_SAME_STRIDE = 1e-5


@dataclass(frozen=True)
class ExtractionResult:
    """What a folder of features holds.

    Attributes:
        finished: Ids of all videos whose features are in the folder.
        failed: Videos that were skipped, and why.
        feature_stride: Seconds between two snippets; ``None`` where the videos differ.
        feature_offset: Second at which the cell of the first snippet starts; ``None`` likewise.
    """

    finished: tuple[str, ...]
    failed: dict[str, str]
    feature_stride: float | None
    feature_offset: float | None


class ExtractionFolder:
    """``<id>.npy`` for each video, ``features.json`` and ``durations.txt``.

    What is needed to go on with a stopped run is in the subfolder ``.extraction``: the settings,
    and a record of each finished video, written after its features.

    Args:
        root: The folder; it need not exist.
        settings: What the features depend on, plain values.

    Raises:
        ValueError: The folder was begun with other settings, or by something else.
    """

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        self.root = root
        self.settings = as_stored(settings)
        self._state = root / '.extraction'
        self._records_folder = self._state / 'videos'
        self._stride: float | None = None
        self._begun = self._state / 'settings.json'
        self._check()

    def begin(self) -> None:
        """Write the settings down, and remove what a kill has left half-written.

        Raises:
            ValueError: Another process has begun with other settings meanwhile.
        """
        self._check()
        write_json(self._begun, self.settings)
        for folder in (self.root, self._state, self._records_folder):
            remove_abandoned(folder)

    def has(self, video_id: str, path: Path) -> bool:
        """Whether a video is finished. Features of a file that now has another size are removed.

        Raises:
            FileNameError: No file can have the name of the video.
        """
        check_file_names(self.root, video_id, ('.npy',))
        check_file_names(self._records_folder, video_id, ('.json',))
        record, features = self._record_file(video_id), self._feature_file(video_id)
        if not (record.is_file() and features.is_file()):
            return False
        size = json.loads(record.read_text(encoding='utf-8'))['bytes']
        if not path.exists() or path.stat().st_size == size:
            return True
        record.unlink()
        features.unlink()
        return False

    def save(self, video_id: str, path: Path, features: VideoFeatures) -> None:
        """Write the features of a video, and its record.

        Raises:
            VideoError: A value is too large for the dtype.
        """
        with np.errstate(over='ignore'):
            array = np.ascontiguousarray(features.features.T, dtype=self.settings['dtype'])
        if not np.isfinite(array).all():
            largest = np.abs(features.features).max()
            raise VideoError(
                f'{path}: features up to {largest:.3g} are too large for '
                f'{self.settings["dtype"]}: write float32'
            )
        self._warn_of_strides(path, features.stride)
        with atomic_write(self._feature_file(video_id), 'wb') as file:
            np.save(file, array)
        write_json(
            self._record_file(video_id),
            dict(
                file=path.name,
                bytes=path.stat().st_size,
                duration=round(features.duration, 6),
                fps=features.fps,
                snippets=array.shape[0],
                channels=array.shape[1],
                feature_stride=features.stride,
                feature_offset=features.offset,
            ),
        )

    def result(self, failed: dict[str, str]) -> ExtractionResult:
        """Sum up what is in the folder."""
        records = self._records()
        strides = [record['feature_stride'] for record in records.values()]
        stride = offset = None
        if strides and max(strides) - min(strides) <= _SAME_STRIDE * min(strides):
            first = next(iter(records.values()))
            stride, offset = first['feature_stride'], first['feature_offset']
        return ExtractionResult(tuple(records), failed, stride, offset)

    def describe(self, result: ExtractionResult) -> None:
        """Write ``features.json``, and ``durations.txt`` for ``tools/convert_annotations.py``."""
        records = self._records()
        write_json(
            self.root / DESCRIPTION_NAME,
            dict(
                self.settings,
                feature_stride=result.feature_stride,
                feature_offset=result.feature_offset,
                channels=next((record['channels'] for record in records.values()), None),
                videos=records,
                failed=result.failed,
            ),
        )
        write_table(
            self.root / 'durations.txt',
            ('video', 'duration', 'fps'),
            [
                dict(video=video_id, duration=record['duration'], fps=record['fps'])
                for video_id, record in records.items()
            ],
        )

    def _records(self) -> dict[str, dict]:
        return {
            path.stem: json.loads(path.read_text(encoding='utf-8'))
            for path in sorted(self._records_folder.glob('*.json'))
        }

    def _feature_file(self, video_id: str) -> Path:
        return self.root / f'{video_id}.npy'

    def _record_file(self, video_id: str) -> Path:
        return self._records_folder / f'{video_id}.json'

    def _check(self) -> None:
        if self._begun.is_file():
            refuse_other_settings(
                self.root, json.loads(self._begun.read_text(encoding='utf-8')), self.settings
            )
        elif any(self.root.glob('*.npy')):
            raise ValueError(
                f'{self.root} holds .npy files that this tool did not write: write to another '
                'folder'
            )

    def _warn_of_strides(self, path: Path, stride: float) -> None:
        """Say it once, as soon as it shows."""
        if self._stride is None:
            self._stride = stride
        elif abs(stride - self._stride) > _SAME_STRIDE * stride:
            self._stride = float('nan')  # differs from nothing
            print_log(
                f'{path} has another frame rate than the videos before it, so that no one '
                'feature_stride fits all: resample to a common rate with --fps',
                'current',
                logging.WARNING,
            )
