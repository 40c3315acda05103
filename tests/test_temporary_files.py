"""Temporary files: those of the dead are removed, those of the living stay."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sola_plugin.io import atomic_write
from sola_plugin.temporary_files import remove_abandoned
from tests.processes import ROOT, environment

WRITER = """
import sys
from sola_plugin.io import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write('half')
    file.flush()
    print('writing', flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path):
    process = subprocess.Popen(
        [sys.executable, '-c', WRITER, str(tmp_path / 'out.json')],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == 'writing\n'
    yield process
    process.kill()
    process.wait()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_dead_process_left(tmp_path, writer):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    (tmp_path / '.hidden').touch()
    (left,) = tmp_path.glob('.out.json.*.tmp')
    remove_abandoned(tmp_path, 'other.json')
    assert left.exists()
    remove_abandoned(tmp_path, 'out.json')
    assert names(tmp_path) == ['.hidden']


def test_what_is_being_written(tmp_path, writer):
    remove_abandoned(tmp_path)
    writer.stdin.close()
    assert writer.wait(30) == 0
    assert names(tmp_path) == ['out.json'] and (tmp_path / 'out.json').read_text() == 'half'


def test_by_this_process(tmp_path):
    with atomic_write(tmp_path / 'a') as file:
        file.write('whole')
        file.flush()
        remove_abandoned(tmp_path)
    assert names(tmp_path) == ['a'] and (tmp_path / 'a').read_text() == 'whole'


@pytest.mark.slow
def test_writers_and_cleaners_at_the_same_time(tmp_path):
    ended = threading.Event()

    def clean() -> None:
        while not ended.is_set():
            remove_abandoned(tmp_path)

    cleaners = [threading.Thread(target=clean) for _ in range(2)]
    for cleaner in cleaners:
        cleaner.start()
    try:
        for number in range(200):
            with atomic_write(tmp_path / f'{number % 3}') as file:
                file.write(str(number))
    finally:
        ended.set()
        for cleaner in cleaners:
            cleaner.join()
    assert [(tmp_path / name).read_text() for name in '012'] == ['198', '199', '197']


def test_without_locks_nothing_is_removed(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, 'No locks available')

    (tmp_path / '.a.x.tmp').touch()
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, 'flock', refuse)
        remove_abandoned(tmp_path)
        with atomic_write(tmp_path / 'b') as file:
            file.write('whole')
    assert names(tmp_path) == ['.a.x.tmp', 'b']
    remove_abandoned(tmp_path / 'missing')


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no named pipes: os.mkfifo is missing')
def test_pipes_and_links_are_not_followed(tmp_path):
    os.mkfifo(tmp_path / '.a.x.tmp')
    (tmp_path / 'mine').write_text('kept')
    (tmp_path / '.b.x.tmp').symlink_to(tmp_path / 'mine')
    remove_abandoned(tmp_path)
    assert (tmp_path / 'mine').read_text() == 'kept'
