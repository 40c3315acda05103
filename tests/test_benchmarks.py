"""The benchmark runs and prints its table."""
from __future__ import annotations

import re
import subprocess
import sys

from tests.conftest import ROOT


def test_heads_prints_a_table():
    command = [sys.executable, 'benchmarks/heads.py', '--rows', 'label', 'checkpoint', '--repeats', '1']
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    assert 'OMP_WAIT_POLICY=passive; median of 1, interleaved' in output
    assert re.search(r'\| checkpoint \| [\d.]+ MB \| [\d.]+ MB \| 7\.4× \| ≥ 5× \| yes \|', output)
    assert re.search(r'\| label generation, batch 8 \| [\d.]+ ms \| [\d.]+ ms \| [\d.]+× \| ≥ 4× \|', output)
