"""Stages that are done once."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

import sola_plugin
from sola_plugin.commands import train_localizer
from sola_plugin.studies import stages
from sola_plugin.studies.stages import code_version, run_stage
from tests.conftest import ROOT, localization_config


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


def test_a_process_can_do_any_number_of_them(data_root, tmp_path):
    """mmengine keeps the log files of all runs open."""
    cfg = Config(localization_config(data_root, tmp_path / 'work'))
    cfg.train_cfg.max_epochs = 1

    def work() -> dict:
        train_localizer(cfg)
        assert any(map(is_log, open_files()))
        return {}

    before = open_files(), MMLogger.get_current_instance()
    stages.Stage('head', tmp_path / 'head', 'settings', work).run()
    assert (tmp_path / 'head/stage.json').is_file()
    assert not set(filter(is_log, open_files())) - set(before[0])
    assert MMLogger.get_current_instance() is before[1]


def open_files() -> list[str]:
    links = (Path('/proc/self/fd') / name for name in os.listdir('/proc/self/fd'))
    return [os.readlink(link) for link in links if link.is_symlink()]


def is_log(name: str) -> bool:
    return name.endswith('.log')


def test_outside_of_git_the_code_tells_its_version(tmp_path, monkeypatch):
    monkeypatch.setattr(
        stages, '__file__', str(tmp_path / 'site-packages/sola_plugin/studies/stages.py')
    )
    assert code_version.__wrapped__() == sola_plugin.__version__  # also where none is installed
