"""Random feature files of every format: read as they were written, or refused with one line."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sola_plugin.csv_cells import from_cell, to_line
from sola_plugin.datasets.features.checks import check_files
from sola_plugin.datasets.features.facts import read_facts
from sola_plugin.datasets.features.open import open_features
from sola_plugin.datasets.features.packing import pack_features
from sola_plugin.datasets.features.readers import NAMED_SUFFIXES, SUFFIXES, FeatureError
from sola_plugin.datasets.features.writers import Array, write_archive, write_array
from sola_plugin.file_names import FileNameError, check_file_names, file_name
from sola_plugin.necks import SoLa, save_sola
from tests.fuzzing import EXAMPLES, changed_bytes, search, texts
from tests.write_features import write

pytestmark = pytest.mark.parametrize('examples', EXAMPLES)

FORMATS = SUFFIXES + NAMED_SUFFIXES
GOOD = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


def read(path: Path, **options) -> np.ndarray | None:
    """Features as the package reads them; ``None``: refused, by our own error."""
    try:
        store = open_features(dict(root=path.parent, suffix=path.suffix, **options))
        features = store.load(path.stem)
        assert store.length(path.stem) == features.shape[1]
    except FeatureError as error:
        text = str(error)
        assert '\n' not in text[:200] and (str(path.parent) in text or repr(path.stem) in text)
        return None
    assert features.dtype == np.float32 and features.ndim == 2 and features.flags.c_contiguous
    assert np.isfinite(features).all() and min(features.shape) > 0
    return features


@pytest.mark.parametrize('suffix', FORMATS)
def test_changed_bytes(tmp_path, suffix, examples):
    path = tmp_path / f'v_0{suffix}'
    write(path, GOOD)

    def check(data):
        path.write_bytes(data)
        read(path, layout='TC')
        read(path)

    search(changed_bytes(path.read_bytes()), check, examples)


#: What somebody may have saved.
ANY_ARRAY = st.one_of(
    arrays(
        st.sampled_from(('f2', 'f4', 'f8', '>f4', 'i1', 'i8', 'u2', '?', 'c8', 'S3', 'U2')),
        array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    st.sampled_from(
        (GOOD, GOOD.T, GOOD[None], GOOD[:, None], GOOD[:, :0], np.asfortranarray(GOOD))
    ),
)


@pytest.mark.parametrize('suffix', ['.npy', '.npz', '.pkl', '.h5', '.pt'])
def test_any_array(tmp_path, suffix, examples):
    """What is read are the values that were written, turned at most."""
    path = tmp_path / f'v_0{suffix}'

    def check(array):
        try:
            write(path, array)
        except (TypeError, ValueError):  # no such dtype in this format
            return
        features = read(path, layout='TC')
        if features is not None:
            two = np.squeeze(array) if array.ndim > 2 else array
            with np.errstate(over='ignore'):
                expected = np.asarray(two.reshape(features.T.shape), np.float64)
            np.testing.assert_allclose(features.T, expected, rtol=1e-6)

    search(ANY_ARRAY, check, examples)


@pytest.mark.parametrize('suffix', FORMATS)
def test_written_and_read(tmp_path, suffix, examples):
    path = tmp_path / f'v_0{suffix}'
    finite = st.floats(-(2.0**99), 2.0**99, width=32)

    def check(drawn):
        rows, layout = drawn
        shape = (len(rows), rows.shape[1])
        layout = 'TC' if suffix in ('.csv', '.txt') else layout
        write_array(path, Array(shape, np.dtype('f4'), layout, [rows[:1], rows[1:]]))
        np.testing.assert_array_equal(read(path, layout=layout), rows.T)

    shapes = array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=5)
    search(
        st.tuples(arrays('f4', shapes, elements=finite), st.sampled_from(('TC', 'CT'))),
        check,
        examples,
    )


@pytest.mark.parametrize('suffix', ['.npz', '.pt', '.pkl'])
def test_archives_with_any_names(tmp_path, suffix, examples):
    path = tmp_path / f'all{suffix}'

    def check(names):
        try:
            write_archive(path, [(n, Array(GOOD.shape, GOOD.dtype, 'TC', [GOOD])) for n in names])
        except (TypeError, ValueError):  # no name for the library that writes it
            return
        try:
            store = open_features(path, layout='TC')
            for name in store.ids():
                np.testing.assert_array_equal(store.load(name), GOOD.T)
        except (FeatureError, FileNameError) as error:
            assert len(str(error)) > 10
        assert [each.name for each in tmp_path.iterdir()] == [path.name]

    search(st.lists(texts, min_size=1, max_size=3, unique=True), check, examples)


def test_packed_bytes(tmp_path, examples):
    """The index of a packed folder, with random changes."""
    (tmp_path / 'raw').mkdir()
    for name in ('v_1', 'v_2'):
        np.save(tmp_path / f'raw/{name}.npy', GOOD)
    pack_features(open_features(tmp_path / 'raw', layout='TC'), tmp_path / 'packed')
    path = tmp_path / 'packed/packed_features.json'

    def check(data):
        path.write_bytes(data)
        try:
            store = open_features(tmp_path / 'packed')
            for name in store.ids():
                assert store.load(name).shape[0] == store.channels
        except FeatureError as error:
            assert str(tmp_path / 'packed') in str(error)

    search(changed_bytes(path.read_bytes()), check, examples)


def test_names_stay_in_the_folder(tmp_path, examples):
    """An id becomes a file of the folder, or is refused."""
    folder = tmp_path / 'a/out'

    def check(video_id):
        try:
            check_file_names(folder, video_id, ('.npy',))
        except FileNameError:
            return
        path = folder / f'{file_name(video_id)}.npy'
        path.touch()
        assert os.path.realpath(path.parent) == os.path.realpath(folder)
        assert [each.name for each in tmp_path.iterdir()] == ['a']
        assert [each.name for each in (tmp_path / 'a').iterdir()] == ['out']

    search(texts, check, examples)


@pytest.mark.parametrize('form', ['folder', '.h5', '.npz'])
def test_transformed_names_stay_in_the_folder(tmp_path, examples, run_script, form):
    """Names in an archive, through the tool that writes a file for each."""
    torch.manual_seed(0)
    save_sola(tmp_path / 'sola.pth', SoLa(GOOD.shape[1], 4))
    number = 0

    def check(names):
        nonlocal number
        number += 1
        work = tmp_path / f'{number}'
        work.mkdir()
        torch.save({name: torch.from_numpy(GOOD) for name in names}, work / 'all.pt')
        out = work / ('out' if form == 'folder' else f'out{form}')
        result = run_script(
            *('tools/transform_features.py', tmp_path / 'sola.pth', work / 'all.pt', out),
            *(('--format', 'npy') if form == 'folder' else ()),
            *('--layout', 'TC'),
        )
        assert result.returncode in (0, 1, 3), result.stderr
        assert result.returncode != 1 or result.stderr.startswith('error: ')
        assert result.returncode or out.exists()
        ours = {'all.pt', out.name, f'{out.name}.parts', f'{out.name}.transformed.json'}
        assert {path.name for path in work.iterdir()} <= ours
        assert {path.name for path in tmp_path.iterdir()} == {
            'sola.pth',
            *map(str, range(1, number + 1)),
        }

    names = st.lists(texts, min_size=1, max_size=3, unique=True)
    search(names, check, max(examples // 6, 3))


def test_checked_without_a_traceback(tmp_path, examples):
    """What ``tools/check_dataset.py`` says of a folder with one damaged file."""
    (tmp_path / 'raw').mkdir()
    np.save(tmp_path / 'raw/v_1.npy', GOOD)
    path = tmp_path / 'raw/v_2.npy'
    np.save(path, GOOD)

    def check(data):
        path.write_bytes(data)
        store = open_features(tmp_path / 'raw', layout='TC')
        facts, failures = read_facts(store, store.ids())
        assert {1, 2} >= {len(facts), len(facts) + len(failures)}
        assert all(finding.message for finding in check_files(facts, failures))

    search(changed_bytes(path.read_bytes()), check, examples)


def test_cells(examples):
    """A row of texts is read back, and no cell begins as a formula does."""

    def check(row):
        line = to_line(row)
        assert line.endswith('\n')
        (cells,) = csv.reader(io.StringIO(line, newline=''))
        expected = [text.encode('utf-8', 'backslashreplace').decode() for text in row]
        assert [from_cell(cell) for cell in cells] == expected
        for cell in cells:
            assert cell[:1] not in ('=', '+', '@', '\t', '\r')
            assert (
                cell[:1] != '-' or cell.replace('_', '').replace('-', '').isalnum() or cell == '-'
            )

    search(st.lists(texts, min_size=2, max_size=4), check, examples)
