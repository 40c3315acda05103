"""Packing features: all at once, or with kills, full disks and damage on the way."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sola_plugin.datasets.features import journal
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.journal import JOURNAL_NAME
from sola_plugin.datasets.features.packed import DATA_NAME, INDEX_NAME, PackedFeatures
from sola_plugin.datasets.features.packing import pack_features, verify_packed
from sola_plugin.datasets.features.readers import FeatureError
from tests.conftest import ROOT

C = 6
NAMES = [f'v_{index}' for index in range(5)]


def save(root: Path, name: str, seed: int, length: int = 7) -> None:
    array = np.random.default_rng(seed).normal(size=(length, C))
    np.save(root / f'features/{name}.npy', array.astype(np.float32))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / 'features').mkdir()
    for seed, name in enumerate(NAMES):
        save(tmp_path, name, seed, length=seed + 3)
    return tmp_path


def pack(root: Path, out: str = 'packed', **options):
    return pack_features(FeatureFolder(root / 'features', layout='TC'), root / out, **options)


class Killed(BaseException):
    """Ends packing as a signal does."""


def kill_after(number: int):
    """Progress that ends packing when so many videos are done."""

    def progress(what: str, done: int, total: int) -> None:
        assert total == len(NAMES)
        if done == number:
            raise Killed

    return progress


def begin(root: Path, number: int = 3, **options) -> Path:
    """Pack some of the videos; what is there then."""
    with pytest.raises(Killed):
        pack(root, progress=kill_after(number), **options)
    assert not (root / 'packed').exists()
    return root / 'packed.partial'


def goes_on_after(root: Path, number: int, **options) -> None:
    """Check that so many videos are kept, and that the rest makes what packing at once does."""
    told = []
    pack(root, progress=lambda what, done, total: told.append(done), **options)
    assert told == list(range(number, len(NAMES) + 1))
    assert sorted(os.listdir(root / 'packed')) == [DATA_NAME, INDEX_NAME]
    assert not (root / 'packed.partial').exists()
    pack(root, 'at_once', **options)
    for name in (DATA_NAME, INDEX_NAME):
        assert (root / 'packed' / name).read_bytes() == (root / 'at_once' / name).read_bytes()
    verify_packed(root / 'packed')


def test_at_once(root):
    index = pack(root)
    assert index.ids == NAMES and index.lengths == [3, 4, 5, 6, 7] and index.num_snippets == 25
    assert index.num_bytes == 25 * C * 4 == (root / 'packed' / DATA_NAME).stat().st_size
    assert verify_packed(root / 'packed') == index


def test_some_videos_in_an_order(root):
    assert pack(root, ids=['v_3', 'v_1']).ids == ['v_3', 'v_1']
    np.testing.assert_array_equal(
        PackedFeatures(root / 'packed').load('v_1'),
        FeatureFolder(root / 'features', layout='TC').load('v_1'),
    )


# --- kills ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('number', [0, 1, 3, 5])
def test_a_kill(root, number):
    begin(root, number)
    goes_on_after(root, number)


def test_a_real_kill_in_another_process(root):
    code = f"""
import os, signal
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.packing import pack_features
pack_features(FeatureFolder({str(root / 'features')!r}, layout='TC'), {str(root / 'packed')!r},
              progress=lambda what, done, total: done == 2 and os.kill(os.getpid(), signal.SIGKILL))
