"""The embedded watch data: where each sample comes from, what is annotated, what bad input says.

Works on the real array: seglearn is a test dependency. Only sizes and encoder steps are reduced.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from sola_plugin.datasets.watch import data as watch
from sola_plugin.datasets.watch.data import VALIDATION, prepare_watch
from sola_plugin.datasets.watch.encoder import train_encoder
from sola_plugin.datasets.watch.streams import ACTIONS, find_watch_file, read_recordings
from sola_plugin.locking import BusyError, hold_lock

SMALL = {'num_train': 14, 'num_test': 7, 'labelled': 7, 'encoder_steps': 5}


@pytest.fixture(scope='module')
def recordings():
    return read_recordings(find_watch_file())


@pytest.fixture(scope='module')
def summary(tmp_path_factory):
    return prepare_watch(tmp_path_factory.mktemp('watch') / 'data', **SMALL)


def read_json(path):
    return json.loads(path.read_text())


def database(summary):
    return read_json(summary.out_dir / 'annotations.json')['database']


def samples(summary, kind):
    """Count by (recording, sample) how often the streams of one kind use it."""
    return Counter(
        (cut['recording'], sample)
        for video, stream in summary.streams.items()
        if f'_{kind}_' in video
        for cut in stream['cuts']
        for sample in range(cut['start'], cut['stop'])
    )


# What is written


def test_features_and_annotations_name_the_same_streams(summary):
    files = {path.stem: np.load(path) for path in (summary.out_dir / 'features').iterdir()}
    assert files.keys() == database(summary).keys() == summary.streams.keys()
    for features in files.values():
        assert features.dtype == np.float32
        assert features.shape == (256, 128)
        assert np.isfinite(features).all()
        assert (features.std(axis=0) > 0).any()


def test_subsets_and_leakage(summary):
    entries = database(summary)
    subsets = Counter(entry['subset'] for entry in entries.values())
    assert subsets == {'training': 7, 'unlabelled': 7, 'testing': 7}
    assert all(
        bool(entry['annotations']) == (entry['subset'] != 'unlabelled')
        for entry in entries.values()
    )
    assert {note['label'] for entry in entries.values() for note in entry['annotations']} == {
        'ABD',
        'ROW',
    }


def test_labelled_streams_are_spread_over_subjects(summary):
    labelled = [
        summary.streams[video]['subject']
        for video, entry in database(summary).items()
        if entry['subset'] == 'training'
    ]
    assert sorted(labelled) == summary.subjects['training']


def test_cells_are_centred_on_their_snippets(summary):
    content = read_json(summary.out_dir / 'annotations.json')
    stride, offset = content['feature_stride'], content['feature_offset']
    index = np.arange(256)
    np.testing.assert_allclose(offset + (index + 0.5) * stride, (16 * index + 16) / 50)
    assert all(entry['duration'] == 82.24 for entry in content['database'].values())


def test_segments_are_the_actions_between_the_middles_of_the_cross_fades(summary):
    for video, entry in database(summary).items():
        if entry['subset'] == 'unlabelled':
            continue
        cuts = summary.streams[video]['cuts']
        expected = [
            (
                (before['position'] + before['stop'] - before['start'] + cut['position']) / 2 / 50,
                (cut['position'] + cut['stop'] - cut['start'] + after['position']) / 2 / 50,
                cut['label'],
            )
            for before, cut, after in zip(cuts, cuts[1:], cuts[2:])
            if cut['label'] in ACTIONS
        ]
        assert [(*note['segment'], note['label']) for note in entry['annotations']] == expected
        assert all(0 < start < end < entry['duration'] for start, end, _ in expected)


def test_summary_is_what_dataset_json_holds(summary):
    content = read_json(summary.out_dir / 'dataset.json')
    assert summary.written
    assert content['settings'] == {
        'recipe': 1,
        'seed': 0,
        'split': 'time',
        **SMALL,
        'two_stream': False,
        'foreign': 0,
        'encoder_classes': ['IR', 'ER', 'TRAP'],
        'train_part': [0.0, 0.74],
        'test_part': [0.76, 1.0],
    }
    assert content['sizes'] == {
        'training': 7,
        'unlabelled': 7,
        'testing': 7,
        'foreign': 0,
        'snippets': 256,
        'channels': 128,
    }
    assert content['source']['version'] == '1.2.5'
    assert 0 <= content['encoder']['held_out_accuracy'] <= 1


# Which samples go where


def test_training_and_testing_share_no_sample(summary):
    assert not samples(summary, 'train').keys() & samples(summary, 'test').keys()


def test_cuts_keep_to_their_part_and_arm(summary, recordings):
    for video, stream in summary.streams.items():
        low, high = (0.0, 0.74) if '_train_' in video else (0.76, 1.0)
        for cut in stream['cuts']:
            source = recordings[cut['recording']]
            assert (source.subject, source.side) == (stream['subject'], stream['side'])
            assert source.exercise == cut['label']
            length = len(source.signal)
            assert low * length <= cut['start'] < cut['stop'] <= high * length


def test_validation_keeps_off_the_test_part(tmp_path, recordings):
    summary = prepare_watch(tmp_path, **{**SMALL, **VALIDATION})
    used = samples(summary, 'train').keys() | samples(summary, 'test').keys()
    assert all(sample < 0.74 * len(recordings[index].signal) for index, sample in used)
    assert not samples(summary, 'train').keys() & samples(summary, 'test').keys()
    for entry in database(summary).values():
        for start, end in (note['segment'] for note in entry['annotations']):
            assert 3 - 1e-9 <= end - start <= 8 + 1e-9


def test_encoder_sees_only_its_own_subjects_exercises_and_part(tmp_path, monkeypatch, recordings):
    seen = []

    def spy(clips, *args, **kwargs):
        seen.extend(clips)
        return train_encoder(clips, *args, **kwargs)

    monkeypatch.setattr(watch, 'train_encoder', spy)
    summary = prepare_watch(tmp_path, **SMALL, split='subject')
    expected = [
        r.signal[: int(0.74 * len(r.signal))]
        for r in recordings
        if r.subject in summary.subjects['encoder'] and r.exercise in ('IR', 'ER', 'TRAP')
    ]
    assert len(seen) == len(expected) == 18
    for clip, signal in zip(seen, expected):
        np.testing.assert_array_equal(clip, signal)
    assert not {stream['subject'] for stream in summary.streams.values()} & set(
        summary.subjects['encoder']
    )


# Repeatability


def test_equal_settings_give_equal_bytes_whatever_the_threads_and_generators(tmp_path, summary):
    threads = torch.get_num_threads()
    torch.manual_seed(123)
    np.random.seed(123)
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    try:
        again = prepare_watch(tmp_path, **SMALL)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob('*') if path.is_file())
    assert len(files) == 23
    assert all(
        (again.out_dir / name).read_bytes() == (summary.out_dir / name).read_bytes()
        for name in files
    )


def test_streams_do_not_depend_on_how_many_there_are_or_how_many_have_labels(tmp_path, summary):
    other = prepare_watch(tmp_path, **{**SMALL, 'num_train': 5, 'labelled': 2})
    shared = other.streams.keys() & summary.streams.keys()
    assert len(shared) == 12
    for video in shared:
        file = Path('features', f'{video}.npy')
        assert (tmp_path / file).read_bytes() == (summary.out_dir / file).read_bytes()


def test_second_call_does_nothing(summary):
    marker = summary.out_dir / 'dataset.json'
    before = marker.stat().st_mtime_ns
    again = prepare_watch(summary.out_dir, **SMALL)
    assert not again.written
    assert again.streams == summary.streams
    assert marker.stat().st_mtime_ns == before


def test_other_settings_in_the_folder(tmp_path, summary):
    with pytest.raises(ValueError, match=r'labelled is 7 there, 3 asked: take another folder'):
        prepare_watch(summary.out_dir, **{**SMALL, 'labelled': 3})


def test_killed_in_the_middle_then_run_again(tmp_path):
    def stop(what, done, total):
        if what.startswith('composing') and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_watch(tmp_path, seed=1, **SMALL, progress=stop)
    assert len(list((tmp_path / 'features').iterdir())) == 3
    assert not (tmp_path / 'dataset.json').exists()
    done = prepare_watch(tmp_path, **SMALL)
    assert {path.stem for path in (tmp_path / 'features').iterdir()} == done.streams.keys()
    forced = prepare_watch(tmp_path, **{**SMALL, 'num_test': 1}, force=True)
    assert forced.written
    assert {path.stem for path in (tmp_path / 'features').iterdir()} == forced.streams.keys()


# Bad input


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'labelled': 57}, r'labelled is 57, expected 1 to num_train = 56'),
        ({'labelled': 0}, r'labelled is 0'),
        ({'num_test': 0}, r'num_test is 0, expected at least 1'),
        ({'seed': -1}, r'seed is -1, expected at least 0'),
        ({'foreign': -1}, r'foreign is -1, expected at least 0'),
        ({'two_stream': 'no'}, r"two_stream is 'no', expected True or False"),
        ({'split': 'person'}, r"split is 'person', expected 'time' or 'subject'"),
        ({'encoder_classes': ('IR', 'RUN', 'SIT')}, r"unknown encoder_classes \['RUN', 'SIT'\]"),
        ({'encoder_classes': ('IR', 'IR')}, r'expected two or more, each once'),
        ({'encoder_classes': 'IR'}, r"is the text 'IR'"),
        (
            {'train_part': (0.0, 0.8)},
            r'train_part \(0.0, 0.8\) and test_part \(0.76, 1.0\) overlap',
        ),
        ({'test_part': (0.9, 0.8)}, r'test_part is \[0.9, 0.8\], expected 0 <= start < stop <= 1'),
        ({'test_part': (0.99, 1.0)}, r'\d+ samples in the part \(0.99, 1.0\), a bout needs'),
    ],
)
def test_bad_settings(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        prepare_watch(tmp_path / 'data', **{'encoder_steps': 1, **settings})
    assert not (tmp_path / 'data' / 'dataset.json').exists()


def test_foreign_dataset_json(tmp_path):
    (tmp_path / 'dataset.json').write_text('{"name": "mine"}')
    with pytest.raises(ValueError, match=r'dataset.json was not written by prepare_watch'):
        prepare_watch(tmp_path)


# The tool


@pytest.fixture
def tool(monkeypatch):
    path = Path(__file__).parents[2] / 'tools' / 'prepare_watch.py'
    spec = importlib.util.spec_from_file_location('prepare_watch_tool', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    small = {key: value for key, value in SMALL.items() if key != 'labelled'}
    monkeypatch.setattr(module, 'prepare_watch', partial(prepare_watch, **small))

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['prepare_watch.py', *map(str, arguments)])
        module.main()

    return run


def test_tool(tmp_path, tool, capsys):
    tool(tmp_path, '--labelled', 5, '--split', 'subject', '--validation')
    printed = capsys.readouterr().out
    assert 'written' in printed
    assert '5 labelled, 9 unlabelled, 7 for testing, 0 foreign' in printed
    assert 'features_' not in printed
    assert 'next: python tools/pretrain_sola.py' in printed
    assert read_json(tmp_path / 'dataset.json')['settings']['train_part'] == [0.0, 0.53]
    tool(tmp_path, '--labelled', 5, '--split', 'subject', '--validation')
    assert 'complete, left as it is' in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r'error: .*split is subject there, time asked'):
        tool(tmp_path, '--labelled', 5, '--validation')


@pytest.mark.slow
def test_tool_with_two_streams_and_foreign_streams(tmp_path, tool, capsys):
    tool(tmp_path, '--two-stream', '--foreign', 2)
    printed = capsys.readouterr().out
    assert '7 for testing, 2 foreign' in printed
    for folder in ('features_accelerometer', 'features_gyroscope'):
        assert f'{folder}: ' in printed
        assert len(list((tmp_path / folder).iterdir())) == 23


def test_two_at_the_same_time(tmp_path):
    with (
        hold_lock(tmp_path, inside=True),
        pytest.raises(BusyError, match='process .* is writing to it'),
    ):
        prepare_watch(tmp_path, **SMALL)
    assert not list(tmp_path.iterdir())
