"""Studies on a real dask cluster: a scheduler and workers, some of which are killed."""

from __future__ import annotations

import csv
import functools
import importlib.metadata
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sola_plugin.studies import cluster, runner
from sola_plugin.studies.cluster import ClusterError, ClusterPool
from sola_plugin.studies.output import write_study
from sola_plugin.studies.runner import run_study
from sola_plugin.studies.study import load_study
from tests.conftest import make_dataset
from tests.processes import environment
from tests.studies.test_study import HALF_BAD, write, write_configs
from tests.studies.test_workers import is_running, wait_for
from tests.studies.worker_tasks import die, fail, note, note_place, sleep_noted

pytest.importorskip(
    'distributed', reason="dask is not installed: pip install 'sola_plugin[cluster]'"
)


class Dask:
    """Scheduler and workers; they end with the test."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / 'scheduler.json'
        self.processes: list[subprocess.Popen] = []
        self.scheduler = self.start(
            'scheduler', '--scheduler-file', self.file, '--host', '127.0.0.1', '--port', '0'
        )

    def start(self, *words: object, **variables: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, '-m', 'dask', *map(str, words), '--no-dashboard'],
            cwd=self.file.parent,  # where no relative path of a test leads anywhere
            env=environment(**variables),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def start_worker(self, *options: str, **variables: str) -> subprocess.Popen:
        words = ('--scheduler-file', self.file, '--nthreads', '1', *options)
        return self.start('worker', *words, '--local-directory', self.file.parent, **variables)

    def close(self) -> None:
        for process in self.processes[1:]:
            process.terminate()
        for process in self.processes[1:]:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        self.scheduler.kill()
        self.scheduler.wait()


@pytest.fixture
def dask(tmp_path_factory) -> Iterator[Dask]:
    """A scheduler without workers."""
    started = Dask(tmp_path_factory.mktemp('dask'))
    wait_for(started.file.is_file)
    yield started
    started.close()


@pytest.fixture(scope='module')
def pair(tmp_path_factory) -> Iterator[Dask]:
    """A scheduler, and two workers as they are by default: watched by a nanny."""
    started = Dask(tmp_path_factory.mktemp('pair'))
    wait_for(started.file.is_file)
    for _ in range(2):
        started.start_worker()
    yield started
    started.close()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory, which the cluster shares."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_what_fails_fails_alone(pair, folder):
    """In processes of one thread that are kept, and in the working directory of this one."""
    tasks = {
        'raises': fail,
        'killed': functools.partial(die, signal.SIGKILL),
        'exits': functools.partial(os._exit, 5),
        **{name: functools.partial(note_place, Path(name)) for name in 'abcdef'},
    }
    with ClusterPool(str(pair.file), folder) as pool:
        assert dict(pool.run(tasks)) == {
            'raises': 'ValueError: no such thing',
            'killed': 'its process was ended by signal 9 (SIGKILL, perhaps for lack of memory)',
            'exits': 'its process ended with exit code 5',
            **dict.fromkeys('abcdef', ''),
        }
    places = [Path(name).read_text().split() for name in 'abcdef']
    assert {tuple(how) for _, *how in places} == {('1', str(folder))}
    assert len({process for process, *_ in places}) <= 4  # two, and two after those that ended
    assert not list(folder.glob('.run-*'))


@pytest.mark.slow
def test_what_nobody_waits_for_is_ended(pair, folder):
    with pytest.raises(RuntimeError), ClusterPool(str(pair.file), folder) as pool:
        for _ in pool.run(
            {
                'slow': functools.partial(sleep_noted, Path('slow'), 60),
                'quick': functools.partial(sleep_noted, Path('quick'), 0),
            }
        ):
            wait_for(Path('slow').is_file)
            raise RuntimeError
    wait_for(lambda: not is_running(int(Path('slow').read_text())))
    assert not Path('slow.end').exists()


@pytest.mark.slow
def test_the_task_of_a_worker_that_is_killed_is_done_by_another(dask, folder, capfd):
    """Workers may come later, and from a worker's process nothing is left."""
    worker = dask.start_worker('--no-nanny')
    task = functools.partial(sleep_noted, Path('task'), 3)
    results: list[tuple[str, str]] = []

    def run() -> None:
        with ClusterPool(str(dask.file), folder) as pool:
            results.extend(pool.run({'task': task}))

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(Path('task').is_file)
    first = int(Path('task').read_text())
    worker.kill()
    wait_for(lambda: not is_running(first))
    said = ''

    def is_told() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return 'has no workers yet: waiting for some' in said

    wait_for(is_told)
    assert thread.is_alive() and not Path('task.end').exists()
    dask.start_worker()
    thread.join(60)
    assert results == [('task', '')] and int(Path('task.end').read_text()) != first


@pytest.mark.slow
def test_workers_that_are_unfit_get_nothing_to_do(dask, folder, tmp_path_factory, capfd):
    """One has another PyTorch, then comes one that has not."""
    other = tmp_path_factory.mktemp('other')
    (other / 'torch-1.0.dist-info').mkdir()
    (other / 'torch-1.0.dist-info/METADATA').write_text('Name: torch\nVersion: 1.0\n')
    path = environment(other)['PYTHONPATH']
    dask.start_worker('--no-nanny', **{'PYTHONPATH': path})
    tasks = {name: functools.partial(note, Path(name)) for name in 'abc'}
    version = importlib.metadata.version('torch').partition('+')[0]
    message = (
        rf'worker tcp://\S+: it has torch 1\.0 instead of {re.escape(version)}: start it in the '
        'same environment'
    )
    with ClusterPool(str(dask.file), folder) as pool:
        results = dict(pool.run({'alone': tasks['a']}))
        assert re.fullmatch(message, results['alone'])
        assert re.search(f'(?m)^note: {message}\n', capfd.readouterr().err)
    with ClusterPool(str(dask.file), folder) as pool:
        dask.start_worker('--no-nanny')
        wait_for(lambda: len(pool._workers()) == 2)
        assert dict(pool.run(tasks)) == dict.fromkeys('abc', '')
        assert capfd.readouterr().err.count('note: ') <= 1
        Path(pool._mark).unlink()
        (error,) = dict(pool.run({'d': tasks['a']})).values()
        assert f'it does not see the folder {folder}: expected a shared one' in error


