"""Real smart-watch recordings out of the seglearn wheel, and untrimmed streams composed of them.

The recordings are those of D. Burns et al., "Shoulder physiotherapy exercise recognition"
(https://arxiv.org/abs/1802.01489). docs/watch.md says what the streams are and what they are not.
"""

from __future__ import annotations

import importlib.util
import math
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sola_plugin.datasets.features.safe_pickle import load_object_npy

from .encoder import SIGNAL_CHANNELS, STRIDE, WINDOW

SAMPLE_RATE = 50
SIDES = ('left', 'right')
EXERCISES = ('PEN', 'ABD', 'FEL', 'IR', 'ER', 'TRAP', 'ROW')
ACTIONS, DISTRACTORS = ('ABD', 'ROW'), ('FEL', 'PEN')
#: The same of streams of another data set.
FOREIGN_ACTIONS, FOREIGN_DISTRACTORS = ('TRAP',), ('IR', 'ER')
NUM_SNIPPETS = 256
STREAM_SAMPLES = STRIDE * (NUM_SNIPPETS - 1) + WINDOW
#: Samples of a cross-fade: 0.5 s.
FADE = 25
#: Fewest and most samples of a bout, from the middle of one cross-fade to the next: 3 to 8 s.
BOUT = (3 * SAMPLE_RATE, 8 * SAMPLE_RATE)
INSTALL = 'pip install seglearn==1.2.5'


@dataclass(frozen=True)
class Recording:
    """One exercise of one arm: `index` in the array, whose, which, float32 signal ``(n, 6)``."""

    index: int
    subject: int
    side: str
    exercise: str
    signal: np.ndarray

    def part(self, fractions: tuple[float, float]) -> tuple[int, int]:
        """First and one-past-last sample inside the fractions; disjoint fractions share no sample.

        Raises:
            ValueError: Fewer samples than the shortest bout that can be cross-faded.
        """
        first = math.ceil(fractions[0] * len(self.signal))
        last = math.floor(fractions[1] * len(self.signal))
        if last - first <= 2 * FADE:
            raise ValueError(
                f'recording {self.index} (subject {self.subject}, {self.side}, {self.exercise}) '
                f'has {max(last - first, 0)} samples in the part {fractions}, a bout needs at '
                f'least {2 * FADE + 1}: take a wider part'
            )
        return first, last


@dataclass(frozen=True)
class Cut:
    """Samples ``[start, stop)`` of a recording, put at sample `position` of a stream."""

    recording: int
    label: str
    start: int
    stop: int
    position: int

    @property
    def end(self) -> int:
        """One past the cut's last sample in the stream."""
        return self.position + self.stop - self.start


def find_watch_file() -> Path:
    """The array inside the installed seglearn, which is not imported: its import may fail.

    Raises:
        ModuleNotFoundError: seglearn is not installed.
        FileNotFoundError: It is, but without the array.
    """
    spec = importlib.util.find_spec('seglearn')
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f'the watch recordings are in the package seglearn, which is not installed: {INSTALL}'
        )
    path = Path(spec.origin).parent / 'data' / 'watch_dataset.npy'
    if not path.is_file():
        raise FileNotFoundError(f'{path}: the installed seglearn lacks this file: {INSTALL}')
    return path


def read_recordings(path: str | os.PathLike) -> list[Recording]:
    """Read the array of 140 recordings: 10 subjects, 2 arms, 7 exercises.

    Raises:
        ValueError: The file is truncated or is not the expected array.
    """
    try:
        data = load_object_npy(path)
        names = list(data['y_labels'])
        columns = [data[key] for key in ('X', 'y', 'subject', 'side')]
        if len({len(column) for column in columns}) != 1:
            raise ValueError(f'X, y, subject and side have {[len(c) for c in columns]} entries')
        if set(names) != set(EXERCISES):
            raise ValueError(f'exercises {names}, expected {list(EXERCISES)}')
        return [
            Recording(index, int(subject), SIDES[int(side)], names[label], _signal(values))
            for index, (values, label, subject, side) in enumerate(zip(*columns))
        ]
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        raise ValueError(
            f'{path} is not the array of seglearn 1.2.5 ({error}): install it again '
            f'with {INSTALL} --force-reinstall --no-deps'
        ) from error


