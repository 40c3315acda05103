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

from sola_plugin.datasets import watch, watch_streams
from sola_plugin.datasets.watch import VALIDATION, WatchSettings, prepare_watch
from sola_plugin.datasets.watch_encoder import extract_features, train_encoder, window_accuracy
from sola_plugin.datasets.watch_streams import (
    ACTIONS,
    DISTRACTORS,
    FADE,
    STREAM_SAMPLES,
    Recording,
    annotate,
    compose_stream,
    find_watch_file,
    read_recordings,
)

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
        for video, stream in summary.streams.items() if f'_{kind}_' in video
        for cut in stream['cuts'] for sample in range(cut['start'], cut['stop']))


# What is written


def test_recordings_are_one_for_each_subject_arm_and_exercise(recordings):
    keys = {(r.subject, r.side, r.exercise) for r in recordings}
    assert len(recordings) == len(keys) == 140
    assert [r.index for r in recordings] == list(range(140))


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
    assert all(bool(entry['annotations']) == (entry['subset'] != 'unlabelled')
               for entry in entries.values())
    assert {note['label'] for entry in entries.values() for note in entry['annotations']} == {'ABD', 'ROW'}


def test_labelled_streams_are_spread_over_subjects(summary):
    labelled = [summary.streams[video]['subject'] for video, entry in database(summary).items()
                if entry['subset'] == 'training']
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
            ((before['position'] + before['stop'] - before['start'] + cut['position']) / 2 / 50,
             (cut['position'] + cut['stop'] - cut['start'] + after['position']) / 2 / 50, cut['label'])
            for before, cut, after in zip(cuts, cuts[1:], cuts[2:]) if cut['label'] in ACTIONS]
        assert [(*note['segment'], note['label']) for note in entry['annotations']] == expected
        assert all(0 < start < end < entry['duration'] for start, end, _ in expected)


def test_summary_is_what_dataset_json_holds(summary):
    content = read_json(summary.out_dir / 'dataset.json')
    assert summary.written
    assert content['settings'] == {'recipe': 1, 'seed': 0, 'split': 'time', **SMALL,
                                   'encoder_classes': ['IR', 'ER', 'TRAP'],
                                   'train_part': [0.0, 0.74], 'test_part': [0.76, 1.0]}
    assert content['sizes'] == {'training': 7, 'unlabelled': 7, 'testing': 7,
                                'snippets': 256, 'channels': 128}
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
            assert low * len(source.signal) <= cut['start'] < cut['stop'] <= high * len(source.signal)


def test_validation_keeps_off_the_test_part(tmp_path, recordings):
    summary = prepare_watch(tmp_path, **{**SMALL, **VALIDATION})
    used = samples(summary, 'train').keys() | samples(summary, 'test').keys()
    assert all(sample < 0.74 * len(recordings[index].signal) for index, sample in used)
    assert not samples(summary, 'train').keys() & samples(summary, 'test').keys()
    for entry in database(summary).values():
        assert all(3 <= note['segment'][1] - note['segment'][0] <= 8 for note in entry['annotations'])


@pytest.mark.parametrize(('split', 'sizes'), [('time', (3, 7, 7)), ('subject', (3, 4, 3))])
def test_subjects_of_encoder_and_streams(recordings, split, sizes):
    subjects = watch._draw_subjects(WatchSettings(split=split), recordings)
    encoder, training, testing = (set(subjects[key]) for key in ('encoder', 'training', 'testing'))
    assert (len(encoder), len(training), len(testing)) == sizes
    assert not encoder & (training | testing)
    assert (training == testing) if split == 'time' else not training & testing


