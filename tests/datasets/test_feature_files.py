"""Feature folders: every format both ways round, which axis is which, and what bad files say."""

from __future__ import annotations

import pickle
import re
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.readers import SUFFIXES, FeatureError
from tests.write_features import write

C = 6


def features(length: int, seed: int = 0) -> np.ndarray:
    """Float32 ``(length, C)``."""
    return np.random.default_rng(seed).normal(size=(length, C)).astype(np.float32)


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return {f'v_{length}': features(length, length) for length in (5, 9, 12)}


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('layout', ['TC', 'CT'])
def test_round_trip(tmp_path, arrays, suffix, layout):
    for name, array in arrays.items():
        write(tmp_path / f'{name}{suffix}', array if layout == 'TC' else array.T)
    # Rows of .csv are snippets unless the contrary is said; elsewhere the common axis tells.
    folder = FeatureFolder(tmp_path, layout='CT' if layout + suffix == 'CT.csv' else None)
    assert folder.ids() == ['v_12', 'v_5', 'v_9'] and len(folder) == 3 and 'v_5' in folder
    assert folder.channels == C
    for name, array in arrays.items():
        assert folder.length(name) == len(array)
        loaded = folder.load(name)
        assert loaded.dtype == np.float32 and loaded.flags.c_contiguous and loaded.flags.writeable
        np.testing.assert_array_equal(loaded, array.T)
        window = folder.window(name, 2, 3)
        assert window.flags.c_contiguous and window.flags.writeable
        np.testing.assert_array_equal(window, array[2:5].T)


@pytest.mark.parametrize('dtype', ['float16', 'float64', 'int32', 'uint8', '>f4'])
def test_numbers_become_float32(tmp_path, dtype):
    array = np.arange(3 * C).reshape(3, C).astype(dtype)
    np.save(tmp_path / 'v.npy', array)
    loaded = FeatureFolder(tmp_path, layout='TC').load('v')
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, np.arange(3 * C).reshape(3, C).T)


def test_a_window_reads_no_more_than_itself(tmp_path):
    big = np.lib.format.open_memmap(
        tmp_path / 'v.npy', mode='w+', dtype=np.float32, shape=(2**16, 256)
    )  # 64 MiB
    big[10:12] = 1
    tracemalloc.start()
    folder = FeatureFolder(tmp_path, layout='TC')
    assert folder.length('v') == 2**16
    np.testing.assert_array_equal(folder.window('v', 9, 3)[0], [0, 1, 1])
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize('start, length', [(-1, 3), (3, 3), (0, 6)])
def test_window_outside(tmp_path, start, length):
    np.save(tmp_path / 'v.npy', features(5))
    with pytest.raises(IndexError, match=f"'v' have 5 snippets; asked for {length} from {start}"):
        FeatureFolder(tmp_path, layout='TC').window('v', start, length)


# --- names ----------------------------------------------------------------------------------------


def test_prefix_and_suffix_are_no_part_of_the_id(tmp_path):
    for name in (
        'v_a_rgb.npy',
        'v_b_rgb.npy',
        'v_b_flow.npy',
        'x_rgb.npy',
        'v__rgb.npy',
        'note.txt',
        '.v_c_rgb.npy',
    ):
        np.save(tmp_path / 'temporary.npy', features(4))
        (tmp_path / 'temporary.npy').rename(tmp_path / name)
    (tmp_path / 'v_d_rgb.npy').mkdir()
    folder = FeatureFolder(tmp_path, suffix='_rgb.npy', prefix='v_')
    assert folder.ids() == ['a', 'b']
    assert FeatureFolder(tmp_path, suffix='_rgb.npy').ids() == ['v_', 'v_a', 'v_b', 'x']
    assert folder.path('b') == tmp_path / 'v_b_rgb.npy'
    assert folder.path('new') == tmp_path / 'v_new_rgb.npy'


def test_two_files_for_one_id(tmp_path):
    for suffix in ('.npy', '.csv'):
        write(tmp_path / f'v{suffix}', features(4))
    with pytest.raises(
        FeatureError,
        match=("expected one file for 'v', got 'v.csv' and 'v.npy': choose one kind with suffix="),
    ):
        FeatureFolder(tmp_path)
    assert FeatureFolder(tmp_path, suffix='.csv').load('v').shape == (C, 4)


