"""Locks, with real processes."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from sola_plugin.locking import BusyError, hold_lock
from tests.conftest import ROOT

HOLDER = """
import sys, time
from sola_plugin.locking import hold_lock
with hold_lock(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, '-c', HOLDER, str(tmp_path / 'out')],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == 'held\n'
    yield process
    process.kill()
    process.wait()


def test_the_second_says_who_holds_it(tmp_path, holder):
    who = f'process {holder.pid} on {socket.gethostname()} is writing to it'
    with pytest.raises(BusyError, match=f'out: {who}: wait until it has ended'):
        hold_lock(tmp_path / 'out').__enter__()
    holder.stdin.close()
    assert holder.wait(10) == 0 and not list(tmp_path.iterdir())
    with hold_lock(tmp_path / 'out'):
        pass


def test_a_lock_ends_with_its_holder(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / '.out.lock').is_file()
    with hold_lock(tmp_path / 'out'):
        assert (tmp_path / '.out.lock').read_text().startswith(f'process {os.getpid()} on ')
    assert not list(tmp_path.iterdir())


def test_waits_when_it_is_told_so(tmp_path, holder):
    said: list[str] = []

    def let_go(who: str) -> None:
        said.append(who)
        threading.Timer(0.1, holder.stdin.close).start()

    with hold_lock(tmp_path / 'out', let_go):
        assert holder.wait(10) == 0
        with pytest.raises(BusyError, match=str(os.getpid())):  # it is a lock all the same
            hold_lock(tmp_path / 'out').__enter__()
    assert len(said) == 1 and str(holder.pid) in said[0]


def test_many_threads_take_turns(tmp_path):
    """The file is removed by each, and yet there is one holder at a time."""
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(20):
            with hold_lock(tmp_path / 'out', lambda who: None):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] and not list(tmp_path.iterdir())


def test_inside_a_folder_whose_parent_is_not_ours(tmp_path):
    with hold_lock(tmp_path / 'new', inside=True):
        assert [path.name for path in (tmp_path / 'new').iterdir()] == ['.lock']
        with pytest.raises(BusyError):
            hold_lock(tmp_path / 'new', inside=True).__enter__()
    assert not list((tmp_path / 'new').iterdir())


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', refuse)
    with (
        pytest.warns(UserWarning, match='knows no locks .* no other process writes to out'),
        hold_lock(tmp_path / 'out'),
    ):
        pass