def test_encoder_sees_only_its_own_subjects_exercises_and_part(tmp_path, monkeypatch, recordings):
    seen = []

    def spy(clips, *args, **kwargs):
        seen.extend(clips)
        return train_encoder(clips, *args, **kwargs)

    monkeypatch.setattr(watch, 'train_encoder', spy)
    summary = prepare_watch(tmp_path, **SMALL, split='subject')
    expected = [r.signal[:int(0.74 * len(r.signal))] for r in recordings
                if r.subject in summary.subjects['encoder'] and r.exercise in ('IR', 'ER', 'TRAP')]
    assert len(seen) == len(expected) == 18
    for clip, signal in zip(seen, expected):
        np.testing.assert_array_equal(clip, signal)
    assert not {stream['subject'] for stream in summary.streams.values()} & set(
        summary.subjects['encoder'])


# Streams


def constant_recordings(values, length=2000):
    return {name: Recording(index, 1, 'left', name, np.full((length, 6), value, dtype=np.float32))
            for index, (name, value) in enumerate(values.items())}


def test_cross_fades_are_linear_and_the_boundary_is_their_middle():
    recordings = constant_recordings({'ABD': 1, 'ROW': 1, 'FEL': 0, 'PEN': 0})
    signal, cuts = compose_stream(recordings, (0.0, 1.0), np.random.default_rng(0))
    # The level is the share of action: 0, up in a straight line through 1/2 at each start, 1, down.
    corners = [(0.0, 0.0)]
    for note in annotate(cuts):
        start, end = (50 * time for time in note['segment'])
        corners += [(start - FADE / 2, 0), (start + FADE / 2, 1), (end - FADE / 2, 1), (end + FADE / 2, 0)]
    centres = np.arange(STREAM_SAMPLES) + 0.5
    expected = np.interp(centres, *zip(*corners))
    np.testing.assert_allclose(signal, np.repeat(expected[:, None], 6, axis=1), atol=1e-6)


def test_cross_fades_keep_the_level():
    recordings = constant_recordings(dict.fromkeys(ACTIONS + DISTRACTORS, 3))
    signal, _ = compose_stream(recordings, (0.0, 1.0), np.random.default_rng(1))
    np.testing.assert_allclose(signal, 3, rtol=1e-6)


def test_streams_without_fades_are_the_recordings_samples(recordings):
    arm = {r.exercise: r for r in recordings if (r.subject, r.side) == (1, 'right')}
    signal, cuts = compose_stream(arm, (0.0, 0.74), np.random.default_rng(2))
    for cut in cuts:
        inside = signal[cut.position + FADE:cut.end - FADE]
        source = arm[cut.label].signal[cut.start + FADE:cut.stop - FADE]
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
    notes = [annotate(compose_stream(arm, (0.0, 0.74), np.random.default_rng(seed))[1])
             for seed in range(100)]
    durations = np.array([end - start for stream in notes for start, end in
                          (note['segment'] for note in stream)])
    assert durations.min() >= 3 and durations.max() <= 8
    # Uniform but for the end of a stream, where long bouts do not fit.
    np.testing.assert_allclose(np.quantile(durations, [0.25, 0.5, 0.75]), [4.25, 5.5, 6.75], atol=0.4)
    assert 0.35 < durations.sum() / (100 * 82.24) < 0.55


def test_short_recordings_give_their_longest_bout():
    recordings = constant_recordings(dict.fromkeys(ACTIONS + DISTRACTORS, 1), length=100)
    _, cuts = compose_stream(recordings, (0.2, 1.0), np.random.default_rng(0))
    assert {(cut.start, cut.stop) for cut in cuts[:-1]} == {(20, 100)}


# Encoder


