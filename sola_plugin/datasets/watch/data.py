"""The embedded real data: smart-watch streams, a frozen encoder's features of them, annotations.

`prepare_watch` writes an ordinary folder of feature files and ActivityNet annotations, so that what
follows takes the same road as with a user's own data. docs/watch.md says exactly what the data are.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sola_plugin.io import atomic_write
from sola_plugin.locking import hold_lock
from sola_plugin.progress import Show

from .encoder import (
    FEATURE_CHANNELS,
    SIGNAL_CHANNELS,
    STRIDE,
    WINDOW,
    SnippetEncoder,
    extract_features,
    train_encoder,
    window_accuracy,
)
from .plan import RECIPE, VALIDATION, StreamPlan, WatchSettings, draw_subjects, plan_streams
from .streams import (
    NUM_SNIPPETS,
    SAMPLE_RATE,
    STREAM_SAMPLES,
    Recording,
    annotate,
    compose_stream,
    find_watch_file,
    read_recordings,
)

__all__ = ['VALIDATION', 'WatchSettings', 'WatchSummary', 'prepare_watch']

#: Folders of features, and the signal channels that the encoder of each sees. The last two are
#: written on demand: one sensor each, as the two streams of video features are RGB and flow.
FOLDERS = {
    'features': slice(0, SIGNAL_CHANNELS),
    'features_accelerometer': slice(0, 3),
    'features_gyroscope': slice(3, 6),
}
#: Seconds between two snippets; start of the first cell when cells are centred on their snippets.
FEATURE_STRIDE = STRIDE / SAMPLE_RATE
FEATURE_OFFSET = (WINDOW - STRIDE) / 2 / SAMPLE_RATE


@dataclass(frozen=True)
class WatchSummary:
    """What `prepare_watch` wrote or found; all but `out_dir` and `written` is in ``dataset.json``.

    Args:
        out_dir: The folder.
        written: False when the folder was complete already and nothing was done.
        settings: `WatchSettings` and the recipe's number.
        source: Package, version and SHA-256 of the array.
        sizes: Streams of each subset, snippets of a stream, channels of a snippet.
        subjects: Subject numbers of ``encoder``, ``training`` and ``testing``.
        encoder: Classes of the encoder, its accuracy on the held-out windows, their number; with
            ``two_stream`` also the accuracy of the encoder of either sensor, by folder.
        streams: By video id: subject, side and the cuts that the stream is composed of.
    """

    out_dir: Path
    written: bool
    settings: dict[str, Any]
    source: dict[str, str]
    sizes: dict[str, int]
    subjects: dict[str, list[int]]
    encoder: dict[str, Any]
    streams: dict[str, dict[str, Any]]


def prepare_watch(
    out_dir: str | os.PathLike,
    seed: int = 0,
    *,
    force: bool = False,
    progress: Show | None = None,
    **settings: Any,
) -> WatchSummary:
    """Write the embedded data set: features, annotations, and how they came about.

    Files, in this order: ``features/<video id>.npy``, float32 ``(256, 128)`` = (T, C), and with
    ``two_stream`` likewise ``features_accelerometer/`` and ``features_gyroscope/``;
    ``annotations.json``, ActivityNet's ``database`` form with subsets ``training``, ``unlabelled``,
    ``testing`` and ``foreign`` (no annotations in the second and last), seconds; ``dataset.json``,
    whose presence means that all is there. Equal settings give equal bytes.

    Args:
        out_dir: Folder to write to.
        seed: See `WatchSettings`.
        force: Write even where the folder is complete.
        progress: Called as ``progress(what, done, total)``.
        **settings: The other fields of `WatchSettings`.

    Raises:
        BusyError: Another process is writing to the folder.
        ValueError: Bad settings; or the folder is complete, but was written with other settings.
        ModuleNotFoundError: seglearn, whose wheel holds the recordings, is not installed.
    """
    wanted = WatchSettings(seed=seed, **settings)
    out_dir = Path(out_dir)
    marker = out_dir / 'dataset.json'
    if force or not marker.exists():
        with hold_lock(out_dir, inside=True):
            if force or not marker.exists():  # another process may have ended meanwhile
                return _write(out_dir, marker, wanted, progress)
    return _found(out_dir, marker, wanted)


def _write(
    out_dir: Path, marker: Path, wanted: WatchSettings, progress: Show | None
) -> WatchSummary:
    source = find_watch_file()
    recordings = read_recordings(source)
    subjects = draw_subjects(wanted, recordings)
    encoders, report = _make_encoders(wanted, recordings, subjects['encoder'], progress)
    _clear(out_dir, marker)
    streams, database = _write_streams(
        out_dir, plan_streams(wanted, subjects), recordings, encoders, progress
    )
    _write_json(
        out_dir / 'annotations.json',
        {
            'version': f'sola_plugin watch {RECIPE}',
            'feature_stride': FEATURE_STRIDE,
            'feature_offset': FEATURE_OFFSET,
            'database': database,
        },
    )
    content = {
        'settings': wanted.to_json(),
        'source': {
            'package': 'seglearn',
            'version': importlib.metadata.version('seglearn'),
            'sha256': hashlib.sha256(source.read_bytes()).hexdigest(),
        },
        'sizes': {
            'training': wanted.labelled,
            'unlabelled': wanted.num_train - wanted.labelled,
            'testing': wanted.num_test,
            'foreign': wanted.foreign,
            'snippets': NUM_SNIPPETS,
            'channels': FEATURE_CHANNELS,
        },
        'subjects': subjects,
        'encoder': report,
        'streams': streams,
    }
    _write_json(marker, content)
    return WatchSummary(out_dir, written=True, **content)


def _found(out_dir: Path, marker: Path, wanted: WatchSettings) -> WatchSummary:
    try:
        content = json.loads(marker.read_text(encoding='utf-8'))
        summary = WatchSummary(out_dir, written=False, **content)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f'{marker} was not written by prepare_watch ({error}): '
            'take another folder or write over it with --force'
        ) from error
    here, asked = summary.settings, wanted.to_json()
    differences = [
        f'{key} is {here.get(key)} there, {asked[key]} asked'
        for key in asked
        if here.get(key) != asked[key]
    ]
    if differences:
        raise ValueError(
            f'{out_dir} was prepared with other settings: {"; ".join(differences)}: '
            'take another folder or write over it with --force'
        )
    return summary


def _clear(out_dir: Path, marker: Path) -> None:
    """Remove what an earlier run left; the mark of completeness goes first."""
    marker.unlink(missing_ok=True)
    for folder in FOLDERS:
        for feature_file in (out_dir / folder).glob('watch_*.npy'):
            feature_file.unlink()


def _make_encoders(
    settings: WatchSettings,
    recordings: list[Recording],
    subjects: list[int],
    progress: Show | None,
) -> tuple[dict[str, SnippetEncoder], dict[str, Any]]:
    """Train encoders on their own subjects and report their accuracy on what these did later."""
    classes = list(settings.encoder_classes)
    own = [r for r in recordings if r.subject in subjects and r.exercise in classes]
    labels = [classes.index(r.exercise) for r in own]
    clips, held_out = (
        [r.signal[slice(*r.part(part))] for r in own]
        for part in (settings.train_part, settings.test_part)
    )
    encoders, accuracy, windows = {}, {}, 0
    for folder in FOLDERS if settings.two_stream else ['features']:
        encoders[folder] = train_encoder(
            _signals(folder, clips),
            labels,
            settings.seed,
            settings.encoder_steps,
            progress=progress,
        )
        accuracy[folder], windows = window_accuracy(
            encoders[folder], _signals(folder, held_out), labels
        )
    return encoders, {
        'classes': classes,
        'held_out_accuracy': accuracy.pop('features'),
        'held_out_windows': windows,
        'held_out_accuracy_of_sensors': accuracy,
    }


def _signals(folder: str, signals: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The channels of signals that the encoder of a folder sees."""
    return [signal[:, FOLDERS[folder]] for signal in signals]