@pytest.mark.slow
def test_resources(dask, folder, capfd):
    dask.start_worker('--no-nanny')
    with ClusterPool(str(dask.file), folder, {'GPU': 1}) as pool:
        results: dict[str, str] = {}
        tasks = {'a': functools.partial(note_place, Path('a'))}
        thread = threading.Thread(target=lambda: results.update(pool.run(tasks)))
        thread.start()
        said = ''
        while 'has no workers with GPU=1 yet: waiting for some' not in said:
            assert thread.is_alive()
            time.sleep(0.1)
            said += capfd.readouterr().err
        dask.start_worker('--no-nanny', '--resources', 'GPU=1')
        thread.join(60)
        assert results == {'a': ''}


@pytest.mark.slow
def test_a_scheduler_that_is_gone(dask, folder, monkeypatch):
    dask.start_worker('--no-nanny')
    tasks = {'slow': functools.partial(sleep_noted, Path('slow'), 60)}

    def kill() -> None:
        wait_for(Path('slow').is_file)
        dask.scheduler.kill()

    with ClusterPool(str(dask.file), folder) as pool:
        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(ClusterError, match='the connection to the scheduler is lost: .* goes'):
            list(pool.run(tasks))
        thread.join()
    wait_for(lambda: not is_running(int(Path('slow').read_text())))
    monkeypatch.setattr(cluster, '_ANSWER', 1)
    with pytest.raises(ClusterError, match=r'scheduler.json: no dask scheduler answers: expected'):
        ClusterPool(str(dask.file), folder).__enter__()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--scheduler', 'tcp://127.0.0.1:9'], 'tcp://127.0.0.1:9: no dask scheduler answers: '),
        (['--scheduler', 'nowhere:x'], 'nowhere:x: no dask scheduler answers: expected an addr'),
        (['--resources', 'GPU=1'], '--resources goes with --scheduler'),
    ],
)
def test_errors_of_the_tool(run_script, folder, monkeypatch, options, message):
    monkeypatch.setattr(cluster, '_ANSWER', 1)
    write_configs(folder, make_dataset(folder / 'data'))
    write(folder / 'study.py', HALF_BAD)
    done = run_script('tools/ablate.py', 'study.py', *options, cwd=folder)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(f'error: {message}')
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--scheduler', 'a:1', '--jobs', '2'], 'not allowed with argument'),
        (['--scheduler', 'a:1', '--resources', 'GPU'], 'expects NAME=NUMBER such as GPU=1, got'),
        (['--jobs', '0'], 'expects at least 1, got 0'),
    ],
)
def test_errors_of_the_command_line(run_script, options, message):
    done = run_script('tools/ablate.py', 'smoke', *options)
    assert done.returncode == 2 and message in done.stderr


def test_without_dask(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, 'distributed', None)
    with pytest.raises(ClusterError, match=r"needs dask .*: pip install 'sola_plugin\[cluster\]'"):
        ClusterPool('tcp://127.0.0.1:9', folder).__enter__()


@pytest.mark.slow
def test_a_stage_that_is_not_seen_here(folder, monkeypatch):
    monkeypatch.setattr(runner, '_DELAY', 0)
    assert 'is the folder shared?' in runner._unseen(folder / 'head-1')


def results(study, outcomes, folder: Path) -> list[dict[str, str]]:
    """What the study writes, but for times."""
    write_study(study, outcomes, folder, 'the command')
    with open(folder / 'results.csv') as file:
        return [
            {key: value for key, value in row.items() if 'seconds' not in key}
            for row in csv.DictReader(file)
        ]


@pytest.mark.slow
def test_a_study_of_which_a_worker_is_killed_gives_the_local_results(dask, folder):
    """A study of which half of the cells fail."""
    write_configs(folder, make_dataset(folder / 'data'))
    study = load_study(write(Path('study.py'), HALF_BAD))
    local = run_study(study, Path('local'), jobs=2)
    workers = [dask.start_worker('--no-nanny'), dask.start_worker()]
    killed = threading.Event()

    def kill() -> None:
        """Kill the first worker while it does a head."""
        while not killed.wait(0.05):
            for path in folder.glob('cluster/.head-*.lock'):
                try:
                    stage = int(re.search(r'process (\d+)', path.read_text())[1])
                    parent = int(Path(f'/proc/{stage}/stat').read_text().split(') ')[1].split()[1])
                except (FileNotFoundError, ProcessLookupError, TypeError):
                    continue
                if parent == workers[0].pid:
                    workers[0].kill()
                    killed.set()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    pool = ClusterPool(str(dask.file), folder)
    outcomes = run_study(study, Path('cluster'), pool=pool)
    assert killed.is_set()
    expected, found = (
        results(study, done, Path(name)) for name, done in (('local', local), ('cluster', outcomes))
    )
    text = str(expected).replace('local/', 'cluster/')
    assert str(found) == text and text.count('log: cluster/') == 2
    assert {path.name for path in Path('local').glob('*-*/stage.json')} == {
        path.name for path in Path('cluster').glob('*-*/stage.json')
    }
