"""Made annotation sets with the shape and the quirks of ActivityNet-1.3 and THUMOS14.

Both come in the official form, ``{'version', 'taxonomy', 'database': {id: {'subset', 'duration',
'annotations': [{'segment': [start, end], 'label'}]}}}``, times in seconds. They are smaller than
the real ones, so that tests are fast; a seed gives the same set in every run.
"""

from __future__ import annotations

import gzip
import json
import string
from pathlib import Path

import numpy as np

#: Of base64, so that ids may begin with a dash, as on YouTube.
ID_CHARACTERS = np.array([*string.ascii_letters, *string.digits, '-', '_'])


def write_set(path: Path, content: dict) -> Path:
    """Write a set as a gzipped JSON file, whose bytes do not depend on the time."""
    path.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))
    return path


def _content(version: str, database: dict) -> dict:
    return dict(version=version, taxonomy=[], database=database)


# --- ActivityNet-1.3 ------------------------------------------------------------------------------


def activitynet_like(seed: int = 0, training: int = 120, validation: int = 240) -> dict:
    """A set like ActivityNet-1.3: one long action a video, seldom more, times with all digits.

    Its quirks, each as the real file has it, only more often:

    - Ids of 11 characters; some begin with a dash.
    - Segments without length, at 0 or later in the video (12 of 22,152).
    - Segments that end up to 0.85 s after the video (215), some longer than the video (56).
    - Actions from 0 on (666), which cover all of the video or a hundredth of it.
    - Segments twice in a video (45), or nearly so, or overlapping others of their class (562).
    - A few videos with two classes, and actions not in order of time.
    - A few videos of 2 s and of 750 s; classes with five times the segments of others.
    - Videos of a subset ``testing`` without annotations: in the full file of the challenge.
    """
    rng = np.random.default_rng([seed, 13])
    classes = [f'Playing game {number:02d}' for number in range(20)]
    weights = rng.uniform(1, 5, len(classes))
    sizes = dict(training=training, validation=validation, testing=6)
    database = {}
    for subset, size in sizes.items():
        for index in range(size):
            duration = _activitynet_duration(rng, index)
            actions: list[dict] = []
            if subset != 'testing':
                # The first videos have every class in turn, so that no subset lacks one.
                label = classes[index % 20 if index < 20 else rng.choice(20, p=_shares(weights))]
                actions = _activitynet_actions(rng, duration, label)
                _add_quirk(actions, index, duration, classes, rng)
            video_id = ''.join(rng.choice(ID_CHARACTERS, 11))
            database['-' + video_id[1:] if index % 40 == 0 else video_id] = dict(
                subset=subset, duration=duration, annotations=actions
            )
    return _content('1.3', database)


