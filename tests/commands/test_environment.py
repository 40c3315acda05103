"""The report of the environment, in a sound one and in broken ones."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import pytest

from sola_plugin.commands import environment
from tests import processes
from tests.conftest import ROOT


def test_a_sound_environment(capsys):
    assert environment.main([]) == 0
    printed = capsys.readouterr()
    assert printed.err == ''
    for line in (
        f'  torch: {metadata.version("torch")}',
        '  mmcv is: lite',
        '  BMN: ok',
        '  GTAD: ok',
        '  ActionFormer: ok',
        'GPU:',
        'mended:',
    ):
        assert line in printed.out


def test_for_programs(capsys):
    assert environment.main(['--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert report['versions']['sola_plugin'].startswith('0.')
    assert 'layout of its config' in report['mends']['repeated_layout']


def test_parts_and_features_that_are_missing(monkeypatch):
    monkeypatch.setitem(environment._compat.placeholders, 'mmaction.models.x', 'OSError: y')
    monkeypatch.setitem(sys.modules, 'h5py', None)
    report = environment.report_environment()
    assert report['placeholders']['mmaction.models.x'] == 'OSError: y'
    assert report['missing']['.h5 feature files'] == "pip install 'sola_plugin[h5]'"
    assert '  mmaction.models.x: OSError: y' in environment.to_text(report)


@pytest.mark.parametrize(
    ('installed', 'kind'),
    [
        ({'mmcv': '2.1.0'}, 'full'),
        ({'mmcv-lite': '2.1.0'}, 'lite'),
        ({}, 'absent'),
        ({'mmcv': '2.1.0', 'mmcv-lite': '2.1.0'}, 'full and lite, which own the same files'),
    ],
    ids=['full', 'lite', 'absent', 'both'],
)
def test_kind_of_mmcv(installed, kind):
    assert environment._mmcv_kind(installed).startswith(kind)


@pytest.mark.parametrize(
    ('broken', 'words'),
    [
        pytest.param(
            {'mmcv/__init__.py': "__version__ = '2.2.0'\n"},
            'MMCV==2.2.0 is used but incompatible',
            marks=pytest.mark.slow,
        ),
        ({'torch/__init__.py': "raise OSError('libcudart.so.99')\n"}, 'OSError: libcudart.so.99'),
        pytest.param(
            {'mmaction/__init__.py': 'raise SystemExit(3)\n'},
            'SystemExit: 3',
            marks=pytest.mark.slow,
        ),
        ({'wrapt.py': "raise ImportError('no wrapt')\n"}, "cannot be imported: ImportError('no"),
    ],
    ids=['mmcv', 'torch', 'mmaction', 'wrapt'],
)
def test_a_broken_environment_is_reported(tmp_path, broken, words):
    for name, text in broken.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    process = subprocess.run(
        [sys.executable, ROOT / 'tools/check_environment.py'],
        text=True,
        capture_output=True,
        env=processes.environment(tmp_path),
    )
    assert process.returncode == 1 and 'Traceback' not in process.stdout + process.stderr
    assert words in process.stdout + process.stderr
    assert 'python: 3.' in process.stdout