def _signal(values: object) -> np.ndarray:
    signal = np.asarray(values, dtype=np.float32)
    if signal.ndim != 2 or signal.shape[1] != SIGNAL_CHANNELS or not np.isfinite(signal).all():
        raise ValueError(f'a recording of shape {signal.shape}, expected (n, 6) finite numbers')
    return signal


def compose_stream(
    recordings: Mapping[str, Recording],
    part: tuple[float, float],
    generator: np.random.Generator,
    actions: tuple[str, ...] = ACTIONS,
    distractors: tuple[str, ...] = DISTRACTORS,
) -> tuple[np.ndarray, list[Cut]]:
    """Compose one untrimmed stream of one arm's recordings.

    Distractors and actions alternate, beginning and ending with a distractor, so that every action
    is whole; an action that would not end before the stream does is replaced by a distractor.

    Args:
        recordings: By exercise: the arm's recording of each action and distractor.
        part: Fractions of the recordings that the bouts are cut from.
        generator: Draws exercises, lengths and places.
        actions: Exercises of one group.
        distractors: Exercises of the other.

    Returns:
        The signal, float32 ``(4112, 6)``, and the cuts in order; neighbours overlap by `FADE`.

    Raises:
        ValueError: A recording's part is too short to hold a bout.
    """
    cuts: list[Cut] = []
    position = 0
    while not cuts or cuts[-1].end < STREAM_SAMPLES:
        names = actions if cuts and cuts[-1].label in distractors else distractors
        cut = _draw_cut(recordings, names, part, position, generator)
        if cut.label in actions and cut.end >= STREAM_SAMPLES:
            cut = _draw_cut(recordings, distractors, part, position, generator)
        cuts.append(cut)
        position = cut.end - FADE
    last = cuts[-1]
    cuts[-1] = Cut(
        last.recording,
        last.label,
        last.start,
        last.stop - (last.end - STREAM_SAMPLES),
        last.position,
    )
    return _cross_fade(recordings, cuts), cuts


def _draw_cut(
    recordings: Mapping[str, Recording],
    names: tuple[str, ...],
    part: tuple[float, float],
    position: int,
    generator: np.random.Generator,
) -> Cut:
    recording = recordings[names[generator.integers(len(names))]]
    first, last = recording.part(part)
    # A short recording gives the longest bout that it has.
    length = min(int(generator.integers(BOUT[0], BOUT[1] + 1)) + FADE, last - first)
    start = int(generator.integers(first, last - length + 1))
    return Cut(recording.index, recording.exercise, start, start + length, position)


def _cross_fade(recordings: Mapping[str, Recording], cuts: list[Cut]) -> np.ndarray:
    """Add up the cuts, each ramped linearly over `FADE` samples where it meets a neighbour."""
    stream = np.zeros((STREAM_SAMPLES, SIGNAL_CHANNELS), dtype=np.float32)
    ramp = ((np.arange(FADE, dtype=np.float32) + 0.5) / FADE)[:, None]
    for cut in cuts:
        piece = recordings[cut.label].signal[cut.start : cut.stop].copy()
        if cut is not cuts[0]:
            piece[:FADE] *= ramp
        if cut is not cuts[-1]:
            piece[-FADE:] *= ramp[::-1]
        stream[cut.position : cut.end] += piece
    return stream


def annotate(cuts: list[Cut]) -> list[dict]:
    """The actions among the cuts, from the middle of one cross-fade to the middle of the next.

    Returns:
        ActivityNet annotations, ``dict(segment=[start, end], label=...)``, seconds of the stream.
    """
    return [
        {
            'segment': [
                (cut.position + FADE / 2) / SAMPLE_RATE,
                (cut.end - FADE / 2) / SAMPLE_RATE,
            ],
            'label': cut.label,
        }
        for cut in cuts
        if cut.label in ACTIONS
    ]