"""
    assert (
        subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=False).returncode
        == -signal.SIGKILL
    )
    goes_on_after(root, 2)


def test_a_kill_while_a_video_is_written(root):
    partial = begin(root)
    with (partial / DATA_NAME).open('ab') as file:
        file.write(b'half a video')
    with (partial / JOURNAL_NAME).open('ab') as file:
        file.write(b'{"id": "v_3", "len')
    goes_on_after(root, 3)


def test_a_kill_between_the_index_and_the_end(root, monkeypatch):
    monkeypatch.setattr(Path, 'rename', lambda self, target: kill_after(0)('', 0, len(NAMES)))
    with pytest.raises(Killed):
        pack(root)
    monkeypatch.undo()
    goes_on_after(root, 5)


def test_a_kill_before_the_journal_is_removed(root, monkeypatch):
    monkeypatch.setattr(Path, 'unlink', lambda self: kill_after(0)('', 0, len(NAMES)))
    with pytest.raises(Killed):
        pack(root)
    monkeypatch.undo()
    assert pack(root).ids == PackedFeatures(root / 'packed').ids() == NAMES


@pytest.mark.parametrize(
    'damage, kept',
    [
        (lambda partial: (partial / DATA_NAME).write_bytes(b''), 0),
        (lambda partial: os.truncate(partial / DATA_NAME, (3 + 4 + 5) * C * 4 - 1), 2),
        (lambda partial: flip(partial / DATA_NAME, (3 + 1) * C * 4), 1),
        (lambda partial: (partial / JOURNAL_NAME).unlink(), 0),
        (lambda partial: (partial / JOURNAL_NAME).write_bytes(b'[]\n'), 0),
        (lambda partial: flip(partial / JOURNAL_NAME, 0), 0),
        (
            lambda partial: (partial / JOURNAL_NAME).write_bytes(
                b'\n'.join((partial / JOURNAL_NAME).read_bytes().split(b'\n')[:2]) + b'\nnull\n'
            ),
            1,
        ),
    ],
)
def test_damage_after_a_kill(root, damage, kept):
    damage(begin(root))
    goes_on_after(root, kept)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_source_that_changed_after_a_kill(root):
    begin(root)
    save(root, 'v_1', seed=99)
    goes_on_after(root, 1)


def test_other_videos_or_another_dtype_after_a_kill(root):
    begin(root)
    goes_on_after(root, 0, dtype='float16')
    for name in ('packed', 'at_once'):
        shutil.rmtree(root / name)
    begin(root)
    goes_on_after(root, 0, ids=NAMES[::-1])


def test_an_unfinished_folder_is_no_store(root):
    partial = begin(root)
    with pytest.raises(
        FeatureError,
        match=(
            rf'packed.partial is no packed folder, {INDEX_NAME} is missing: pack the features with '
            'tools/pack_features.py; the same command goes on after a kill'
        ),
    ):
        PackedFeatures(partial)


# --- what exists already --------------------------------------------------------------------------


def test_a_complete_folder_is_left_as_it_is(root):
    index = pack(root)
    times = [path.stat().st_mtime_ns for path in sorted((root / 'packed').iterdir())]
    os.utime(root / 'features/v_2.npy', (1, 1))  # a copy of the same features
    assert pack(root) == index
    assert [path.stat().st_mtime_ns for path in sorted((root / 'packed').iterdir())] == times


def test_a_source_that_changed_after_packing(root):
    pack(root)
    save(root, 'v_2', seed=99, length=5)
    with pytest.raises(
        FeatureError,
        match=(
            r'packed: 1 of 5 videos have changed in feature folder .* since they were packed '
            r"\('v_2'\): "
            'remove .*packed to pack again'
        ),
    ):
        pack(root)


@pytest.mark.parametrize(
    'options, asked',
    [
        (dict(dtype='float16'), r'5 videos \(0 ids differ\), 6 channels, float16'),
        (dict(ids=NAMES[:3]), r'3 videos \(2 ids differ\), 6 channels, float32'),
    ],
)
def test_a_folder_with_something_else(root, options, asked):
    pack(root)
    with pytest.raises(
        FeatureError,
        match=(
            f'packed exists with 5 videos, 6 channels, float32; asked for {asked}: remove it '
            'or choose'
        ),
    ):
        pack(root, **options)


def test_a_folder_that_is_not_ours(root):
    with pytest.raises(
        FeatureError, match='features exists and is no packed folder: choose another name'
    ):
        pack(root, 'features')
    (root / 'packed').mkdir()
    assert pack(root).ids == NAMES  # an empty folder is taken


# --- bad input ------------------------------------------------------------------------------------


def test_a_damaged_video_leaves_the_others(root):
    np.save(root / 'features/v_3.npy', np.full((5, C), np.nan))
    with pytest.raises(FeatureError, match=r"features of 'v_3' .*NaN or Inf in 5 of 5 snippets"):
        pack(root)
    np.save(root / 'features/v_3.npy', np.zeros((5, C + 1)))
    with pytest.raises(FeatureError, match=r"features of 'v_3' .*expected 6 channels .*, got 7"):
        pack(root)
    save(root, 'v_3', seed=3)
    goes_on_after(root, 3)


@pytest.mark.parametrize('value', [65600, -100000])
def test_beyond_float16(root, value):
    array = np.zeros((4, C), np.float32)
    array[2, 1] = value
    np.save(root / 'features/v_1.npy', array)
    with pytest.raises(
        FeatureError,
        match=(
            r"features of 'v_1' \(.*v_1.npy\): expected values of at most 65504 for float16, got "
            f'{abs(value)}, the first is in snippet 2: pack them as float32'
        ),
    ):
        pack(root, dtype='float16')


def test_float16_is_half_as_large_and_close(root):
    half, full = pack(root, dtype='float16'), pack(root, 'full')
    assert 2 * half.num_bytes == full.num_bytes
    stores = PackedFeatures(root / 'packed'), PackedFeatures(root / 'full')
    for name in NAMES:
        np.testing.assert_array_equal(stores[0].load(name), stores[1].load(name).astype(np.float16))


def test_videos_without_features(root):
    with pytest.raises(
        FeatureError,
        match=(
            r"1 of 2 videos have no features: 'x'. Expected, for example, .*features/x.npy, "
            r'got, for '
            r'example, .*features/v_0.npy: check prefix and suffix, or leave them out with '
            r"missing='skip'"
        ),
    ):
        pack(root, ids=['x', 'v_1'])
    with pytest.warns(UserWarning, match="1 of 2 videos have no features: 'x'; they are left out"):
        assert pack(root, ids=['x', 'v_1'], missing='skip').ids == ['v_1']
    with pytest.raises(FeatureError, match='1 of 1 videos have no features'):
        pack(root, 'other', ids=['x'], missing='skip')


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(ids=['v_1', 'v_2', 'v_1']), "expected each video once, got 'v_1' several times"),
        (dict(ids=[]), 'expected videos to pack, got an empty list'),
        (dict(dtype='int8'), "dtype is 'int8', expected one of float32, float16"),
        (dict(missing='no'), "missing is 'no', expected 'error' or 'skip'"),
    ],
)
def test_bad_arguments(root, options, message):
    with pytest.raises(ValueError, match=message):
        pack(root, **options)


def test_two_processes_that_write_the_same_folder(root, monkeypatch):
    parse = journal._recover

    def recover(*arguments):
        entries = parse(*arguments)
        with (root / 'packed.partial' / DATA_NAME).open('ab') as file:
            file.write(bytes(3 * C * 4))  # the other one's first video
        return entries

    monkeypatch.setattr(journal, '_recover', recover)
    with pytest.raises(
        FeatureError, match=f'{DATA_NAME}: expected 600 bytes as in {INDEX_NAME}, got 672'
    ):
        pack(root)
    monkeypatch.undo()
    goes_on_after(root, 0)


# --- a full disk ----------------------------------------------------------------------------------


def test_full_disk(root, monkeypatch):
    write, room = journal._write, [400]

    def limited(file, content):
        fits = memoryview(content).cast('B')[: room[0]]
        room[0] -= len(fits)
        write(file, fits)
        if len(fits) < memoryview(content).nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal, '_write', limited)
    with pytest.raises(
        OSError,
        match=(
            r'No space left on device after 2 of 5 videos, which are kept: when this is '
            r'mended, the same '
            "command goes on: '.*packed.partial'"
        ),
    ) as caught:
        pack(root)
    assert caught.value.errno == errno.ENOSPC and not (root / 'packed').exists()
    monkeypatch.undo()
    goes_on_after(root, 2)