def test_encoder_learns_trimmed_exercises(recordings):
    classes = ('IR', 'ER', 'TRAP')
    own = [r for r in recordings if r.subject in (2, 4, 10) and r.exercise in classes]
    labels = [classes.index(r.exercise) for r in own]
    train, held_out = ([r.signal[slice(*r.part(part))] for r in own] for part in VALIDATION.values())
    encoder = train_encoder(train, labels, seed=0, steps=120)
    accuracy, windows = window_accuracy(encoder, held_out, labels)
    assert windows > 300
    assert accuracy > 0.8  # 1/3 by chance
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_snippets_see_their_own_32_samples_only(recordings):
    clips = [r.signal for r in recordings[:2]]
    encoder = train_encoder(clips, [0, 1], seed=0, steps=2)
    signal = recordings[2].signal[:32 + 16 * 9].copy()
    before = extract_features(encoder, signal)
    signal[16 * 4:16 * 4 + 32] += 1
    changed = (extract_features(encoder, signal) != before).any(axis=1)
    assert before.shape == (10, 128)
    assert np.flatnonzero(changed).tolist() == [3, 4, 5]


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
    assert all((again.out_dir / name).read_bytes() == (summary.out_dir / name).read_bytes()
               for name in files)


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


@pytest.mark.parametrize(('settings', 'message'), [
    ({'labelled': 57}, r'labelled is 57, expected 1 to num_train = 56'),
    ({'labelled': 0}, r'labelled is 0'),
    ({'num_test': 0}, r'num_test is 0, expected at least 1'),
    ({'seed': -1}, r'seed is -1, expected at least 0'),
    ({'split': 'person'}, r"split is 'person', expected 'time' or 'subject'"),
    ({'encoder_classes': ('IR', 'SQUAT', 'LUNGE')}, r"unknown encoder_classes \['SQUAT', 'LUNGE'\]"),
    ({'encoder_classes': ('IR', 'IR')}, r'expected two or more, each once'),
    ({'encoder_classes': 'IR'}, r"is the text 'IR'"),
    ({'train_part': (0.0, 0.8)}, r'train_part \(0.0, 0.8\) and test_part \(0.76, 1.0\) overlap'),
    ({'test_part': (0.9, 0.8)}, r'test_part is \[0.9, 0.8\], expected 0 <= start < stop <= 1'),
    ({'test_part': (0.99, 1.0)}, r'has \d+ samples in the part \(0.99, 1.0\), a bout needs at least 51'),
])
def test_bad_settings(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        prepare_watch(tmp_path / 'data', **{'encoder_steps': 1, **settings})
    assert not (tmp_path / 'data' / 'dataset.json').exists()


def test_foreign_dataset_json(tmp_path):
    (tmp_path / 'dataset.json').write_text('{"name": "mine"}')
    with pytest.raises(ValueError, match=r'dataset.json was not written by prepare_watch'):
        prepare_watch(tmp_path)


def test_missing_package(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install seglearn==1\.2\.5'):
        prepare_watch(tmp_path)


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
        with pytest.raises(ValueError, match=r'watch_dataset\.npy is not the array .*--force-reinstall'):
            read_recordings(short)


@pytest.mark.parametrize(('change', 'message'), [
    ({'X': [np.zeros((100, 5))]}, r'shape \(100, 5\), expected \(n, 6\) finite'),
    ({'X': [np.full((100, 6), np.nan)]}, r'expected \(n, 6\) finite'),
    ({'side': np.zeros(2)}, r'have \[1, 1, 1, 2\] entries'),
    ({'y_labels': ['RUN']}, r"exercises \['RUN'\]"),
    ({'subject': None}, r'is not the array'),
])
def test_another_array(tmp_path, change, message):
    data = {'X': [np.zeros((100, 6))], 'y': np.zeros(1, int), 'subject': np.ones(1, int),
            'side': np.zeros(1), 'y_labels': list(watch_streams.EXERCISES), **change}
    np.save(tmp_path / 'watch.npy', np.array(data, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        read_recordings(tmp_path / 'watch.npy')


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
    assert '5 labelled, 9 unlabelled, 7 for testing' in printed
    assert 'next: python tools/pretrain_sola.py' in printed
    assert read_json(tmp_path / 'dataset.json')['settings']['train_part'] == [0.0, 0.53]
    tool(tmp_path, '--labelled', 5, '--split', 'subject', '--validation')
    assert 'complete, left as it is' in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r'error: .*split is subject there, time asked'):
        tool(tmp_path, '--labelled', 5, '--validation')