def test_folders_that_do_not_serve(tmp_path):
    with pytest.raises(FeatureError, match='feature folder .*nowhere does not exist'):
        FeatureFolder(tmp_path / 'nowhere')
    (tmp_path / 'a.mp4').touch()
    with pytest.raises(
        FeatureError,
        match=(r"expected files ID.npy or .*, got none among 1 files \['a.mp4'\]: check the path"),
    ):
        FeatureFolder(tmp_path)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(layout='NTC'), "layout is 'NTC', expected 'TC', 'CT' or None"),
        (dict(suffix='.mat'), "suffix is '.mat', expected an end of .npy, .npz,"),
    ],
)
def test_unknown_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        FeatureFolder(tmp_path, **options)


# --- which axis is which --------------------------------------------------------------------------


@pytest.mark.parametrize(
    'shapes, feat_dim, layout',
    [
        ([(5, 6), (9, 6)], None, 'TC'),
        ([(6, 5), (6, 9)], None, 'CT'),
        ([(6, 6), (9, 6)], None, 'TC'),
        ([(6, 6), (6, 9)], None, 'CT'),
        ([(5, 6)], 6, 'TC'),
        ([(6, 5)], 6, 'CT'),
        ([(6, 6), (5, 6)], 6, 'TC'),
        ([(6, 6), (6, 5)], 6, 'CT'),
    ],
)
def test_clear_orientation(tmp_path, shapes, feat_dim, layout):
    for index, shape in enumerate(shapes):
        np.save(tmp_path / f'v_{index}.npy', np.arange(np.prod(shape)).reshape(shape))
    folder = FeatureFolder(tmp_path, feat_dim=feat_dim)
    for index, shape in enumerate(shapes):
        array = np.arange(np.prod(shape)).reshape(shape)
        expected = array.T if layout == 'TC' else array
        np.testing.assert_array_equal(folder.load(f'v_{index}'), expected)
        assert folder.length(f'v_{index}') == shape[layout == 'CT']


@pytest.mark.parametrize(
    'shapes, feat_dim',
    [
        ([(5, 6)], None),
        ([(5, 6), (5, 6)], None),
        ([(6, 6)], None),
        ([(6, 6)], 6),
        ([(5, 6), (9, 7)], None),
        ([(6, 6), (5, 6), (6, 5)], 6),
    ],
)
def test_unclear_orientation_is_asked_for(tmp_path, shapes, feat_dim):
    for index, shape in enumerate(shapes):
        np.save(tmp_path / f'v_{index}.npy', np.zeros(shape))
    with pytest.raises(
        FeatureError,
        match=(
            r"features of 'v_0' \(.*v_0.npy\): \(T, C\) or \(C, T\)\? The first "
            rf'{len(shapes)} videos of .* have the shapes {re.escape(str(min(shapes)))}.*say '
            "layout='TC' .*'CT'"
        ),
    ):
        FeatureFolder(tmp_path, feat_dim=feat_dim).load('v_0')
    assert FeatureFolder(tmp_path, layout='CT').load('v_0').shape == shapes[0]


def test_mixed_orientation_is_fine_where_feat_dim_decides(tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros((6, 9)))
    np.save(tmp_path / 'b.npy', np.zeros((9, 6)))
    folder = FeatureFolder(tmp_path, feat_dim=6)
    assert folder.load('a').shape == folder.load('b').shape == (6, 9)


# --- keys and headers -----------------------------------------------------------------------------


@pytest.mark.parametrize('suffix', ['.npz', '.pt', '.pkl', '.h5'])
def test_keys(tmp_path, suffix):
    rgb, flow = features(4, 1), features(4, 2)
    path = tmp_path / f'v{suffix}'
    if suffix == '.npz':
        np.savez(path, rgb=rgb, flow=flow)
    elif suffix == '.pt':
        torch.save(dict(rgb=torch.from_numpy(rgb), flow=torch.from_numpy(flow), fps=30), path)
    elif suffix == '.pkl':
        path.write_bytes(pickle.dumps(dict(rgb=rgb, flow=flow, fps=30)))
    else:
        with h5py.File(path, 'w') as file:
            file['rgb'], file['flow'] = rgb, flow
    for call in ('load', 'length'):
        with pytest.raises(
            FeatureError,
            match=(r"expected one array, got 2 \('flow', 'rgb'\): choose one with key="),
        ):
            getattr(FeatureFolder(tmp_path, layout='TC', feat_dim=C), call)('v')
        with pytest.raises(FeatureError, match=r"an array 'x' \(key=...\), got 'flow', 'rgb'"):
            getattr(FeatureFolder(tmp_path, layout='TC', key='x', feat_dim=C), call)('v')
    folder = FeatureFolder(tmp_path, layout='TC', key='flow')
    np.testing.assert_array_equal(folder.load('v'), flow.T)


