"""The encoder of the watch data, on the real array of seglearn."""

from __future__ import annotations

import numpy as np
import pytest

from sola_plugin.datasets.watch.data import VALIDATION
from sola_plugin.datasets.watch.encoder import extract_features, train_encoder, window_accuracy
from sola_plugin.datasets.watch.streams import find_watch_file, read_recordings


@pytest.fixture(scope='module')
def recordings():
    return read_recordings(find_watch_file())


@pytest.mark.slow
def test_encoder_learns_trimmed_exercises(recordings):
    classes = ('IR', 'ER', 'TRAP')
    own = [r for r in recordings if r.subject in (2, 4, 10) and r.exercise in classes]
    labels = [classes.index(r.exercise) for r in own]
    train, held_out = (
        [r.signal[slice(*r.part(part))] for r in own] for part in VALIDATION.values()
    )
    encoder = train_encoder(train, labels, seed=0, steps=120)
    accuracy, windows = window_accuracy(encoder, held_out, labels)
    assert windows > 300
    assert accuracy > 0.8  # 1/3 by chance
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_snippets_see_their_own_32_samples_only(recordings):
    clips = [r.signal for r in recordings[:2]]
    encoder = train_encoder(clips, [0, 1], seed=0, steps=2)
    signal = recordings[2].signal[: 32 + 16 * 9].copy()
    before = extract_features(encoder, signal)
    signal[16 * 4 : 16 * 4 + 32] += 1
    changed = (extract_features(encoder, signal) != before).any(axis=1)
    assert before.shape == (10, 128)
    assert np.flatnonzero(changed).tolist() == [3, 4, 5]
