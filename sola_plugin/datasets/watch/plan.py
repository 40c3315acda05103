"""What the embedded data consist of: settings, and the subjects and streams that follow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .streams import (
    ACTIONS,
    DISTRACTORS,
    EXERCISES,
    FOREIGN_ACTIONS,
    FOREIGN_DISTRACTORS,
    SIDES,
    Recording,
)

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
        encoder_steps: Training steps of each encoder.
        two_stream: Also encode acceleration and rotation, each by an encoder of its own.
        foreign: Number of streams of another data set, for transfer: the encoder's subjects, and
            exercises that the other streams lack, from `train_part`.

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
    two_stream: bool = False
    foreign: int = 0

    def __post_init__(self) -> None:
        if self.split not in ('time', 'subject'):
            raise ValueError(f"split is {self.split!r}, expected 'time' or 'subject'")
        if not 1 <= self.labelled <= self.num_train:
            raise ValueError(
                f'labelled is {self.labelled}, expected 1 to num_train = {self.num_train}'
            )
        for name, least in (('num_test', 1), ('encoder_steps', 1), ('seed', 0), ('foreign', 0)):
            if getattr(self, name) < least:
                raise ValueError(f'{name} is {getattr(self, name)}, expected at least {least}')
        if not isinstance(self.two_stream, bool):
            raise ValueError(f'two_stream is {self.two_stream!r}, expected True or False')
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
                'training and testing must not share a sample'
            )

    def to_json(self) -> dict[str, Any]:
        """The settings and the recipe's number as they read back from a JSON file."""
        return json.loads(json.dumps({'recipe': RECIPE, **asdict(self)}))


@dataclass(frozen=True)
class StreamPlan:
    """One stream before it is composed.

    Args:
        video: Its id.
        subset: Its subset in the annotations.
        subject: Whose recordings it is cut from.
        side: Of which arm.
        part: From which stretch of them.
        groups: Exercises that alternate in it: actions, distractors.
        seed: Of exercises, lengths and places of its cuts.
    """

    video: str
    subset: str
    subject: int
    side: str
    part: tuple[float, float]
    groups: tuple[tuple[str, ...], tuple[str, ...]]
    seed: tuple[int, ...]

    @property
    def annotated(self) -> bool:
        """Whether the annotations name its actions."""
        return self.subset in ('training', 'testing')


def draw_subjects(settings: WatchSettings, recordings: list[Recording]) -> dict[str, list[int]]:
    """Share the subjects out: numbers of ``encoder``, ``training`` and ``testing``."""
    numbers = np.unique([recording.subject for recording in recordings])
    order = np.random.default_rng((settings.seed, 1)).permutation(numbers).tolist()
    encoder, others = order[:3], order[3:]
    training, testing = (others, others) if settings.split == 'time' else (others[:4], others[4:])
    return {'encoder': sorted(encoder), 'training': sorted(training), 'testing': sorted(testing)}


def plan_streams(settings: WatchSettings, subjects: dict[str, list[int]]) -> list[StreamPlan]:
    """Every stream, whatever its subset. A stream does not depend on how many others there are.

    Args:
        settings: What is wanted.
        subjects: As from `draw_subjects`.
    """
    target, foreign = (ACTIONS, DISTRACTORS), (FOREIGN_ACTIONS, FOREIGN_DISTRACTORS)
    train = ['training'] * settings.labelled + ['unlabelled'] * (
        settings.num_train - settings.labelled
    )
    return [
        *_plans(
            'train', train, subjects['training'], settings.train_part, target, (settings.seed, 3)
        ),
        *_plans(
            'test',
            ['testing'] * settings.num_test,
            subjects['testing'],
            settings.test_part,
            target,
            (settings.seed, 2),
        ),
        *_plans(
            'foreign',
            ['foreign'] * settings.foreign,
            subjects['encoder'],
            settings.train_part,
            foreign,
            (settings.seed, 4),
        ),
    ]


def _plans(
    kind: str,
    subsets: list[str],
    subjects: list[int],
    part: tuple[float, float],
    groups: tuple[tuple[str, ...], tuple[str, ...]],
    seed: tuple[int, int],
) -> Iterator[StreamPlan]:
    for index, subset in enumerate(subsets):
        # Round robin over subjects, then arms, spreads the first streams, which get labels, evenly.
        turn, place = divmod(index, len(subjects))
        subject, side = subjects[place], SIDES[turn % 2]
        yield StreamPlan(
            f'watch_{kind}_{index:03d}_s{subject:02d}_{side}',
            subset,
            subject,
            side,
            part,
            groups,
            (*seed, index),
        )
