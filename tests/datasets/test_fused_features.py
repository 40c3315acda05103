"""Sources that are joined along the channels: interpolation, windows, and lengths that do not
fit."""

from __future__ import annotations

import math
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from sola_plugin.datasets.features import fused as fused_features
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.fused import FusedFeatures, resized_window
from sola_plugin.datasets.features.packed import PackedFeatures
from sola_plugin.datasets.features.packing import pack_features
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.heads.shared.neck_support import resize_features


def features(length: int, channels: int, seed: int = 0) -> np.ndarray:
    """Float32 ``(C, T)``."""
    return np.random.default_rng(seed + length).normal(size=(channels, length)).astype(np.float32)


def folder(
    root: Path, name: str, channels: int, lengths: dict[str, int], suffix: str = '.npy'
) -> FeatureFolder:
    (root / name).mkdir()
    for seed, (video_id, length) in enumerate(lengths.items()):
        array = features(length, channels, seed)
        if suffix == '.npy':
            np.save(root / name / f'{video_id}.npy', array)
        else:
            np.savetxt(root / name / f'{video_id}.csv', array.T, delimiter=',', fmt='%.9g')
    return FeatureFolder(root / name, layout='CT' if suffix == '.npy' else None)


# --- the resize -----------------------------------------------------------------------------------


def naive_resize(values: list[float], total: int) -> list[float]:
    """One channel, value by value: cells of equal width that share their outer borders."""
    resized = []
    for cell in range(total):
        centre = (cell + 0.5) / total * len(values) - 0.5  # in units of snippets
        centre = min(max(centre, 0), len(values) - 1)
        before = math.floor(centre)
        after = min(before + 1, len(values) - 1)
        resized.append(values[before] + (centre - before) * (values[after] - values[before]))
    return resized


@pytest.mark.parametrize('length, total', [(1, 4), (2, 3), (3, 7), (50, 52), (99, 100), (40, 400)])
def test_resize_is_that_of_the_models(length, total):
    array = features(length, 3)
    resized = resized_window(lambda first, last: array[:, first:last], length, total, 0, total)
    assert resized.dtype == np.float32 and resized.shape == (3, total)
    np.testing.assert_allclose(
        resized, resize_features(torch.from_numpy(array)[None], total)[0], atol=2e-5
    )
    double = resize_features(torch.from_numpy(array).double()[None], total)[0]
    np.testing.assert_allclose(resized, double, atol=1e-6)
    np.testing.assert_allclose(resized[0], naive_resize(array[0].tolist(), total), atol=1e-6)


def test_hand_computed():
    array = np.array([[0, 4]], np.float32)
    np.testing.assert_array_equal(
        resized_window(lambda first, last: array[:, first:last], 2, 4, 0, 4), [[0, 1, 3, 4]]
    )


@pytest.mark.parametrize('length, total', [(1, 4), (3, 7), (50, 52), (99, 100)])
def test_a_window_is_the_slice_of_the_whole_to_the_bit(length, total):
    array, read = features(length, 3), []

    def note(first: int, last: int) -> np.ndarray:
        read.append(last - first)
        return array[:, first:last]

    whole = resized_window(note, length, total, 0, total)
    for start in range(total):
        for stop in {start, start + 1, min(start + 9, total), total}:
            np.testing.assert_array_equal(
                resized_window(note, length, total, start, stop), whole[:, start:stop]
            )
            assert read[-1] <= stop - start + 1


# --- fusion ---------------------------------------------------------------------------------------

LENGTHS = dict(v_a=30, v_b=7, v_c=100)
SHORTER = dict(v_a=29, v_b=5, v_c=96)


@pytest.mark.parametrize('suffix', ['.npy', '.csv'])
def test_channels_are_joined_at_the_longest_length(tmp_path, suffix):
    rgb = folder(tmp_path, 'rgb', 4, SHORTER, suffix)
    flow = folder(tmp_path, 'flow', 3, LENGTHS)
    store = FusedFeatures([rgb, flow], feat_dim=7)
    assert store.ids() == list(LENGTHS) and len(store) == 3 and store.channels == 7
    assert store.files('v_a') == (*rgb.files('v_a'), *flow.files('v_a'))
    assert store.where('v_a') == f'{rgb.path("v_a")} + {flow.path("v_a")}'
    for video_id, length in LENGTHS.items():
        whole = store.load(video_id)
        assert whole.shape == (7, length) and whole.dtype == np.float32 and whole.flags.c_contiguous
        np.testing.assert_array_equal(whole[4:], flow.load(video_id))
        expected = resize_features(torch.from_numpy(rgb.load(video_id))[None].double(), length)[0]
        np.testing.assert_allclose(whole[:4], expected, atol=1e-6)
        assert store.length(video_id) == length
        for start, size in ((0, length), (1, 5), (length - 1, 1), (length - 6, 6)):
            window = store.window(video_id, start, size)
            assert window.flags.c_contiguous and window.dtype == np.float32
            np.testing.assert_array_equal(window, whole[:, start : start + size])
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy.load('v_c'), store.load('v_c'))


