"""How tools end when they are stopped: one line, an exit code, at once."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sola_plugin.commands import tool
from tests.conftest import ROOT
from tests.processes import environment
from tests.slow import slow_but

# Without the one that works where the package cannot be imported.
TOOLS = sorted(path for path in (ROOT / 'tools').glob('*.py') if path.stem != 'check_environment')

#: Stops itself when the tool has imported this module, in the middle of its imports.
SITE = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Stop(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == 'argparse' and sys.argv[0].endswith('.py'):
            os.kill(os.getpid(), signal.{name})

sys.modules.pop('argparse', None)
sys.meta_path.insert(0, Stop())
"""


def start(arguments: list, **options) -> subprocess.Popen:
    """A process whose Ctrl-C works even where the tests run in the background of a shell."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


@pytest.mark.parametrize(
    'path',
    slow_but(TOOLS[:4], TOOLS),
    ids=lambda path: path.stem,
)
def test_every_tool_is_stopped_while_it_imports(path, tmp_path):
    name = 'SIGTERM' if TOOLS.index(path) % 2 else 'SIGINT'
    (tmp_path / 'sitecustomize.py').write_text(SITE.format(name=name))
    process = start([path, '--help'], env=environment(tmp_path))
    output, errors = process.communicate(timeout=60)
    assert process.returncode == dict(SIGINT=130, SIGTERM=143)[name]
    assert re.fullmatch('stopped(: .*goes on.*)?\n', errors) and not output


def test_tools_run_in_the_one_way():
    for path in TOOLS:
        text = path.read_text(encoding='utf-8')
        assert text.endswith("if __name__ == '__main__':\n    run_tool(main)\n"), path
        assert text.index('stoppable(__name__') < text.index('\nimport argparse'), path


SCRIPT = """
import os, sys, threading, time
from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__, 'advice')

def wait():
    print('begun', flush=True)
    time.sleep(60)

def main():
    {body}

if __name__ == '__main__':
    run_tool(main)
"""

BODIES = {
    'waits': 'wait()',
    'cleans-up': 'try: wait()\n    finally: print("clean", flush=True)',
    'swallows': 'while True:\n        try: wait()\n        except BaseException: time.sleep(60)',
    'cleans-up-for-long': 'try: wait()\n    finally: time.sleep(60)',
    'complains': 'try: wait()\n    except BaseException: raise RuntimeError("worker")',
    'has-a-thread': 'threading.Thread(target=time.sleep, args=(60,)).start(); wait()',
}


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['int', 'term'])
@pytest.mark.parametrize('case', slow_but(('waits', 'swallows'), BODIES))
def test_stopped_while_it_works(case, number, tmp_path):
    (tmp_path / 'script.py').write_text(SCRIPT.format(body=BODIES[case]))
    process = start([tmp_path / 'script.py'], env=environment())
    assert process.stdout.readline() == 'begun\n'
    begin = time.monotonic()
    process.send_signal(number)
    process.send_signal(number)  # impatience changes nothing
    output, errors = process.communicate(timeout=20)
    assert time.monotonic() - begin < 10  # of 60; 0.7 s on a machine that has nothing else to do
    assert process.returncode == 128 + number and errors == 'stopped: advice\n'
    assert output == ('clean\n' if case == 'cleans-up' else '')


@pytest.mark.slow
def test_stopped_while_it_waits_for_another_rank(tmp_path):
    """No handler of Python's runs there; torchrun would kill it after half a minute."""
    ranks = [
        start([ROOT / 'tests/stuck_tool.py', rank, tmp_path], env=environment()) for rank in (0, 1)
    ]
    try:
        end = time.monotonic() + 120
        while not all((tmp_path / f'rank{rank}').exists() for rank in (0, 1)):
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(0.5)
        ranks[0].send_signal(signal.SIGTERM)
        _, errors = ranks[0].communicate(timeout=60)
        assert ranks[0].returncode == 143 and errors.endswith('stopped: go on\n')
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()


def test_forked_workers_are_left_as_they_were(tmp_path):
    """Workers that read data: Ctrl-C is KeyboardInterrupt, SIGTERM kills."""
    body = (
        'for number in (2, 15):\n'
        '        child = os.fork()\n'
        '        if not child:\n'
        '            try: os.kill(os.getpid(), number); time.sleep(60)\n'
        '            except KeyboardInterrupt: os._exit(7)\n'
        '        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))'
    )
    (tmp_path / 'script.py').write_text(SCRIPT.format(body=body))
    # Python 3.12 warns of any fork beside a thread.
    process = start([tmp_path / 'script.py'], env=environment(PYTHONWARNINGS='ignore'))
    assert process.communicate(timeout=60) == ('7\n-15\n', '')
    assert process.returncode == 0


@pytest.mark.parametrize(
    'body',
    [
        'print("x" * 100)',
        'print("x" * 10_000_000)',
        'try: print("x" * 200_000, flush=True)\n    except OSError as error: sys.exit(f"{error}")',
    ],
    ids=['short', 'long', 'caught-by-the-tool'],
)
def test_output_that_nobody_reads(body, tmp_path):
    (tmp_path / 'script.py').write_text(SCRIPT.format(body=f'sys.stdin.read(1)\n    {body}'))
    process = start(
        [tmp_path / 'script.py'],
        env=environment(),
        stdin=subprocess.PIPE,
    )
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == '' and process.wait(60) == 141


def test_another_broken_pipe_is_an_error(tmp_path):
    body = 'r, w = os.pipe(); os.close(r); os.write(w, b"x")'
    (tmp_path / 'script.py').write_text(SCRIPT.format(body=body))
    process = start([tmp_path / 'script.py'], env=environment())
    assert 'BrokenPipeError' in process.communicate(timeout=60)[1] and process.returncode == 1


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path):
    (tmp_path / 'script.py').write_text(SCRIPT.format(body='os.kill(os.getpid(), 2)'))
    process = subprocess.run(
        [sys.executable, tmp_path / 'script.py'],
        env=environment(),
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert process.returncode == 0


def test_afterwards_all_is_as_it_was():
    """Tools are also run inside of another program."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threads = threading.active_count()
    for _ in range(2):
        tool.stoppable('__main__')
        assert signal.getsignal(signal.SIGTERM) != before[1]
        with pytest.raises(SystemExit, match='error'):
            tool.run_tool(lambda: sys.exit('error'))
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    end = time.monotonic() + 60
    while threading.active_count() > threads:
        assert time.monotonic() < end