def _write_streams(
    out_dir: Path,
    plans: list[StreamPlan],
    recordings: list[Recording],
    encoders: dict[str, SnippetEncoder],
    progress: Show | None,
) -> tuple[dict[str, dict], dict[str, dict]]:
    """Compose, encode and write every stream; return their provenance and the annotations."""
    streams, database = {}, {}
    for done, plan in enumerate(plans, start=1):
        arm = {
            r.exercise: r for r in recordings if (r.subject, r.side) == (plan.subject, plan.side)
        }
        signal, cuts = compose_stream(
            arm, plan.part, np.random.default_rng(plan.seed), *plan.groups
        )
        for folder, encoder in encoders.items():
            with atomic_write(out_dir / folder / f'{plan.video}.npy', 'wb') as file:
                np.save(file, extract_features(encoder, *_signals(folder, [signal])))
        streams[plan.video] = {
            'subject': plan.subject,
            'side': plan.side,
            'cuts': [asdict(cut) for cut in cuts],
        }
        database[plan.video] = {
            'subset': plan.subset,
            'duration': STREAM_SAMPLES / SAMPLE_RATE,
            'annotations': annotate(cuts) if plan.annotated else [],
        }
        if progress:
            progress('composing and encoding streams', done, len(plans))
    return streams, database


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        json.dump(content, file, indent=1)