def test_three_sources_in_their_order_also_packed(tmp_path):
    parts = [
        folder(tmp_path, name, channels, LENGTHS)
        for name, channels in (('a', 1), ('b', 2), ('c', 3))
    ]
    store = FusedFeatures(parts[::-1])
    np.testing.assert_array_equal(
        store.load('v_b'), np.concatenate([part.load('v_b') for part in parts[::-1]])
    )
    pack_features(store, tmp_path / 'packed')
    np.testing.assert_array_equal(
        PackedFeatures(tmp_path / 'packed').load('v_c'), store.load('v_c')
    )
    pack_features(parts[0], tmp_path / 'packed_a')
    mixed = FusedFeatures([PackedFeatures(tmp_path / 'packed_a'), *parts[1:]])
    np.testing.assert_array_equal(
        mixed.window('v_c', 7, 23), np.concatenate([part.load('v_c')[:, 7:30] for part in parts])
    )


def test_each_file_is_read_once_for_a_whole_video(tmp_path, monkeypatch):
    rgb = folder(tmp_path, 'rgb', 4, SHORTER, '.csv')
    opened = []
    read = FeatureFolder._open
    monkeypatch.setattr(
        FeatureFolder, '_open', lambda self, name: opened.append(name) or read(self, name)
    )
    store = FusedFeatures([rgb, folder(tmp_path, 'flow', 3, LENGTHS)])
    store.load('v_c')
    assert opened == ['v_c', 'v_c']


@pytest.mark.parametrize(
    'lengths, good',
    [
        ((100, 95), False),
        ((100, 96), True),
        ((40, 38), True),
        ((40, 37), False),
        ((3, 1), True),
        ((1000, 500), False),
    ],
)
def test_lengths_that_do_not_fit(tmp_path, lengths, good):
    first, second = (
        folder(tmp_path, name, 2, dict(v_a=length))
        for name, length in zip(('rgb', 'flow'), lengths)
    )
    store = FusedFeatures([first, second])
    if good:
        assert store.length('v_a') == max(lengths)
        return
    stretch = math.ceil(100 * max(lengths) / min(lengths)) / 100
    for call in (store.length, store.load, lambda name: store.window(name, 0, 3)):
        with pytest.raises(
            FeatureError,
            match=(
                r"features of 'v_a' \(.*rgb/v_a.npy \+ .*flow/v_a.npy\): expected lengths "
                r'within 2 snippets '
                f'or 1.05 times of each other, got {lengths[0]} and {lengths[1]}: the '
                'strides differ, or one '
                f'was cut short. Extract with one stride, or admit it with max_stretch={stretch:g}'
            ),
        ):
            call('v_a')
    assert FusedFeatures([first, second], max_stretch=stretch).load('v_a').shape == (
        4,
        max(lengths),
    )


def test_videos_of_some_sources_only(tmp_path):
    rgb = folder(tmp_path, 'rgb', 2, dict(v_a=9, v_b=9, v_c=9))
    flow = folder(tmp_path, 'flow', 2, dict(v_b=9, v_a=9, v_d=9))
    with pytest.warns(
        UserWarning,
        match=(
            r'2 of 4 videos are not in all of feature folder .*rgb \+ feature folder .*flow '
            r'and are left '
            "out: 'v_c', 'v_d'"
        ),
    ):
        store = FusedFeatures([rgb, flow])
    assert store.ids() == ['v_a', 'v_b'] and 'v_c' not in store
    assert store.where('v_c') == f'{tmp_path}/flow/v_c.npy'
    with pytest.raises(FeatureError, match=r"features of 'v_c' \(.*flow/v_c.npy\) are missing"):
        store.load('v_c')


def test_no_video_in_common(tmp_path):
    rgb = folder(tmp_path, 'rgb', 2, dict(v_a=9))
    flow = folder(tmp_path, 'flow', 2, dict(a=9))
    with (
        pytest.raises(
            FeatureError,
            match=(
                "no video is in all sources; there are, for example, 'v_a' in feature folder "
                ".*rgb, 'a' in "
                'feature folder .*flow: check prefix and suffix'
            ),
        ),
        warnings.catch_warnings(action='error'),
    ):
        FusedFeatures([rgb, flow])


def test_bad_arguments(tmp_path):
    rgb = folder(tmp_path, 'rgb', 2, dict(v_a=9))
    with pytest.raises(
        FeatureError, match=re.escape('expected 5 channels together, got 2 + 2: check the')
    ):
        FusedFeatures([rgb, rgb], feat_dim=5)
    with pytest.raises(
        ValueError, match='expected at least one source of features, got an empty list'
    ):
        FusedFeatures([])
    with pytest.raises(ValueError, match='max_stretch is 0.9, expected a ratio of at least 1'):
        FusedFeatures([rgb], max_stretch=0.9)


def test_nan_is_named_in_the_snippets_of_its_source(tmp_path):
    rgb, flow = folder(tmp_path, 'rgb', 2, LENGTHS), folder(tmp_path, 'flow', 2, SHORTER)
    array = features(96, 2)
    array[1, 50] = np.nan
    np.save(tmp_path / 'flow/v_c.npy', array)
    store = FusedFeatures([rgb, flow])
    for call in (lambda: store.load('v_c'), lambda: store.window('v_c', 50, 9)):
        with pytest.raises(
            FeatureError, match=r"features of 'v_c' \(.*flow/v_c.npy\): .* is snippet 50"
        ):
            call()
    assert store.window('v_c', 0, 9).shape == (4, 9)


def test_the_module_needs_no_torch():
    assert not hasattr(fused_features, 'torch')
