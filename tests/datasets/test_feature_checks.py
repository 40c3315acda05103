"""Faults of feature files: each with its message, and damaged files of every kind."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from sola_plugin.datasets.features.checks import (
    check_files,
    check_missing,
    check_scale,
    check_unused,
    summarize,
)
from sola_plugin.datasets.features.facts import describe, read_facts
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.length_checks import check_lengths
from sola_plugin.datasets.features.readers import SUFFIXES, LayoutError
from sola_plugin.datasets.findings import Finding
from sola_plugin.segments import fits_duration
from tests.write_features import write

C = 12


def features(length: int, seed: int = 0) -> np.ndarray:
    """Float32 ``(length, C)`` in which neighbouring snippets are alike."""
    steps = np.random.default_rng(seed).normal(size=(length, C))
    return (steps + np.cumsum(steps, axis=0)).astype(np.float32)


@pytest.fixture
def root(tmp_path) -> Path:
    """Nine sound files."""
    for index in range(9):
        np.save(tmp_path / f'v_{index}.npy', features(20 + index, index))
    return tmp_path


def check(root: Path, **options) -> dict[str, Finding]:
    folder = FeatureFolder(root, **{'layout': 'TC', 'feat_dim': C, **options})
    findings = check_files(*read_facts(folder, folder.ids()))
    by_kind = {finding.kind: finding for finding in findings}
    assert len(by_kind) == len(findings)
    return by_kind


# --- what the files hold
# ----------------------------------------------------------------------------


def test_sound_files(root):
    assert check(root) == {}
    folder = FeatureFolder(root, layout='TC')
    facts, failures = read_facts(folder, folder.ids())
    assert failures == {} and list(facts) == [str(root / f'v_{i}.npy') for i in range(9)]
    (finding,) = summarize(facts.values())
    norm = np.median([np.linalg.norm(features(20 + i, i), axis=1).mean() for i in range(9)])
    assert (
        finding.message
        == (
            '9 feature files were read: 12 channels, 20 to 28 snippets of median L2 norm '
            f'{norm:.3g}'
        )
        and summarize([]) == []
    )


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64', '>f4', 'int16'])
def test_facts_against_plain_numpy(dtype):
    array = (10 * features(30)).astype(dtype).T
    facts = describe(array)
    centred = array - array.mean(1, keepdims=True, dtype=float)
    assert (facts.channels, facts.length, facts.dtype) == (C, 30, str(np.dtype(dtype)))
    assert facts.norm == pytest.approx(np.linalg.norm(array.astype(float), axis=0).mean(), rel=1e-5)
    assert facts.alike_in_time == pytest.approx(
        np.mean([row[1:] * row[:-1] for row in centred]) / np.mean(centred**2), abs=1e-4
    )
    exchanged = describe(np.ascontiguousarray(array.T))
    assert exchanged.alike_in_channels == pytest.approx(facts.alike_in_time, abs=1e-6)
    assert describe(array.copy()) == facts
    assert describe(array + array.dtype.type(1)).digest != facts.digest


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_not_finite(root, value):
    array = features(20)
    array[7, 3] = array[11, 0] = array[11, 5] = value
    np.save(root / 'v_3.npy', array)
    finding = check(root)['not-finite']
    assert finding == Finding(
        'error',
        'not-finite',
        '1 of 9 feature files have NaN or infinite values: extract them again',
        1,
        ('v_3.npy: snippet 7, channel 3 is the first; 2 of 20 snippets',),
    )


def test_too_large_for_float32(root):
    np.save(root / 'v_3.npy', np.full((20, C), 1e200))
    assert check(root)['not-finite'].examples == (
        'v_3.npy: snippet 0, channel 0 is the first; 20 of 20 snippets',
    )


@pytest.mark.parametrize(
    ('value', 'bad', 'level'), [(0, 2, 'warning'), (3.5, 2, 'warning'), (0, 5, 'error')]
)
def test_constant(root, value, bad, level):
    for index in range(bad):
        np.save(root / f'v_{index}.npy', np.full((20, C), value, np.float32))
    finding = check(root)['constant']
    assert (finding.level, finding.count, finding.examples[0]) == (level, bad, 'v_0.npy')
    assert (
        finding.message
        == f'{bad} of 9 feature files have the same value everywhere: extract them again'
    )


def test_zero_snippets(root):
    np.save(root / 'v_2.npy', np.pad(features(20), ((0, 5), (0, 0))))
    findings = check(root)
    assert findings['zero-snippets'].examples == ('v_2.npy: 5 of 25 snippets',)
    assert (
        'if this is padding, cut it off' in findings['zero-snippets'].message and len(findings) == 1
    )


def test_other_channels(root):
    np.save(root / 'v_4.npy', np.zeros((20, C + 1), np.float32))
    finding = check(root)['channels']
    assert finding.level == 'error' and finding.message.startswith(
        '1 of 9 feature files have another number of channels'
    )
    (example,) = finding.examples
    assert "features of 'v_4'" in example and 'expected 12 channels, got 13' in example


def test_equal_files(root):
    for name in ('v_7', 'copy', 'other'):
        np.save(root / f'{name}.npy', features(20, 0))
    finding = check(root)['equal-files']
    assert finding.level == 'warning'
    assert finding.message.startswith('1 groups of feature files have the same content')
    assert finding.examples == ('copy.npy = other.npy = v_0.npy = v_7.npy',)


def test_exchanged_axes(root):
    """With a wrong layout, and no feat_dim to refuse it, time and channels are exchanged."""
    (finding,) = check_files(*read_facts(*_all(root, 'CT', 20)))
    assert finding.kind == 'axes' and 'neighbouring channels are more alike than' in finding.message


def _all(root: Path, layout: str, length: int) -> tuple[FeatureFolder, list[str]]:
    for index in range(9):
        np.save(root / f'v_{index}.npy', features(length, index))
    folder = FeatureFolder(root, layout=layout)
    return folder, folder.ids()


def test_noise_has_no_direction(tmp_path):
    for index in range(9):
        noise = np.random.default_rng(index).normal(size=(20, C))
        np.save(tmp_path / f'v_{index}.npy', noise.astype(np.float32))
    assert check(tmp_path) == {}


def test_dtypes(root):
    np.save(root / 'v_0.npy', features(20).astype(np.float16))
    np.save(root / 'v_1.npy', features(20, 1).astype(np.int8))
    findings = check(root)
    assert findings['dtype'] == Finding(
        'info', 'dtype', 'of 9 feature files 1 float16, 1 int8; they are read as float32', 2
    )
    assert findings['whole-numbers'].level == 'warning' and findings['whole-numbers'].count == 1


# --- damaged files
# ------------------------------------------------------------------------------------


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize(
    'damage', ['empty', 'truncated', 'other', 'no snippets', 'three axes', 'text']
)
def test_damaged_files_are_named_and_the_others_checked(tmp_path, suffix, damage):
    for name in ('v_0', 'v_2'):
        write(tmp_path / f'{name}{suffix}', features(20))
    bad = tmp_path / f'v_1{suffix}'
    write(bad, features(40))
    if damage == 'empty':
        bad.write_bytes(b'')
    elif damage == 'truncated':
        bad.write_bytes(bad.read_bytes()[: len(bad.read_bytes()) // 2 + 3 - (suffix == '.csv')])
    elif damage == 'other':
        bad.write_bytes(b'not features\x00' * 50)
    elif damage == 'text':
        bad.write_text('one,two\nthree,four\n')
    elif suffix == '.csv':
        bad.write_text('1,2\n' if damage == 'no snippets' else '1,2,3\n4,5\n')
    else:
        write(bad, np.zeros((0, C) if damage == 'no snippets' else (2, 3, C), np.float32))
    findings = check(tmp_path)
    broken = findings.get('unreadable') or findings['channels']
    assert broken.level == 'error' and broken.count == 1 and f'({bad})' in broken.examples[0]
    assert findings['equal-files'].examples == (f'v_0{suffix} = v_2{suffix}',)


def test_damaged_first_files_do_not_hide_the_others(tmp_path):
    """The first files tell the channels: here none of the first 20 can be read."""
    for index in range(30):
        np.save(tmp_path / f'v_{index:02d}.npy', features(20 + index, index))
        if index < 20:
            (tmp_path / f'v_{index:02d}.npy').write_bytes(b'')
    findings = check(tmp_path, layout=None, feat_dim=None)
    assert findings['unreadable'].count == 20 and set(findings) == {'unreadable'}
    assert (
        findings['unreadable'].message == '20 of 30 feature files cannot be read: write them again'
    )


def test_nothing_can_be_read(tmp_path):
    for index in range(3):
        (tmp_path / f'v_{index}.npy').write_bytes(b'x')
    findings = check(tmp_path, layout=None, feat_dim=None)
    assert findings['unreadable'].count == 3


def test_pickles_that_run_code_are_refused(tmp_path):
    write(tmp_path / 'v_0.pkl', features(20))
    (tmp_path / 'v_1.pkl').write_bytes(pickle.dumps(print))
    assert 'v_1.pkl' in check(tmp_path)['unreadable'].examples[0]


def test_unclear_layout(tmp_path):
    np.save(tmp_path / 'v_0.npy', np.zeros((C, C)))
    with pytest.raises(LayoutError, match=r'\(T, C\) or \(C, T\)\?'):
        check(tmp_path, layout=None)


# --- ids
# ----------------------------------------------------------------------------------------------


def test_missing_features(root):
    folder = FeatureFolder(root)
    assert check_missing(folder, ['v_1', 'v_2']) == []
    (finding,) = check_missing(folder, ['v_1', 'x', 'y'])
    assert finding.level == 'error' and finding.examples == ("'x'", "'y'")
    assert finding.message.startswith(
        f'2 of 3 videos have no features in feature folder {root}, such as x.npy: correct'
    )
    assert check_missing(folder, ['v_1', 'x'], skip=True)[0].level == 'warning'
    assert check_missing(folder, ['x', 'y'], skip=True)[0].level == 'error', 'nothing is left'


@pytest.mark.parametrize(
    ('name', 'suffix', 'hint'),
    [
        ('v_abc.npy', '.npy', "there is 'v_abc.npy': file_prefix='v_' and suffix='.npy'?"),
        ('abc_rgb.npy', '.npy', "there is 'abc_rgb.npy': file_prefix='' and suffix='_rgb.npy'?"),
    ],
)
def test_hint_at_other_names(tmp_path, name, suffix, hint):
    np.save(tmp_path / name, features(20))
    (finding,) = check_missing(FeatureFolder(tmp_path, suffix=suffix), ['abc'])
    assert hint in finding.message


def test_unused_features(root):
    folder = FeatureFolder(root)
    assert check_unused(folder, folder.ids()) == []
    (finding,) = check_unused(folder, folder.ids()[2:])
    assert finding == Finding(
        'info',
        'features-unused',
        f'2 of 9 videos in feature folder {root} have no annotations and are not used',
        2,
        ("'v_0'", "'v_1'"),
    )


# --- lengths
# ------------------------------------------------------------------------------------------

DURATIONS = {f'v_{i}': 40.0 + 10 * i for i in range(9)}


def lengths(stride: float) -> dict[str, int]:
    return {video_id: round(duration / stride) for video_id, duration in DURATIONS.items()}


def test_lengths_that_fit():
    assert check_lengths(lengths(0.5), DURATIONS, 0.5) == [] == check_lengths({}, {}, 0.5)


@pytest.mark.parametrize(
    ('stride', 'hint'),
    [
        (1.0, 'feature_stride=0.5333 would fit the median video (seconds between two snippets)'),
        (16.0, '16 seem to be frames at 30 fps: 16/30'),
        (13.33, '13.33 seem to be frames at 25 fps: 13.33/25'),
    ],
)
def test_a_stride_that_fits_no_video(stride, hint):
    (finding,) = check_lengths(lengths(16 / 30), DURATIONS, stride)
    assert (finding.level, finding.kind, finding.count) == ('error', 'length', 9)
    assert finding.message.startswith(
        f'with a snippet every {stride:.4g} s the features of 9 of 9 videos'
    )
    assert finding.message.endswith(hint)
    assert finding.examples[0] == f"'v_0': 75 snippets are {75 * stride:.1f} s of 40.0 s"


def test_features_of_a_fixed_number_of_columns():
    fixed = dict.fromkeys(DURATIONS, 100)
    (finding,) = check_lengths(fixed, DURATIONS, 0.533)
    assert 'they were resized to cover the whole video: leave feature_stride out' in finding.message
    (info,) = check_lengths(fixed, DURATIONS, None)
    assert info == Finding(
        'info',
        'resized',
        'all videos have 100 snippets: they are taken to cover the whole video',
        9,
    )


@pytest.mark.parametrize('stride', [0.5, None])
def test_single_files_that_are_too_short(stride):
    *rest, finding = check_lengths({**lengths(0.5), 'v_3': 20}, DURATIONS, stride)
    assert (finding.level, finding.count) == ('warning', 1) and 'complete?' in finding.message
    assert finding.examples == ("'v_3': 20 snippets are 10.0 s of 70.0 s",)
    assert [one.kind for one in rest] == ([] if stride else ['stride'])


def test_without_a_stride_it_is_estimated():
    (finding,) = check_lengths(lengths(0.25), DURATIONS, None)
    assert (
        finding.level == 'info' and 'a snippet every 0.25 s in the median video' in finding.message
    )


@pytest.mark.parametrize(('length', 'fits'), [(94, False), (95, True), (105, True), (106, False)])
def test_tolerance_is_5_percent_of_a_long_video(length, fits):
    assert fits_duration(length, 2.0, 200.0) is fits


@pytest.mark.parametrize(('length', 'fits'), [(7, False), (8, True), (12, True), (13, False)])
def test_tolerance_is_two_snippets_of_a_short_video(length, fits):
    assert fits_duration(length, 2.0, 20.0) is fits


# --- scale
# --------------------------------------------------------------------------------------------


def test_scale():
    facts = [describe(features(20, seed).T) for seed in range(5)]
    larger = [describe(3 * features(20, seed).T) for seed in range(5)]
    assert (
        check_scale(dict(train=facts, test=facts)) == [] == check_scale(dict(train=facts, test=[]))
    )
    (finding,) = check_scale(dict(train=facts, test=larger))
    assert (finding.level, finding.kind) == ('warning', 'scale')
    norms = [np.median([one.norm for one in part]) for part in (facts, larger)]
    assert finding.examples == (f'train: {norms[0]:.4g}', f'test: {norms[1]:.4g}')
    broken = [dataclasses.replace(one, first_bad=(0, 0)) for one in larger]
    assert check_scale(dict(train=facts, test=broken)) == []