@pytest.mark.parametrize('suffix', ['.pt', '.pkl'])
def test_a_dict_with_one_array_needs_no_key(tmp_path, suffix):
    array = features(4)
    if suffix == '.pt':
        torch.save(
            dict(feats=torch.from_numpy(array).bfloat16().requires_grad_(), fps=30),
            tmp_path / 'v.pt',
        )
        array = torch.from_numpy(array).bfloat16().float().numpy()
    else:
        (tmp_path / 'v.pkl').write_bytes(pickle.dumps(dict(feats=array, fps=30)))
    np.testing.assert_array_equal(FeatureFolder(tmp_path, layout='TC').load('v'), array.T)


@pytest.mark.parametrize('header', ['', 'f0,f1,f2\n', '\ufefff0,f1,f2\n', '# three\n', ',a,b\n'])
def test_csv_headers(tmp_path, header):
    (tmp_path / 'v.csv').write_text(f'{header}0,1,2\n3,4,5\n', encoding='utf-8')
    np.testing.assert_array_equal(FeatureFolder(tmp_path).load('v'), [[0, 3], [1, 4], [2, 5]])


def test_csv_header_of_column_numbers(tmp_path):
    lines = [','.join(map(str, range(16))), ','.join(['0.5'] * 16)]
    (tmp_path / 'v.csv').write_text('\n'.join(lines))
    np.testing.assert_array_equal(FeatureFolder(tmp_path).load('v'), np.full((16, 1), 0.5))


# --- bad files ------------------------------------------------------------------------------------


def folder_with(tmp_path: Path, bad: str, content: bytes | np.ndarray, **options) -> FeatureFolder:
    """A folder with two good files ``(T, 6)`` and ``v_x``, which is bad."""
    for length in (5, 9):
        write(tmp_path / f'v_{length}{Path(bad).suffix}', features(length))
    path = tmp_path / bad
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write(path, content)
    return FeatureFolder(tmp_path, **options)


