"""Where transformed features are gathered until all are there; a stopped job goes on in it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sola_plugin.commands.resuming import as_stored, refuse_other_settings, write_json
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.lazy import stored_features
from sola_plugin.datasets.features.packing import pack_features
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.datasets.features.store import DESCRIPTION_NAME, FeatureStore
from sola_plugin.datasets.features.writers import Array, write_archive, write_array
from sola_plugin.file_names import FileNameError, check_file_names
from sola_plugin.io import read_json
from sola_plugin.temporary_files import remove_abandoned

from .form import OutputForm

#: The record of an output: in its folder, or with its name before it beside a file.
RECORD_NAME = 'transformed.json'


class Staging:
    """``<out>.parts``: settings, the features of each finished video, and a note of it.

    The output appears when all videos are there, and ``<out>.parts`` goes.

    Args:
        out: The output.
        form: Its form.
        settings: What the output depends on, plain values.
    """

    def __init__(self, out: Path, form: OutputForm, settings: Mapping[str, Any]) -> None:
        self.out = out
        self.form = form
        self.settings = as_stored(settings)
        self.root = out.with_name(f'{out.name}.parts')
        self.files = self.root / 'features'
        self._notes = self.root / 'videos'
        self._begun = self.root / 'settings.json'
        self.record = (
            out.with_name(f'{out.name}.{RECORD_NAME}')
            if form.kind == 'archive'
            else out / RECORD_NAME
        )

    def is_complete(self) -> bool:
        """Whether the output is there, by the same settings.

        Raises:
            FeatureError: Something else is there.
            ValueError: It was made with other settings.
        """
        if not self.record.is_file() or not self.out.exists():
            begun = self._begun.is_file()
            empty = self.out.is_dir() and not any(self.out.iterdir())
            if self.out.exists() and not begun and not empty:
                raise FeatureError(
                    f'{self.out} exists and was not written by this tool: choose another name'
                )
            return False
        refuse_other_settings(self.out, self.read_record()['settings'], self.settings)
        return True

    def read_record(self) -> dict[str, Any]:
        """The record of a complete output."""
        return read_json(self.record)

    def begin(self) -> None:
        """Write the settings down, and remove what a kill has left half-written.

        Raises:
            ValueError: The job was begun with other settings.
        """
        if self._begun.is_file():
            begun = read_json(self._begun)
            refuse_other_settings(self.root, begun, self.settings)
        write_json(self._begun, self.settings)
        self.files.mkdir(exist_ok=True)
        for folder in (self.root, self.files, self._notes):
            remove_abandoned(folder)
        for path in (self.out, self.record):
            remove_abandoned(path.parent, path.name)

    def path(self, video_id: str, name: str) -> Path:
        """The file of a video.

        Args:
            video_id: The video.
            name: Of its file or array in the output.

        Raises:
            FileNameError: No file can have this name.
        """
        if self.form.kind != 'folder':
            return self.files / f'{_digest(video_id)}.npy'
        if name.startswith('.'):
            raise FileNameError(
                f'{video_id!r}: a file {name!r} would be hidden, and is not read: give the video '
                'another id'
            )
        check_file_names(self.files, *_ending(name))
        return self.files / name

    def has(self, video_id: str, path: Path, stamps: list[list[int]]) -> bool:
        """Whether a video is finished, from source files as they are now."""
        note = self._note(video_id)
        return path.is_file() and note.is_file() and read_json(note)['stamps'] == stamps

    def save(
        self,
        video_id: str,
        path: Path,
        stamps: list[list[int]],
        array: Array,
        name: str | None,
    ) -> None:
        """Write the features of a video, and then the note that they are complete."""
        self._note(video_id).unlink(missing_ok=True)
        write_array(path, array, name)
        write_json(
            self._note(video_id),
            dict(id=video_id, stamps=stamps, snippets=array.shape[0], layout=array.layout),
        )

    def finish(
        self,
        names: Mapping[str, str],
        failed: Mapping[str, str],
        description: Mapping[str, Any],
    ) -> None:
        """Let the output appear, with its record.

        Args:
            names: Files or arrays of the output by id, of the videos that were transformed.
            failed: Videos that were skipped, and why.
            description: What ``features.json`` says of the source; may be empty.
        """
        notes = {video_id: self._read_note(video_id) for video_id in names}
        record = dict(
            settings=self.settings,
            videos={video_id: note['snippets'] for video_id, note in notes.items()},
            failed=dict(failed),
            description=dict(description),
        )
        if self.form.kind == 'folder':
            if description:
                write_json(self.files / DESCRIPTION_NAME, dict(description))
            write_json(self.files / RECORD_NAME, record)
            os.replace(self.files, self.out)
        else:
            parts = _Parts(self.files, {name: _digest(each) for each, name in names.items()})
            if self.form.kind == 'packed':
                dtype = self._dtype(parts, next(iter(names.values())))
                pack_features(parts, self.out, dtype=dtype, description=description or None)
            else:
                layouts = {names[video_id]: note['layout'] for video_id, note in notes.items()}
                write_archive(self.out, _arrays(parts, layouts))
            write_json(self.record, record)
        self.clear()

    def clear(self) -> None:
        """Remove what was gathered; nothing of the output is there."""
        # First what tells a job that was begun: the rest alone means nothing.
        self._begun.unlink(missing_ok=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def _dtype(self, parts: FeatureStore, name: str) -> str:
        return str(parts.form(name).dtype)

    def _note(self, video_id: str) -> Path:
        return self._notes / f'{_digest(video_id)}.json'

    def _read_note(self, video_id: str) -> dict[str, Any]:
        return read_json(self._note(video_id))


class _Parts(FeatureFolder):
    """Parts of an archive or packed folder, by the names that they get there."""

    def __init__(self, root: Path, files: Mapping[str, str]) -> None:
        self._files = {name: f'{file}.npy' for name, file in files.items()}
        super().__init__(root, layout='TC')

    def _list(self) -> dict[str, str]:
        return self._files


def _arrays(parts: FeatureStore, layouts: Mapping[str, str]) -> Iterator[tuple[str, Array]]:
    for name, layout in layouts.items():
        features = stored_features(parts, name)
        channels, total = features.shape
        rows = (features[:, start:stop].T for start, stop in features.spans())
        yield name, Array((total, channels), parts.form(name).dtype, layout, rows)


def _ending(name: str) -> tuple[str, tuple[str]]:
    stem, suffix = os.path.splitext(name)
    return stem, (suffix,)


def _digest(video_id: str) -> str:
    """A file name for any id."""
    return hashlib.sha256(video_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]
