"""Processes of a study, with real kills."""

from __future__ import annotations

import functools
import multiprocessing
import multiprocessing.process
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sola_plugin.studies import workers
from sola_plugin.studies.workers import WorkerPool
from tests.conftest import ROOT
from tests.processes import START_METHOD, environment
from tests.studies.worker_tasks import die, fail, note, note_faults, sleep_noted


def test_a_worker_does_several_tasks_and_is_kept(tmp_path):
    with WorkerPool(2) as pool:
        first = {name: functools.partial(note, tmp_path / name) for name in 'abcd'}
        assert sorted(pool.run(first)) == [(name, '') for name in 'abcd']
        assert dict(pool.run({'e': functools.partial(note, tmp_path / 'e')})) == {'e': ''}
        processes = {name: (tmp_path / name).read_text() for name in 'abcde'}
    assert 1 <= len(set(processes.values())) <= 2
    assert not any(is_running(int(process)) for process in processes.values())


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='the C library is not glibc')
def test_memory_is_kept_for_the_next_iteration(tmp_path, monkeypatch):
    monkeypatch.setenv('MALLOC_TRIM_THRESHOLD_', '65536')  # dask's
    with WorkerPool(1) as pool:
        assert dict(pool.run({'a': functools.partial(note_faults, tmp_path / 'a')})) == {'a': ''}
    assert int((tmp_path / 'a').read_text()) < 100
    assert os.environ['MALLOC_TRIM_THRESHOLD_'] == '65536'
    assert 'MALLOC_MMAP_MAX_' not in os.environ


@pytest.mark.slow
def test_what_fails_fails_alone(tmp_path):
    tasks = {
        'raises': fail,
        'killed': functools.partial(die, signal.SIGKILL),
        'terminated': functools.partial(die, signal.SIGTERM),
        'exits': functools.partial(os._exit, 5),
        'unknown': functools.partial(sys.exit, 6),
        'good': functools.partial(note, tmp_path / 'good'),
    }
    with WorkerPool(2) as pool:
        assert dict(pool.run(tasks)) == {
            'raises': 'ValueError: no such thing',
            'killed': 'its process was ended by signal 9 (SIGKILL, perhaps for lack of memory)',
            'terminated': 'its process was ended by signal 15 (SIGTERM)',
            'exits': 'its process ended with exit code 5',
            'unknown': 'its process ended with exit code 6',
            'good': '',
        }
    assert (tmp_path / 'good').is_file()


@pytest.mark.parametrize(
    'is_ending',
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=['dead', 'ending'],
)
def test_an_idle_worker_that_was_killed_is_replaced(tmp_path, monkeypatch, is_ending):
    """Also while one of its threads still ends: until then the system counts it as alive."""
    if is_ending:
        monkeypatch.setattr(multiprocessing.process.BaseProcess, 'is_alive', lambda self: True)
    with WorkerPool(1) as pool:
        assert dict(pool.run({'a': functools.partial(note, tmp_path / 'a')})) == {'a': ''}
        process = int((tmp_path / 'a').read_text())
        os.kill(process, signal.SIGKILL)
        wait_for(lambda: not is_running(process))
        assert dict(pool.run({'b': functools.partial(note, tmp_path / 'b')})) == {'b': ''}


def test_a_forked_worker_ends_when_it_is_told_to(tmp_path, monkeypatch):
    """It holds a copy of its parent's end of the connection, which is never closed for it."""
    monkeypatch.setattr(workers, '_CONTEXT', multiprocessing.get_context(START_METHOD))
    with WorkerPool(1) as pool:
        assert dict(pool.run({'a': functools.partial(note, tmp_path / 'a')})) == {'a': ''}
        (worker,) = pool._idle
    assert worker._process.exitcode == 0  # or it was killed at last


def test_what_is_running_ends_with_an_exception(tmp_path):
    tasks = {
        'slow': functools.partial(sleep_noted, tmp_path / 'slow', 60),
        'quick': functools.partial(sleep_noted, tmp_path / 'quick', 0),
    }
    with pytest.raises(RuntimeError), WorkerPool(2) as pool:
        for _ in pool.run(tasks):
            wait_for((tmp_path / 'slow').is_file)
            raise RuntimeError
    assert not is_running(int((tmp_path / 'slow').read_text()))
    assert not (tmp_path / 'slow.end').exists()


PARENT = """
import functools, sys
from pathlib import Path
from sola_plugin.commands.tool import run_tool, stoppable
from sola_plugin.studies import workers
from sola_plugin.studies.workers import WorkerPool
from tests.studies.worker_tasks import sleep_noted

def main():
    tasks = {n: functools.partial(sleep_noted, Path(sys.argv[1]) / n, 60) for n in ('0', '1', '2')}
    with WorkerPool(2) as pool:
        list(pool.run(tasks))

stoppable(__name__, 'the same command goes on')
if __name__ == '__main__':
    run_tool(main)
"""


@pytest.mark.parametrize(
    ('number', 'code'),
    [
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
    ids=['kill', 'term', 'int'],
)
def test_workers_end_with_their_parent(tmp_path, number, code):
    (tmp_path / 'parent.py').write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / 'parent.py'), str(tmp_path)],
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    begun = [tmp_path / '0', tmp_path / '1']
    wait_for(lambda: parent.poll() is not None or all(path.is_file() for path in begun))
    assert parent.poll() is None, parent.stderr.read()
    workers = [int(path.read_text()) for path in begun]
    # As a terminal does it: Ctrl-C reaches the workers, too.
    (os.killpg if number == signal.SIGINT else os.kill)(parent.pid, number)
    _, errors = parent.communicate(timeout=60)
    assert parent.returncode == code
    assert errors == ('' if code < 0 else 'stopped: the same command goes on\n')
    wait_for(lambda: not any(map(is_running, workers)))
    time.sleep(0.1)
    assert not list(tmp_path.glob('*.end')) and not (tmp_path / '2').exists()


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'too late'
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        os.kill(process, 0)
        state = Path(f'/proc/{process}/stat')
        return not (state.is_file() and state.read_text().rpartition(')')[2].split()[0] == 'Z')
    except (ProcessLookupError, FileNotFoundError):
        return False