def assert_refused(folder: FeatureFolder, message: str, *calls: str) -> None:
    for call in calls or ('load', 'length'):
        with pytest.raises(FeatureError, match=rf"features of 'v_x' \(.*v_x\.\w+\): {message}"):
            getattr(folder, call)('v_x')
    assert folder.load('v_5').shape == (C, 5), 'the other files are as good as before'


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_missing_empty_and_truncated_files(tmp_path, suffix):
    folder = folder_with(tmp_path, f'v_x{suffix}', b'')
    assert_refused(folder, 'the file is empty: write it again')
    write(tmp_path / f'v_x{suffix}', features(400))
    data = (tmp_path / f'v_x{suffix}').read_bytes()
    # A cut text file is seen where the cut leaves a line short.
    cut = data[: data.rindex(b',')] if suffix == '.csv' else data[: len(data) * 2 // 3]
    (tmp_path / f'v_x{suffix}').write_bytes(cut)
    assert_refused(folder, rf'expected a readable \{suffix} file, got .* truncated', 'load')
    (tmp_path / f'v_x{suffix}').write_bytes(b'<html>404 not found</html>\n' * 20)
    assert_refused(
        folder,
        rf'expected a readable \{suffix} file, got .* another format|'
        'expected a tensor or a dict of tensors',
    )
    (tmp_path / f'v_x{suffix}').unlink()
    assert_refused(folder, 'expected a readable .* got FileNotFoundError')
    with pytest.raises(
        FeatureError,
        match=(
            r"features of 'v_x' \(.*v_x\.\w+\) are missing; .* has 2 others, such as 'v_5': "
            r'check prefix'
        ),
    ):
        FeatureFolder(tmp_path).load('v_x')


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_features_without_snippets(tmp_path, suffix):
    empty = b'f0,f1\n' if suffix == '.csv' else np.zeros((0, C), np.float32)
    assert_refused(
        folder_with(tmp_path, f'v_x{suffix}', empty, feat_dim=C),
        r'expected at least one snippet, got shape \(0, \d\)',
    )


@pytest.mark.parametrize(
    ('shape', 'hint'),
    [
        ((9, 3, C), r"3 along axis 1 may be crops .* with crops='mean' and crop_axis=1"),
        ((1, 4, 9, C), r"4 along axis 1 may be crops .* with crops='mean' and crop_axis=1"),
        ((5, 9, C), r"5 along axis 0 may be crops .* with crops='mean' and crop_axis=0"),
        ((9, 2, 2, C), r'got shape \(9, 2, 2, \d\)$'),
    ],
)
def test_what_to_do_about_more_axes(tmp_path, shape, hint):
    assert_refused(folder_with(tmp_path, 'v_x.npy', np.zeros(shape, np.float32)), f'.*{hint}')


@pytest.mark.parametrize('shape', [(1, 9, C), (9, 1, 1, C), (9, C, 1, 1), (1, 9, 1, C)])
@pytest.mark.parametrize('suffix', ['.npy', '.h5', '.pkl', '.pt'])
def test_axes_of_length_1_are_left_out(tmp_path, monkeypatch, shape, suffix):
    said: list[str] = []
    monkeypatch.setattr('sola_plugin.datasets.features.array_store.say_once', said.append)
    one = tuple(1 if size == 9 else size for size in shape)
    values = {'v_9': features(9).reshape(shape), 'v_1': features(1, 1).reshape(one)}
    for name, array in values.items():
        write(tmp_path / f'{name}{suffix}', array)
    folder = FeatureFolder(tmp_path, feat_dim=C)
    for name, array in values.items():
        np.testing.assert_array_equal(folder.load(name), array.reshape(-1, C).T)
        assert folder.length(name) == array.size // C
    np.testing.assert_array_equal(folder.window('v_9', 2, 3), features(9)[2:5].T)
    assert folder.channels == C  # which looks at the first files
    assert FeatureFolder(tmp_path, layout='TC').channels == C
    assert any(f'of {len(shape)} axes those of length 1 are left out' in text for text in said)


@pytest.mark.parametrize('content', [dict(a=features(3), fps=25), features(3)])
def test_an_npy_of_objects_is_read_like_a_pickle(tmp_path, content):
    np.save(tmp_path / 'v_x.npy', np.array(content, dtype=object), allow_pickle=True)
    folder = FeatureFolder(tmp_path, feat_dim=C, layout='TC')
    if isinstance(content, dict):
        np.testing.assert_array_equal(folder.load('v_x'), features(3).T)
        assert folder.length('v_x') == 3
        return
    with pytest.raises(FeatureError, match=r"'v_x' .*: expected numbers, got an array of objects"):
        folder.load('v_x')


def test_an_npy_that_names_code_is_refused(tmp_path):
    array = np.array([re.compile('x')], dtype=object)
    np.save(tmp_path / 'v_x.npy', array, allow_pickle=True)
    with pytest.raises(FeatureError, match=r"'v_x' .*: refused to unpickle re._compile"):
        FeatureFolder(tmp_path, feat_dim=C).load('v_x')


@pytest.mark.parametrize('suffix', ['.txt', '.pth'])
def test_names_that_are_often_no_features(tmp_path, suffix):
    write(tmp_path / f'v_a{suffix}', features(7))
    with pytest.raises(FeatureError, match=f"the 1 files [*]{suffix} are .* suffix='{suffix}'"):
        FeatureFolder(tmp_path)
    folder = FeatureFolder(tmp_path, suffix=suffix, layout='TC')
    np.testing.assert_allclose(folder.load('v_a'), features(7).T, rtol=1e-6)
    write(tmp_path / 'v_b.npy', features(5))
    assert FeatureFolder(tmp_path).ids() == ['v_b']


# --- crops ----------------------------------------------------------------------------------------


def write_crops(folder: Path, axis: int, suffix: str = '.npy') -> np.ndarray:
    """A video of ``(9, 4, C)``, crops in the middle, with these on another axis of the file."""
    crops = np.stack([features(9, seed) for seed in range(4)], axis=1)
    write(folder / f'v{suffix}', np.moveaxis(crops, 1, axis))
    return crops


@pytest.mark.parametrize('suffix', ['.npy', '.h5', '.pt'])
@pytest.mark.parametrize('axis', [0, 1, 2])
def test_crops(tmp_path, suffix, axis):
    crops = write_crops(tmp_path, axis, suffix)
    for take, expected in (('mean', crops.mean(1)), (2, crops[:, 2]), ('random', crops.mean(1))):
        folder = FeatureFolder(tmp_path, layout='TC', crops=take, crop_axis=axis)
        assert folder.channels == C and folder.length('v') == 9
        np.testing.assert_allclose(folder.load('v'), expected.T, rtol=1e-6)
        np.testing.assert_allclose(folder.window('v', 3, 4), expected[3:7].T, rtol=1e-6)
        np.testing.assert_allclose(folder.stored('v'), expected.T, rtol=1e-6)
        if take != 'random':
            np.testing.assert_array_equal(folder.draw('v'), folder.load('v'))


def test_random_crops(tmp_path):
    crops = write_crops(tmp_path, 1)
    folder = FeatureFolder(tmp_path, layout='TC', crops='random')
    np.random.seed(0)
    seen = set()
    for _ in range(50):
        drawn = folder.draw('v').T
        (number,) = [number for number in range(4) if (drawn == crops[:, number]).all()]
        seen.add(number)
    assert seen == {0, 1, 2, 3}


def test_mean_of_half_precision_is_taken_in_single(tmp_path):
    crops = np.full((2, 10, C), 60000, np.float16)
    np.save(tmp_path / 'v.npy', crops)
    loaded = FeatureFolder(tmp_path, layout='TC', crops='mean').load('v')
    np.testing.assert_array_equal(loaded, np.full((C, 2), 60000))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(crops=4), r'expected a crop 4 along axis 1, got shape \(9, 4, 6\): change crops or'),
        (dict(crops='mean', crop_axis=3), r'expected crops along axis 3 and two axes more, got'),
        (dict(crops=None), r'expected two axes, .* 4 along axis 1 may be crops'),
    ],
)
def test_crops_that_are_not_there(tmp_path, options, message):
    write_crops(tmp_path, 1)
    with pytest.raises(FeatureError, match=f"features of 'v' .*: {message}"):
        FeatureFolder(tmp_path, layout='TC', **options).load('v')
    write(tmp_path / 'w.npy', features(9))
    with pytest.raises(FeatureError, match="'w' .*: expected crops along axis 1 and two axes more"):
        FeatureFolder(tmp_path, layout='TC', crops='mean').load('w')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(crops='median'), "crops is 'median', expected 'mean', 'random' or the number"),
        (dict(crops=-1), 'crops is -1, expected'),
        (dict(crops=True), 'crops is True, expected'),
        (dict(crops='mean', crop_axis=-1), 'crop_axis is -1, expected the number of an axis'),
    ],
)
def test_unknown_crops(tmp_path, options, message):
    write_crops(tmp_path, 1)
    with pytest.raises(ValueError, match=message):
        FeatureFolder(tmp_path, **options)


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_endings_in_capitals(tmp_path, suffix):
    values = features(7)
    write(tmp_path / f'v{suffix}', values)
    (tmp_path / f'v{suffix}').rename(tmp_path / f'v{suffix.upper()}')
    for chosen in (None, suffix, suffix.upper()):
        store = FeatureFolder(tmp_path, suffix=chosen, layout='TC', feat_dim=C)
        np.testing.assert_allclose(store.load('v'), values.T, rtol=1e-6)
        assert store.length('v') == 7 and store.window('v', 2, 5).shape == (C, 5)


