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
from mmengine.config import Config

from sola_plugin.locking import BusyError, hold_lock
from sola_plugin.necks import SoLa, save_sola
from tests.conftest import CHANNELS, ROOT, localization_config, make_dataset
from tests.forked_tools import run_tool
from tests.pretraining.test_pretraining import tiny_pretraining

#: Processes are forked.
ON_CPU = True

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


@pytest.mark.parametrize(
    ('tool', 'arguments', 'inside'),
    [
        ('train', ['train.py', '--work-dir', 'out'], True),
        ('train', ['train.py', '--work-dir', 'out', '--resume'], True),
        ('pretrain_sola', ['pretrain.py', '--work-dir', 'out'], True),
        ('prepare_watch', ['out'], True),
        ('pack_features', ['data/features', 'out', '--layout', 'TC'], False),
        (
            'transform_features',
            ['sola.pth', 'data/features', 'out', '--layout', 'TC'],
            False,
        ),
    ],
    ids=[
        'training',
        'resumed training',
        'pretraining',
        'embedded data',
        'packing',
        'transformation',
    ],
)
def test_a_tool_whose_output_another_one_writes(tmp_path, monkeypatch, tool, arguments, inside):
    """It says who does, in one line, and touches nothing."""
    monkeypatch.chdir(tmp_path)
    root = make_dataset(tmp_path / 'data')
    Config(localization_config(root, tmp_path / 'unused')).dump('train.py')
    cfg = tiny_pretraining(root, tmp_path / 'unused')
    cfg.custom_imports = dict(imports=['sola_plugin'], allow_failed_imports=False)
    cfg.dump('pretrain.py')
    save_sola('sola.pth', SoLa(CHANNELS, 4))
    held = 'out.parts' if tool == 'transform_features' else 'out'
    with hold_lock(held, inside=inside):
        before = sorted(tmp_path.rglob('*'))
        result = run_tool(tool, *arguments)
        left = [path for path in sorted(tmp_path.rglob('*')) if path not in before]
    (line,) = result.stderr.splitlines()
    assert result.code == 1 and f'process {os.getpid()} on ' in line and 'is writing to it' in line
    assert not [path for path in left if path.is_file()], left
