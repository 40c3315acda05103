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

from ..utils import atomic_write
from .watch_encoder import (
    FEATURE_CHANNELS,
    STRIDE,
    WINDOW,
    Progress,
    SnippetEncoder,
    extract_features,
    train_encoder,
    window_accuracy,
)
from .watch_streams import (
    EXERCISES,
    NUM_SNIPPETS,
    SAMPLE_RATE,
    SIDES,
    STREAM_SAMPLES,
    Recording,
    annotate,
    compose_stream,
    find_watch_file,
    read_recordings,
)

#: Seconds between two snippets; start of the first cell when cells are centred on their snippets.
FEATURE_STRIDE = STRIDE / SAMPLE_RATE
FEATURE_OFFSET = (WINDOW - STRIDE) / 2 / SAMPLE_RATE
#: Parts of the recordings with which settings are chosen: neither touches the test part, 0.76 to 1.
VALIDATION: dict[str, tuple[float, float]] = {'train_part': (0.0, 0.53), 'test_part': (0.55, 0.74)}
#: Raised whenever the same settings give other files than before.
RECIPE = 1


@dataclass(frozen=True)
class WatchSettings:
    """Everything that the written files depend on.

    Args:
        seed: Fixes subjects, cuts and encoder.
        split: ``'time'``: the same 7 subjects in training and testing; ``'subject'``: 4 of them in
            training, the other 3 in testing.
        labelled: Training streams with labels; the others are the subset ``unlabelled``.
        encoder_classes: Exercises that the encoder learns to tell apart.
        train_part: Stretch of each recording, as fractions of it, that the training streams are cut
            from and the encoder is trained on.
        test_part: Stretch for the testing streams and for the encoder's held-out accuracy.
        num_train: Number of training streams, labelled or not.
        num_test: Number of testing streams.
        encoder_steps: Training steps of the encoder.

    Raises:
        ValueError: A value is out of range, a class is unknown, or the two parts overlap.
    """

    seed: int = 0
    split: str = 'time'
    labelled: int = 14
    encoder_classes: Sequence[str] = ('IR', 'ER', 'TRAP')
    train_part: tuple[float, float] = (0.0, 0.74)
    test_part: tuple[float, float] = (0.76, 1.0)
    num_train: int = 56
    num_test: int = 42
    encoder_steps: int = 400

    def __post_init__(self) -> None:
        if self.split not in ('time', 'subject'):
            raise ValueError(f"split is {self.split!r}, expected 'time' or 'subject'")
        if not 1 <= self.labelled <= self.num_train:
            raise ValueError(
                f'labelled is {self.labelled}, expected 1 to num_train = {self.num_train}')
        for name, least in (('num_test', 1), ('encoder_steps', 1), ('seed', 0)):
            if getattr(self, name) < least:
                raise ValueError(f'{name} is {getattr(self, name)}, expected at least {least}')
        self._check_classes()
        self._check_parts()

    def _check_classes(self) -> None:
        classes = self.encoder_classes
        if isinstance(classes, str):
            raise ValueError(f'encoder_classes is the text {classes!r}, expected a list of names')
        if unknown := [name for name in classes if name not in EXERCISES]:
            raise ValueError(f'unknown encoder_classes {unknown}: expected some of {EXERCISES}')
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise ValueError(f'encoder_classes are {classes}, expected two or more, each once')

    def _check_parts(self) -> None:
        for name in ('train_part', 'test_part'):
            start, stop = getattr(self, name)
            if not 0 <= start < stop <= 1:
                raise ValueError(f'{name} is {[start, stop]}, expected 0 <= start < stop <= 1')
        if max(self.train_part[0], self.test_part[0]) < min(self.train_part[1], self.test_part[1]):
            raise ValueError(
                f'train_part {self.train_part} and test_part {self.test_part} overlap: '
                'training and testing must not share a sample')

    def to_json(self) -> dict[str, Any]:
        """The settings and the recipe's number as they read back from a JSON file."""
        return json.loads(json.dumps({'recipe': RECIPE, **asdict(self)}))


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
        encoder: Classes of the encoder, its accuracy on the held-out windows, their number.
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
    progress: Progress | None = None,
    **settings: Any,
) -> WatchSummary:
    """Write the embedded data set: features, annotations, and how they came about.

    Files, in this order: ``features/<video id>.npy``, float32 ``(256, 128)`` = (T, C);
    ``annotations.json``, ActivityNet's ``database`` form with subsets ``training``, ``unlabelled``
    (no annotations) and ``testing``, seconds; ``dataset.json``, whose presence means that all is
    there. Equal settings give equal bytes.

    Args:
        out_dir: Folder to write to.
        seed: See `WatchSettings`.
        force: Write even where the folder is complete.
        progress: Called as ``progress(what, done, total)``.
        **settings: The other fields of `WatchSettings`.

    Raises:
        ValueError: Bad settings; or the folder is complete, but was written with other settings.
        ModuleNotFoundError: seglearn, whose wheel holds the recordings, is not installed.
    """
    wanted = WatchSettings(seed=seed, **settings)
    out_dir = Path(out_dir)
    marker = out_dir / 'dataset.json'
    if marker.exists() and not force:
        return _found(out_dir, marker, wanted)
    source = find_watch_file()
    recordings = read_recordings(source)
    subjects = _draw_subjects(wanted, recordings)
    encoder, report = _make_encoder(wanted, recordings, subjects['encoder'], progress)
    _clear(out_dir, marker)
    streams, database = _write_streams(out_dir, wanted, recordings, subjects, encoder, progress)
    _write_json(out_dir / 'annotations.json', {
        'version': f'sola_plugin watch {RECIPE}', 'feature_stride': FEATURE_STRIDE,
        'feature_offset': FEATURE_OFFSET, 'database': database})
    content = {
        'settings': wanted.to_json(),
        'source': {'package': 'seglearn', 'version': importlib.metadata.version('seglearn'),
                   'sha256': hashlib.sha256(source.read_bytes()).hexdigest()},
        'sizes': {
            'training': wanted.labelled, 'unlabelled': wanted.num_train - wanted.labelled,
            'testing': wanted.num_test, 'snippets': NUM_SNIPPETS, 'channels': FEATURE_CHANNELS},
        'subjects': subjects, 'encoder': report, 'streams': streams,
    }
    _write_json(marker, content)
    return WatchSummary(out_dir, written=True, **content)


