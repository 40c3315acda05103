"""Text from files is shown as it is, and never obeyed by the terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sola_plugin.messages import printable
from sola_plugin.visualization import Table, to_markdown, to_text
from tests.commands.test_tool import TOOLS
from tests.conftest import ROOT
from tests.processes import environment

ESCAPED = 'a\x1b[31m\nb\ud800\x9bé'
SHOWN = r'a\x1b[31m\nb\ud800\x9bé'


@pytest.mark.parametrize(
    'text, shown',
    [
        (ESCAPED, SHOWN),
        ('\t\r\x00\x7f\x85\u2028\u202e', r'\t\r\x00\x7f\x85\u2028\u202e'),
        ('日本 e\u0301 👩\u200d👦 50\xa0% \\n', '日本 e\u0301 👩\u200d👦 50\xa0% \\n'),
    ],
    ids=['escape', 'controls', 'letters'],
)
def test_printable(text, shown):
    assert printable(text) == shown


def test_line_breaks_may_be_kept():
    assert printable('a\n\x1bb\n', lines=True) == 'a\n\\x1bb\n'
    assert printable(ValueError('a\nb')) == r'a\nb'


def test_tables():
    table = Table((ESCAPED, 'x'), ((ESCAPED, ESCAPED),), f'one\n{ESCAPED}')
    for text in (to_text(table), to_markdown(table)):
        assert text.count('\\x1b[31m') == 4 and '\\ud800' in text
        assert not {'\x1b', '\x9b', '\ud800'} & set(text)
    assert len([line for line in to_text(table).splitlines() if 'é' in line]) == 3


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Ground truth and detections of one class with a bad name."""
    action = {'segment': [1.0, 2.0], 'label': ESCAPED}
    video = {'duration': 9.0, 'subset': 'validation', 'annotations': [action]}
    contents = ({'database': {'v': video}}, {'results': {'v': [{**action, 'score': 0.5}]}})
    paths = [tmp_path / 'truth.json', tmp_path / 'found.json']
    for path, content in zip(paths, contents):
        path.write_text(json.dumps(content))
    return paths


@pytest.mark.parametrize('encoding', ['ascii', pytest.param('utf-8', marks=pytest.mark.slow)])
def test_evaluate_on_any_terminal(files, encoding):
    done = run('evaluate', *files, '--per-class', encoding=encoding)
    assert done.returncode == 0, done.stderr
    shown = SHOWN.encode(encoding, 'backslashreplace')
    assert shown in done.stdout and b'\x1b' not in done.stdout


def test_an_error_is_one_line(files):
    files[1] = files[1].rename(files[1].with_name('a\nb\x1b.json'))
    files[1].write_text('{')
    done = run('evaluate', *files, encoding='ascii')
    assert done.returncode == 1 and done.stdout == b''
    assert done.stderr.startswith(b'error: ') and done.stderr.count(b'\n') == 1
    assert rb'a\nb\x1b.json' in done.stderr


def run(tool: str, *arguments: object, encoding: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / f'tools/{tool}.py', *map(str, arguments)],
        capture_output=True,
        env={'PYTHONIOENCODING': encoding, 'PYTHONPATH': environment()['PYTHONPATH'], 'PATH': ''},
    )


@pytest.mark.parametrize('path', TOOLS, ids=lambda path: path.stem)
def test_all_tools_print_so(path):
    text = path.read_text()
    assert text.endswith('    run_tool(main)\n')  # which prepares the streams
    assert "f'error: {error}'" not in text