def test_several_kinds_of_files_of_a_video_are_named(tmp_path):
    for kind in ('rgb', 'flow'):
        np.save(tmp_path / f'v_{kind}.npy', np.zeros((3, C), np.float32))
    np.save(tmp_path / 'v_fps.npy', np.array(25.0))
    with pytest.raises(FeatureError) as caught:
        FeatureFolder(tmp_path, layout='TC', feat_dim=C).load('v')
    kinds = ', '.join(f"suffix='_{kind}.npy'" for kind in ('flow', 'fps', 'rgb'))
    assert f'Of this video there are the kinds {kinds}: choose one, or fuse' in str(caught.value)
    assert FeatureFolder(tmp_path, suffix='_rgb.npy', layout='TC').load('v').shape == (C, 3)


def test_files_in_sub_folders_are_named(tmp_path):
    for folder, count in (('training', 2), ('validation', 1)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            np.save(tmp_path / folder / f'{number}.npy', np.zeros((3, C)))
    with pytest.raises(
        FeatureError, match=r'files in training \(2 files\), validation \(1 files\)'
    ):
        FeatureFolder(tmp_path)


@pytest.mark.parametrize('suffix', [suffix for suffix in SUFFIXES if suffix != '.csv'])
@pytest.mark.parametrize('shape', [(C,), (2, 4, C)])
def test_other_than_two_axes(tmp_path, suffix, shape):
    assert_refused(
        folder_with(tmp_path, f'v_x{suffix}', np.zeros(shape, np.float32)),
        r'expected two axes, \(T, C\) or \(C, T\), got shape ' + re.escape(str(shape)),
    )


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path, suffix, value):
    array = features(7)
    array[3, 2] = array[3, 4] = array[5, 0] = value
    folder = folder_with(tmp_path, f'v_x{suffix}', array)
    assert_refused(
        folder,
        'expected finite float32 values, got NaN or Inf in 2 of 7 snippets, the '
        'first is snippet 3: extract',
        'load',
    )
    with pytest.raises(FeatureError, match='in 1 of 3 snippets, the first is snippet 5'):
        folder.window('v_x', 4, 3)
    assert folder.window('v_x', 0, 3).shape == (C, 3)


