"""Exit codes are those of docs/troubleshooting.md, each shown by a tool that ends so."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from sola_plugin.necks import SoLa, save_sola
from tests.conftest import CHANNELS
from tests.processes import ROOT, environment

PAGE = (ROOT / 'docs/troubleshooting.md').read_text(encoding='utf-8')
TABLE = PAGE.split('## Exit codes')[1].split('\n## ')[0]
ROWS = {int(code): row for code, row in re.findall(r'^\| (\d+) \| (.*) \|$', TABLE, re.M)}


def test_the_table_is_complete():
    signals = (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM)
    assert set(ROWS) == {0, 1, 2, 3, *(128 + number for number in signals)}
    skipping = [
        path.stem
        for path in sorted((ROOT / 'tools').glob('*.py'))
        if (found := re.search(r'^SKIPPED = (\d+)$', path.read_text(encoding='utf-8'), re.M))
        and found[1] == '3'
    ]
    assert sorted(re.findall(r'`(\w+)`', ROWS[3])) == skipping


@pytest.fixture
def files(tmp_path):
    action = dict(segment=[1.0, 4.0], label='run')
    video = dict(duration=20.0, subset='validation', annotations=[action])
    (tmp_path / 'truth.json').write_text(json.dumps(dict(database=dict(v=video))))
    found = dict(results=dict(v=[dict(action, score=0.5)]))
    (tmp_path / 'found.json').write_text(json.dumps(found))
    save_sola(tmp_path / 'sola.pth', SoLa(CHANNELS, 4))
    rows = np.zeros((9, CHANNELS), np.float32)
    np.savez(tmp_path / 'all.npz', **{'v': rows, 'x' * 300: rows})
    return tmp_path


@pytest.mark.parametrize(
    ('code', 'tool', 'arguments'),
    [
        (0, 'evaluate', ['truth.json', 'found.json']),
        (1, 'evaluate', ['truth.json', 'missing.json']),
        (1, 'check_dataset', ['--annotations', 'truth.json', '--features', 'all.npz']),
        (2, 'evaluate', ['truth.json']),
        (3, 'transform_features', ['sola.pth', 'all.npz', 'out', '--format', 'npy']),
    ],
)
def test_a_tool_that_ends_so(files, run_script, code, tool, arguments):
    extra = ['--layout', 'TC'] if tool != 'evaluate' else []
    result = run_script(ROOT / 'tools' / f'{tool}.py', *arguments, *extra, cwd=files)
    assert result.returncode == code and code in ROWS, result.stderr
    assert 'Traceback' not in result.stderr


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals(number):
    code = (
        'from sola_plugin.commands.tool import run_tool, stoppable\n'
        'stoppable("__main__", "the same command goes on")\n'
        'import time\n'
        'def main():\n'
        '    print("begun", flush=True)\n'
        '    time.sleep(60)\n'
        'run_tool(main)\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', code],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and so the tests in one, are born ignoring it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None and process.stdout.readline() == 'begun\n'
    time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number and process.returncode in ROWS
    assert errors == 'stopped: the same command goes on\n'