def _shares(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()


def _activitynet_duration(rng: np.random.Generator, index: int) -> float:
    if index % 60 == 7:
        return float(round(rng.uniform(1.6, 8), 3))
    if index % 120 == 8:
        return 755.113
    return float(round(rng.uniform(20, 237), 2))


def _activitynet_actions(rng: np.random.Generator, duration: float, label: str) -> list[dict]:
    """Actions of one class in order of time, one in three videos out of four."""
    number = 1 if rng.random() < 0.76 else int(rng.geometric(0.3)) + 1
    edges = np.linspace(0, duration, number + 1)
    actions = []
    for low, high in zip(edges, edges[1:]):
        start, end = low + (high - low) * np.sort(rng.beta(0.6, 0.6, 2))
        start = 0.0 if low == 0 and rng.random() < 0.03 else float(start)
        actions.append(dict(segment=[start, float(end)], label=label))
    return actions


def _add_quirk(
    actions: list[dict], index: int, duration: float, classes: list[str], rng: np.random.Generator
) -> None:
    """Every 30 videos each quirk comes once."""
    start, end = actions[-1]['segment']
    label = actions[-1]['label']

    def add(start: float, end: float, label: str = label) -> None:
        actions.append(dict(segment=[float(start), float(end)], label=label))

    match index % 30:
        case 1:
            add(0.0, 0.0)
        case 2:
            add(start, start)
        case 3:  # beyond the end of the video
            actions[-1]['segment'][1] = duration + rng.uniform(0.001, 0.85)
        case 4:  # longer than the video
            actions[-1]['segment'] = [0.0, duration + rng.uniform(0.001, 0.5)]
        case 5:  # twice
            add(start, end)
        case 6:  # nearly twice
            add(start, end - 0.02 * (end - start))
        case 9:  # overlaps one of its class
            add(start + 0.5 * (end - start), end)
        case 10:  # two classes
            add(*actions[0]['segment'], classes[(classes.index(label) + 1) % len(classes)])
        case 11:
            add(0.1 * duration, 0.2 * duration)
            add(0.0, 0.05 * duration)


# --- THUMOS14 -------------------------------------------------------------------------------------


def thumos14_like(seed: int = 0, train: int = 30, test: int = 40) -> dict:
    """A set like THUMOS14: many short actions a video, times in tenths of a second.

    Its quirks, each as the real file has it:

    - The subset ``train`` is the official validation set, and the ids say so.
    - ``duration`` is only the last annotated end and 10 s.
    - Every CliffDiving is annotated a second time, as Diving; 30 s of one class may hold another.
    - From 1 to 150 actions a video of 20 s to 1,671 s; the shortest take 0.2 s.
    - Actions of one class seldom overlap (8 pairs of 6,318 segments); some are not in order.
    """
    rng = np.random.default_rng([seed, 14])
    labels = ['BaseballPitch', 'CliffDiving', 'Diving', 'GolfSwing', 'HighJump', 'Shotput']
    database = {}
    for subset, size, name in (('test', test, 'test'), ('train', train, 'validation')):
        for index in range(size):
            number = 150 if index == 4 else int(min(rng.geometric(0.06), 60))
            label = labels[index % len(labels)]
            actions = _thumos14_actions(rng, number, label)
            if index % 10 == 9:
                actions += [dict(one, label=labels[-1]) for one in _thumos14_actions(rng, 3, '')]
            if index % 20 == 3:  # overlaps the one before
                start, end = actions[-1]['segment']
                actions.append(dict(segment=[start, round(end + 2.0, 1)], label=label))
            if label == 'CliffDiving':
                actions += [dict(one, label='Diving') for one in actions]
            if index % 5 == 2:
                actions.reverse()
            database[f'video_{name}_{7 * index + 4:07d}'] = dict(
                subset=subset,
                duration=round(max(one['segment'][1] for one in actions) + 10, 1),
                annotations=actions,
            )
    return _content('14', database)


def _thumos14_actions(rng: np.random.Generator, number: int, label: str) -> list[dict]:
    lengths = np.clip(rng.lognormal(1.15, 0.9, number), 0.2, 80)
    starts = np.cumsum(rng.exponential(6, number) + 0.1) + np.cumsum(lengths) - lengths
    starts[0] = 0.0 if rng.random() < 0.1 else starts[0]
    return [
        dict(segment=[round(float(s), 1), round(float(s) + max(float(n), 0.2), 1)], label=label)
        for s, n in zip(starts.round(1), lengths.round(1))
    ]


# --- detections -----------------------------------------------------------------------------------


def made_detections(database: dict, subset: str, per_video: int, seed: int) -> dict:
    """Detections ``{id: [{segment, label, score}]}``: moved true segments, and false alarms.

    Scores are all different: official evaluators leave open which of equal ones comes first. One
    video in ten has no detections, and one that is detected is not in the ground truth.
    """
    rng = np.random.default_rng([seed, 15])
    labels = sorted({one['label'] for video in database.values() for one in video['annotations']})
    results = {}
    for index, video_id in enumerate(v for v, x in database.items() if x['subset'] == subset):
        if index % 10 == 5:
            continue
        duration, truth = database[video_id]['duration'], database[video_id]['annotations']
        results[video_id] = []
        for _ in range(per_video):
            near = truth and rng.random() < 0.6
            segment, label = np.sort(rng.uniform(0, duration, 2)), str(rng.choice(labels))
            if near:
                one = truth[rng.integers(len(truth))]
                length = one['segment'][1] - one['segment'][0]
                segment = np.sort(one['segment'] + rng.normal(0, 0.12 * length, 2)).clip(0)
                label = one['label'] if rng.random() < 0.85 else label
            score = float(rng.beta(4, 2) if near else rng.beta(2, 4))
            results[video_id].append(dict(segment=segment.tolist(), label=label, score=score))
    results['not annotated'] = [dict(segment=[0.0, 5.0], label=labels[0], score=0.95)]
    return results
