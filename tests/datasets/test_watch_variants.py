"""The embedded data with two streams of features and with streams of another data set."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from sola_plugin.datasets.tal_dataset import TALFeatureDataset
from sola_plugin.datasets.watch import data as watch
from sola_plugin.datasets.watch.data import prepare_watch
from sola_plugin.datasets.watch.streams import find_watch_file, read_recordings

SMALL = {'num_train': 3, 'num_test': 2, 'labelled': 2, 'encoder_steps': 5}
FOLDERS = ('features', 'features_accelerometer', 'features_gyroscope')


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    return prepare_watch(tmp_path_factory.mktemp('plain'), **SMALL)


@pytest.fixture(scope='module')
def full(tmp_path_factory):
    """With two streams and foreign streams."""
    return prepare_watch(tmp_path_factory.mktemp('full'), **SMALL, two_stream=True, foreign=4)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def database(summary):
    return json.loads((summary.out_dir / 'annotations.json').read_text())['database']


def test_neither_by_default(plain):
    files = contents(plain.out_dir)
    assert len(files) == 5 + 2
    assert all(name.startswith(('features/', 'annotations.json', 'dataset.json')) for name in files)
    assert 'foreign' not in {entry['subset'] for entry in database(plain).values()}
    assert plain.encoder['held_out_accuracy_of_sensors'] == {}


def test_the_options_change_nothing_else(plain, full):
    here, there = contents(full.out_dir), contents(plain.out_dir)
    features = [name for name in there if name.startswith('features/')]
    assert len(features) == 5
    assert all(here[name] == there[name] for name in features)
    assert {video: full.streams[video] for video in plain.streams} == plain.streams
    assert {video: database(full)[video] for video in plain.streams} == database(plain)
    assert {**full.encoder, 'held_out_accuracy_of_sensors': {}} == plain.encoder


def test_equal_settings_give_equal_bytes(tmp_path, full):
    torch.manual_seed(7)
    again = prepare_watch(tmp_path, **SMALL, two_stream=True, foreign=4)
    assert contents(again.out_dir) == contents(full.out_dir)


# Two streams


def test_files_of_two_streams(full):
    features = {
        folder: {path.stem: np.load(path) for path in (full.out_dir / folder).iterdir()}
        for folder in FOLDERS
    }
    for arrays in features.values():
        assert arrays.keys() == full.streams.keys()
        assert {(array.dtype.name, array.shape) for array in arrays.values()} == {
            ('float32', (256, 128))
        }
        assert all(np.isfinite(array).all() for array in arrays.values())
    for video in full.streams:
        one, two, three = (features[folder][video] for folder in FOLDERS)
        assert not (
            np.array_equal(one, two) or np.array_equal(one, three) or np.array_equal(two, three)
        )
    accuracy = full.encoder['held_out_accuracy_of_sensors']
    assert tuple(accuracy) == FOLDERS[1:]
    assert all(0 <= value <= 1 for value in accuracy.values())


@pytest.mark.parametrize(
    ('sensor', 'changed'),
    [
        (slice(0, 3), 'features_accelerometer'),
        pytest.param(slice(3, 6), 'features_gyroscope', marks=pytest.mark.slow),
    ],
)
def test_an_encoder_sees_its_sensor_only(tmp_path, monkeypatch, full, sensor, changed):
    def other_signals(path):
        recordings = read_recordings(path)
        for recording in recordings:
            recording.signal[:, sensor] = recording.signal[:, sensor][::-1] ** 2
        return recordings

    monkeypatch.setattr(watch, 'read_recordings', other_signals)
    other = contents(prepare_watch(tmp_path, **SMALL, two_stream=True, foreign=4).out_dir)
    for name, content in contents(full.out_dir).items():
        folder = name.split('/')[0]
        if folder in FOLDERS:
            assert (other[name] != content) == (folder in ('features', changed))


def test_two_streams_are_fused_by_the_dataset(full):
    dataset = TALFeatureDataset(
        'annotations.json',
        str(full.out_dir),
        dict(features=list(FOLDERS[1:])),
        subset='training',
        layout='TC',
        feature_stride=0.32,
        feature_offset=0.16,
    )
    video = dataset.get_data_info(0)['video_name']
    expected = np.concatenate(
        [np.load(full.out_dir / folder / f'{video}.npy').T for folder in FOLDERS[1:]]
    )
    np.testing.assert_array_equal(dataset.load_features(0), expected)


def test_files_of_an_earlier_run_go(tmp_path):
    prepare_watch(tmp_path, **SMALL, two_stream=True)
    with pytest.raises(ValueError, match='two_stream is True there, False asked'):
        prepare_watch(tmp_path, **SMALL)
    prepare_watch(tmp_path, **SMALL, force=True)
    assert not list(tmp_path.glob('features_*/*'))


# Streams of another data set


def test_foreign_streams_are_of_other_people_and_other_exercises(full):
    recordings = read_recordings(find_watch_file())
    foreign = {
        video: full.streams[video]
        for video, entry in database(full).items()
        if entry == dict(subset='foreign', duration=82.24, annotations=[])
    }
    assert list(foreign) == list(full.streams)[-4:]
    for stream in foreign.values():
        assert stream['subject'] in full.subjects['encoder']
        is_action = [cut['label'] == 'TRAP' for cut in stream['cuts']]
        assert any(is_action) and not is_action[0] and not is_action[-1]
        assert not any(first and second for first, second in zip(is_action, is_action[1:]))
        for cut in stream['cuts']:
            source = recordings[cut['recording']]
            assert (source.subject, source.side) == (stream['subject'], stream['side'])
            assert source.exercise == cut['label'] and cut['label'] in ('IR', 'ER', 'TRAP')
            assert 0 <= cut['start'] < cut['stop'] <= 0.74 * len(source.signal)
    others = [stream for video, stream in full.streams.items() if video not in foreign]
    assert not {stream['subject'] for stream in others} & set(full.subjects['encoder'])
    assert {cut['label'] for stream in others for cut in stream['cuts']} == {
        'ABD',
        'ROW',
        'FEL',
        'PEN',
    }
