"""Atomic writes, and reading of plain and gzipped files."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from sola_plugin.io import atomic_write, read_bytes, read_json
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
