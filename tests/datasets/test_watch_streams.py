"""The watch recordings and the streams composed of them. Works on the real array of seglearn."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from sola_plugin.datasets.watch.streams import (
    ACTIONS,
    DISTRACTORS,
    EXERCISES,
    FADE,
    STREAM_SAMPLES,
    Recording,
    annotate,
    compose_stream,
    find_watch_file,
    read_recordings,
)


@pytest.fixture(scope='module')
def recordings():
    return read_recordings(find_watch_file())


def test_recordings_are_one_for_each_subject_arm_and_exercise(recordings):
    keys = {(r.subject, r.side, r.exercise) for r in recordings}
    assert len(recordings) == len(keys) == 140
    assert [r.index for r in recordings] == list(range(140))


def constant_recordings(values, length=2000):
    return {
        name: Recording(index, 1, 'left', name, np.full((length, 6), value, dtype=np.float32))
        for index, (name, value) in enumerate(values.items())
    }


def test_cross_fades_are_linear_and_the_boundary_is_their_middle():
    recordings = constant_recordings({'ABD': 1, 'ROW': 1, 'FEL': 0, 'PEN': 0})
    signal, cuts = compose_stream(recordings, (0.0, 1.0), np.random.default_rng(0))
    # The level is the share of action: 0, up in a straight line through 1/2 at each start, 1, down.
    corners = [(0.0, 0.0)]
    for note in annotate(cuts):
        start, end = (50 * time for time in note['segment'])
        corners += [(start - FADE / 2, 0), (start + FADE / 2, 1)]
        corners += [(end - FADE / 2, 1), (end + FADE / 2, 0)]
    centres = np.arange(STREAM_SAMPLES) + 0.5
    expected = np.interp(centres, *zip(*corners))
    np.testing.assert_allclose(signal, np.repeat(expected[:, None], 6, axis=1), atol=1e-6)


def test_cross_fades_keep_the_level():
    recordings = constant_recordings(dict.fromkeys(ACTIONS + DISTRACTORS, 3))
    signal, _ = compose_stream(recordings, (0.0, 1.0), np.random.default_rng(1))
    np.testing.assert_allclose(signal, 3, rtol=1e-6)


def test_between_cross_fades_stand_the_recordings_samples(recordings):
    arm = {r.exercise: r for r in recordings if (r.subject, r.side) == (1, 'right')}
    signal, cuts = compose_stream(arm, (0.0, 0.74), np.random.default_rng(2))
    for cut in cuts:
        inside = signal[cut.position + FADE : cut.end - FADE]
        source = arm[cut.label].signal[cut.start + FADE : cut.stop - FADE]
        np.testing.assert_array_equal(inside, source)


def test_every_action_stands_between_distractors(recordings):
    arm = {r.exercise: r for r in recordings if (r.subject, r.side) == (2, 'left')}
    for seed in range(50):
        _, cuts = compose_stream(arm, (0.0, 0.74), np.random.default_rng(seed))
        is_action = [cut.label in ACTIONS for cut in cuts]
        assert not is_action[0] and not is_action[-1]
        assert not any(first and second for first, second in zip(is_action, is_action[1:]))
        assert cuts[0].position == 0 and cuts[-1].end == STREAM_SAMPLES
        assert all(b.position == a.end - FADE for a, b in zip(cuts, cuts[1:]))


def test_durations_of_actions(recordings):
    arm = {r.exercise: r for r in recordings if (r.subject, r.side) == (2, 'left')}
    notes = [
        annotate(compose_stream(arm, (0.0, 0.74), np.random.default_rng(seed))[1])
        for seed in range(100)
    ]
    durations = np.concatenate([np.diff([note['segment'] for note in stream]) for stream in notes])
    # Uniform but for the end of a stream, where long bouts do not fit.
    quartiles = np.quantile(durations, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quartiles[[0, 4]], [3, 8], atol=0.05)
    np.testing.assert_allclose(quartiles[1:4], [4.25, 5.5, 6.75], atol=0.4)
    assert 0.35 < durations.sum() / (100 * 82.24) < 0.55


def test_short_recordings_give_their_longest_bout():
    recordings = constant_recordings(dict.fromkeys(ACTIONS + DISTRACTORS, 1), length=100)
    _, cuts = compose_stream(recordings, (0.2, 1.0), np.random.default_rng(0))
    assert {(cut.start, cut.stop) for cut in cuts[:-1]} == {(20, 100)}


def test_missing_package(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install seglearn==1\.2\.5'):
        find_watch_file()


def test_package_without_the_array(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location('seglearn', tmp_path / '__init__.py')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: spec)
    with pytest.raises(FileNotFoundError, match=r'watch_dataset\.npy.*pip install seglearn'):
        find_watch_file()


def test_package_is_not_imported():
    find_watch_file()
    assert 'seglearn' not in sys.modules


def test_truncated_array(tmp_path):
    short = tmp_path / 'watch_dataset.npy'
    for size in (0, 50, 5000, 1_000_000):
        short.write_bytes(find_watch_file().read_bytes()[:size])
        with pytest.raises(ValueError, match=r'watch_dataset\.npy is not the array .*--force-rein'):
            read_recordings(short)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'X': [np.zeros((100, 5))]}, r'shape \(100, 5\), expected \(n, 6\) finite'),
        ({'X': [np.full((100, 6), np.nan)]}, r'expected \(n, 6\) finite'),
        ({'side': np.zeros(2)}, r'have \[1, 1, 1, 2\] entries'),
        ({'y_labels': ['RUN']}, r"exercises \['RUN'\]"),
        ({'subject': None}, r'is not the array'),
    ],
)
def test_another_array(tmp_path, change, message):
    data = {
        'X': [np.zeros((100, 6))],
        'y': np.zeros(1, int),
        'subject': np.ones(1, int),
        'side': np.zeros(1),
        'y_labels': list(EXERCISES),
        **change,
    }
    np.save(tmp_path / 'watch.npy', np.array(data, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        read_recordings(tmp_path / 'watch.npy')