def _found(out_dir: Path, marker: Path, wanted: WatchSettings) -> WatchSummary:
    try:
        content = json.loads(marker.read_text(encoding='utf-8'))
        summary = WatchSummary(out_dir, written=False, **content)
    except (ValueError, TypeError) as error:
        raise ValueError(f'{marker} was not written by prepare_watch ({error}): '
                         'take another folder or write over it with --force') from error
    here, asked = summary.settings, wanted.to_json()
    differences = [f'{key} is {here.get(key)} there, {asked[key]} asked'
                   for key in asked if here.get(key) != asked[key]]
    if differences:
        raise ValueError(f'{out_dir} was prepared with other settings: {"; ".join(differences)}: '
                         'take another folder or write over it with --force')
    return summary


def _clear(out_dir: Path, marker: Path) -> None:
    """Remove what an earlier run left; the mark of completeness goes first."""
    marker.unlink(missing_ok=True)
    for feature_file in (out_dir / 'features').glob('watch_*.npy'):
        feature_file.unlink()


def _draw_subjects(settings: WatchSettings, recordings: list[Recording]) -> dict[str, list[int]]:
    numbers = np.unique([recording.subject for recording in recordings])
    order = np.random.default_rng((settings.seed, 1)).permutation(numbers).tolist()
    encoder, others = order[:3], order[3:]
    training, testing = (others, others) if settings.split == 'time' else (others[:4], others[4:])
    return {'encoder': sorted(encoder), 'training': sorted(training), 'testing': sorted(testing)}


def _make_encoder(
    settings: WatchSettings,
    recordings: list[Recording],
    subjects: list[int],
    progress: Progress | None,
) -> tuple[SnippetEncoder, dict[str, Any]]:
    """Train the encoder on its own subjects and report its accuracy on what they did later."""
    classes = list(settings.encoder_classes)
    own = [r for r in recordings if r.subject in subjects and r.exercise in classes]
    labels = [classes.index(r.exercise) for r in own]
    clips, held_out = ([r.signal[slice(*r.part(part))] for r in own]
                       for part in (settings.train_part, settings.test_part))
    encoder = train_encoder(clips, labels, settings.seed, settings.encoder_steps, progress=progress)
    accuracy, windows = window_accuracy(encoder, held_out, labels)
    return encoder, {'classes': classes, 'held_out_accuracy': accuracy, 'held_out_windows': windows}


def _write_streams(
    out_dir: Path,
    settings: WatchSettings,
    recordings: list[Recording],
    subjects: dict[str, list[int]],
    encoder: SnippetEncoder,
    progress: Progress | None,
) -> tuple[dict[str, dict], dict[str, dict]]:
    """Compose, encode and write every stream; return their provenance and the annotations."""
    plans = [('train', index) for index in range(settings.num_train)]
    plans += [('test', index) for index in range(settings.num_test)]
    streams, database = {}, {}
    for done, (kind, index) in enumerate(plans, start=1):
        training = kind == 'train'
        # Round robin over subjects, then arms, spreads the first streams, which get labels, evenly.
        turn, place = divmod(index, len(subjects[f'{kind}ing']))
        subject, side = subjects[f'{kind}ing'][place], SIDES[turn % 2]
        arm = {r.exercise: r for r in recordings if (r.subject, r.side) == (subject, side)}
        signal, cuts = compose_stream(
            arm, settings.train_part if training else settings.test_part,
            np.random.default_rng((settings.seed, 2 + training, index)))
        video = f'watch_{kind}_{index:03d}_s{subject:02d}_{side}'
        with atomic_write(out_dir / 'features' / f'{video}.npy', 'wb') as file:
            np.save(file, extract_features(encoder, signal))
        unlabelled = training and index >= settings.labelled
        streams[video] = {'subject': subject, 'side': side, 'cuts': [asdict(cut) for cut in cuts]}
        database[video] = {
            'subset': 'unlabelled' if unlabelled else f'{kind}ing',
            'duration': STREAM_SAMPLES / SAMPLE_RATE,
            'annotations': [] if unlabelled else annotate(cuts),
        }
        if progress:
            progress('composing and encoding streams', done, len(plans))
    return streams, database


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        json.dump(content, file, indent=1)
