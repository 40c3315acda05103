"""The set-up of ``make demo`` and ``make test``: a line a step, and the reason when it fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

#: Stands for Python: makes an "environment" of itself; its pip says a lot, and fails if asked to.
PYTHON = """\
#!/bin/bash
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") for line in $(seq 400); do echo "WARNING: line $line is ignored"; done
              echo "ERROR: no such version"; [[ "$*" != *"$FAIL"* ]] ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    """Runs ``make`` with that Python in a copy of the Makefile's folder."""
    for name in ('Makefile', 'setup.cfg', 'pyproject.toml', 'constraints.txt'):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / 'fake_python'
    python.write_text(PYTHON)
    python.chmod(0o755)

    def run(fail: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ['make', '.venv/.installed', f'PYTHON={python}'],
            cwd=tmp_path,
            env={'FAIL': fail, 'PATH': f'{Path(sys.executable).parent}:/usr/bin:/bin'},
            capture_output=True,
            text=True,
        )

    return run


def test_a_line_for_each_step(make, tmp_path):
    done = make('nothing of this name')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        'set-up: .venv',
        'set-up: PyTorch',
        'set-up: the package and what it needs',
    ]
    assert (tmp_path / '.venv/.installed').exists()
    assert len((tmp_path / '.venv/set-up.log').read_text().splitlines()) == 802


def test_a_step_that_fails_says_why(make, tmp_path):
    done = make('--editable')
    assert done.returncode != 0 and not (tmp_path / '.venv/.installed').exists()
    assert 'WARNING' not in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        'ERROR: no such version',
        'set-up failed: all that pip said is in .venv/set-up.log',
    ]
