"""Atomic writes, and reading of plain and gzipped files."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc

import pytest

from sola_plugin.datasets.annotations.formats import read_annotations
from sola_plugin.datasets.annotations.model import AnnotationError
from sola_plugin.file_names import FileNameError, check_file_names, file_name
from sola_plugin.io import atomic_write, read_bytes, read_json
from sola_plugin.size_limits import VARIABLE
from tests.conftest import ROOT


def test_writes_text_and_bytes_and_makes_folders(tmp_path):
    with atomic_write(tmp_path / 'a/b.txt') as file:
        file.write('ü')
    with atomic_write(tmp_path / 'c.bin', 'wb') as file:
        file.write(b'\x00')
    assert (tmp_path / 'a/b.txt').read_text(encoding='utf-8') == 'ü'
    assert (tmp_path / 'c.bin').read_bytes() == b'\x00'


def test_mode_follows_the_umask(tmp_path):
    with atomic_write(tmp_path / 'a') as file:
        file.write('x')
    (tmp_path / 'b').write_text('x')
    assert (tmp_path / 'a').stat().st_mode == (tmp_path / 'b').stat().st_mode


def test_the_longest_name_can_be_written(tmp_path):
    for name in ('x' * 255, 'ä' * 127):
        with atomic_write(tmp_path / name) as file:
            file.write('whole')
        assert (tmp_path / name).read_text() == 'whole'


def test_what_is_no_character_is_written_as_its_escape(tmp_path):
    with atomic_write(tmp_path / 'a.csv') as file:
        file.write('label \ud800 \u00e4')
    assert (tmp_path / 'a.csv').read_bytes() == b'label \\ud800 \xc3\xa4'


@pytest.mark.parametrize('bad', ['v' * 251, 'ä' * 126, 'v\0', '\ud800'])
def test_an_id_that_no_file_can_have(tmp_path, bad):
    with pytest.raises(FileNameError, match='no file in .*out can have this name with .json'):
        check_file_names(tmp_path / 'out', bad, ('.json',))


@pytest.mark.parametrize('good', ['v' * 250, '../../v', '..', 'a b', 'v\n', 'ä' * 125])
def test_an_id_that_a_file_can_have(tmp_path, good):
    check_file_names(tmp_path, good, ('.json', '.csv'))
    with atomic_write(tmp_path / f'{file_name(good)}.json') as file:
        file.write('{}')
    assert len(list(tmp_path.iterdir())) == 1


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / 'a').write_text('old')

    def full(_descriptor):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'), atomic_write(tmp_path / 'a') as file:
        file.write('new')
    assert (tmp_path / 'a').read_text() == 'old'
    assert [path.name for path in tmp_path.iterdir()] == ['a']


def test_kill_in_the_middle_leaves_the_old_file(tmp_path):
    (tmp_path / 'a').write_text('old')
    code = (
        'import sys, time\nfrom sola_plugin.io import atomic_write\n'
        'with atomic_write(sys.argv[1]) as file:\n'
        '    file.write("new"); file.flush(); print("writing", flush=True); time.sleep(60)\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', code, str(tmp_path / 'a')], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b'writing\n'
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.01)
    assert (tmp_path / 'a').read_text() == 'old'


def test_read_plain_and_gzipped(tmp_path):
    data = json.dumps({'é': 1}).encode()
    (tmp_path / 'plain').write_bytes(data)
    (tmp_path / 'gzipped').write_bytes(gzip.compress(data))
    for name in ('plain', 'gzipped'):
        assert read_bytes(tmp_path / name) == data and read_json(tmp_path / name) == {'é': 1}
    assert read_json(tmp_path / 'plain', object_pairs_hook=list) == [('é', 1)]


@pytest.mark.parametrize(
    'data, message',
    [
        (gzip.compress(b'{"a": 1}', mtime=0)[:-9], 'not complete gzip data'),
        (gzip.compress(b'{"a": 1}', mtime=0)[:-4] + b'1234', 'not complete gzip data'),
        (b'{"a": ', 'not complete JSON'),
        (b'', 'not complete JSON'),
        (b'\x93NUMPY', 'not complete JSON'),
    ],
    ids=['cut gzip', 'other checksum', 'cut', 'empty', 'an array'],
)
def test_damaged_files_are_named(tmp_path, data, message):
    (tmp_path / 'a.json').write_bytes(data)
    with pytest.raises(
        ValueError, match=rf'a\.json: {message} .*may be truncated; write or download'
    ):
        read_json(tmp_path / 'a.json')


def test_a_beginning_is_read_without_the_rest(tmp_path):
    for name, data in (('plain', b'0123456789'), ('gzipped', gzip.compress(b'0123456789')[:-4])):
        (tmp_path / name).write_bytes(data)
        assert read_bytes(tmp_path / name, 5) == b'01234'


@pytest.mark.parametrize(
    'data, message',
    [
        ('[' * 100_000, 'expected JSON with a few levels, got lists or objects nested too deep'),
        ('{"a":' * 100_000, 'expected JSON with a few levels'),
        ('[1' + '0' * 400 + ']', r'expected numbers that a float can hold, got one of 401 digits'),
        ('[-1' + '0' * 5000 + ']', r'expected numbers that a float can hold, got one of 5002'),
        ('{"v": {"a": 1, "b": 2, "a": 3}}', "expected each key once in an object, got 'a' twice"),
    ],
    ids=['lists', 'objects', '400 digits', '5000 digits', 'key twice'],
)
def test_json_that_is_whole_and_cannot_be_used(tmp_path, data, message):
    path = tmp_path / 'a.json'
    path.write_text(data)
    with pytest.raises(ValueError, match=rf'a\.json: {message}') as caught:
        read_json(path)
    assert len(str(caught.value)) < 400
    if 'twice' not in message:  # the check of annotations reports these among the others
        with pytest.raises(AnnotationError, match=rf'a\.json: {message}'):
            read_annotations([path])


def test_long_numbers_that_a_float_holds(tmp_path):
    (tmp_path / 'a.json').write_text(f'[{10**299}, -3, 1e400]')
    assert read_json(tmp_path / 'a.json') == [10**299, -3, float('inf')]


def bomb(tail: bytes | None = None) -> bytes:
    """One thousandth of what it unpacks to, 8 MiB; ``tail`` in place of the size at its end."""
    data = gzip.compress(b'[' + b' ' * ((8 << 20) - 1))
    return data if tail is None else data[: -len(tail)] + tail


@pytest.mark.parametrize('tail', [None, b'\x01\0\0\0'], ids=['true size', 'false size'])
def test_gzip_bomb_is_refused_before_it_takes_memory(tmp_path, monkeypatch, tail):
    path = tmp_path / 'a.json.gz'
    path.write_bytes(bomb(tail))
    monkeypatch.setenv(VARIABLE, str(3 << 20))
    message = (
        rf'a\.json\.gz: expected at most 3,145,728 bytes of the {len(bomb()):,} that are stored, '
        rf'got a claim of [\d,]+: if the file can be trusted, set .*{VARIABLE}'
    )
    tracemalloc.start()
    for read in (read_bytes, read_json, lambda path: read_annotations([path])):
        with pytest.raises(ValueError, match=message):
            read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Pieces of 1 MiB; a file that lies about its size is kept up to the limit.
    assert peak < (6 << 20 if tail is None else 8 << 20)


def test_limit_can_be_raised(tmp_path, monkeypatch):
    (tmp_path / 'a').write_bytes(bomb())
    monkeypatch.setenv(VARIABLE, str(8 << 20))
    assert len(read_bytes(tmp_path / 'a')) == 8 << 20
    monkeypatch.setenv(VARIABLE, '-1')
    with pytest.raises(ValueError, match=f"{VARIABLE}: expected a number of bytes .* got '-1'"):
        read_bytes(tmp_path / 'a')


def test_size_is_a_claim_in_a_torn_gzip_file(tmp_path):
    for tail in (b'\xff\xff\xff\xff', b''):
        (tmp_path / 'a').write_bytes(gzip.compress(b'{}' * 50)[:-6] + tail)
        with pytest.raises(ValueError, match='not complete gzip data'):
            read_bytes(tmp_path / 'a')
    for length in range(2, 12):
        (tmp_path / 'a').write_bytes(gzip.compress(b'{}')[:length])
        with pytest.raises(ValueError, match='not complete gzip data'):
            read_bytes(tmp_path / 'a')