def test_too_large_for_float32(tmp_path):
    assert_refused(
        folder_with(tmp_path, 'v_x.npy', np.full((3, C), 1e200)),
        'expected finite float32 values',
        'load',
    )


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_wrong_number_of_channels(tmp_path, suffix):
    array = np.zeros((8, 4), np.float32)
    read_as = r'shape \(8, 4\) was read as \(T, C\); check the encoder, feat_dim and layout'
    assert_refused(
        folder_with(tmp_path, f'v_x{suffix}', array, layout='TC'),
        f'expected 6 channels as in the first videos, got 4: {read_as}',
    )
    assert_refused(
        folder_with(tmp_path, f'v_x{suffix}', array, feat_dim=C, layout='TC'),
        f'expected 6 channels, got 4: {read_as}',
    )
    if suffix != '.csv':
        assert_refused(
            folder_with(tmp_path, f'v_x{suffix}', array, feat_dim=C),
            r'expected 6 channels, got shape \(8, 4\): check the encoder and feat_dim',
        )


@pytest.mark.parametrize(
    'array', [np.full((4, C), 'x'), np.zeros((4, C), complex), np.zeros((4, C), bool)]
)
def test_not_numbers(tmp_path, array):
    assert_refused(folder_with(tmp_path, 'v_x.npy', array), 'expected numbers, got dtype', 'load')


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / 'object.npy', np.array([[{}]], dtype=object), allow_pickle=True)
    content = (tmp_path / 'object.npy').read_bytes()
    (tmp_path / 'object.npy').unlink()
    assert_refused(
        folder_with(tmp_path, 'v_x.npy', content), 'expected numbers, got an array of objects'
    )
    assert_refused(
        folder_with(tmp_path, 'v_x.pkl', pickle.dumps(re.compile('x')), suffix='.pkl'),
        'refused to unpickle re._compile: only NumPy arrays',
    )
    assert_refused(
        folder_with(tmp_path, 'v_x.pkl', pickle.dumps([1, 2]), suffix='.pkl'),
        'expected an array or a dict of arrays, got list',
    )
    folder = folder_with(tmp_path, 'v_x.pt', b'', suffix='.pt')
    torch.save(re.compile('x'), tmp_path / 'v_x.pt')
    assert_refused(folder, 'expected a tensor or a dict of tensors, got what torch.load refuses')


def test_csv_says_where_it_is_not_numeric(tmp_path):
    content = b'0,1,2,3,4,5\n0,1,2,3,oops,5\n'
    assert_refused(folder_with(tmp_path, 'v_x.csv', content), 'expected .*oops.* row 1, column 5')


def test_h5_without_h5py_names_the_extra(tmp_path, monkeypatch):
    write(tmp_path / 'v.h5', features(4))
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(ImportError, match=r"need h5py.*: pip install 'sola_plugin\[h5\]'"):
        FeatureFolder(tmp_path, layout='TC').load('v')


def test_a_folder_of_which_nothing_can_be_read(tmp_path):
    for name in ('a', 'b'):
        (tmp_path / f'{name}.npy').write_bytes(b'x' * 100)
    with pytest.raises(FeatureError, match=r"features of 'a' \(.*a.npy\): expected a readable"):
        _ = FeatureFolder(tmp_path).channels
    np.save(tmp_path / 'a.npy', np.zeros(3))
    np.save(tmp_path / 'b.npy', np.zeros(3))
    with pytest.raises(FeatureError, match=r"features of 'a' .*: expected two axes"):
        _ = FeatureFolder(tmp_path).channels


def test_ids_with_folders_in_them(tmp_path):
    write(tmp_path / 'v.npy', features(9))
    with pytest.raises(
        FeatureError, match=r"'training/v' .* have no / in their ids, arrays of one"
    ):
        FeatureFolder(tmp_path, layout='TC').load('training/v')
