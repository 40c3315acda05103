"""Stages that are done once."""

from __future__ import annotations

import re

import pytest

import sola_plugin
from sola_plugin.studies import stages
from sola_plugin.studies.stages import code_version, run_stage
from tests.conftest import ROOT


def test_done_once_until_the_settings_change(tmp_path):
    calls = []

    def work() -> dict:
        calls.append((tmp_path / 'a/left').exists())
        (tmp_path / 'a/left').write_text('x')
        return dict(value=len(calls))

    assert run_stage(tmp_path / 'a', 'one', work)['value'] == 1
    assert run_stage(tmp_path / 'a', 'one', work)['value'] == 1
    assert run_stage(tmp_path / 'a', 'two', work)['value'] == 2
    assert calls == [False, False]  # other settings find an empty folder


def test_an_attempt_that_failed_is_repeated_with_what_it_left(tmp_path):
    def failing() -> dict:
        (tmp_path / 'a/left').write_text('x')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(tmp_path / 'a', 'one', failing)
    result = run_stage(tmp_path / 'a', 'one', lambda: dict(left=(tmp_path / 'a/left').read_text()))
    assert result['left'] == 'x' and result['seconds'] >= 0


def test_results_tell_the_code_that_made_them(tmp_path, monkeypatch):
    result = run_stage(tmp_path / 'a', 'one', dict)
    commit = r'[0-9a-f]{7,}\+?' if (ROOT / '.git').exists() else re.escape(sola_plugin.__version__)
    assert result['code'] == code_version() and re.fullmatch(commit, result['code'])
    # A stage that is done keeps its version.
    monkeypatch.setattr(stages, 'code_version', lambda: 'later')
    assert run_stage(tmp_path / 'a', 'one', dict) == result


def test_outside_of_git_the_code_tells_its_version(tmp_path, monkeypatch):
    monkeypatch.setattr(
        stages, '__file__', str(tmp_path / 'site-packages/sola_plugin/studies/stages.py')
    )
    assert code_version.__wrapped__() == sola_plugin.__version__  # also where none is installed
