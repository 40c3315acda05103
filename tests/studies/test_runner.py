"""A study whose stage is killed, and one whose stage another run is doing."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest
from mmengine.config import Config

from sola_plugin.locking import hold_lock
from sola_plugin.pretraining.run import pretraining_config
from sola_plugin.studies.runner import _work, run_study
from sola_plugin.studies.stages import cell_stages, finished_stage
from sola_plugin.studies.study import Study, load_study
from tests.conftest import CHANNELS, TINY_MATCHER, feature_dataset, localization_config


@pytest.fixture
def study(tmp_path, data_root) -> Study:
    """One cell; its label-free training kills itself."""
    neck = dict(type='SoLa', in_channels=CHANNELS, hidden_channels=8)
    head = localization_config(data_root, tmp_path / 'unused')
    head['model']['neck'] = dict(neck, init_cfg=dict(type='Pretrained', checkpoint=None))
    Config(head).dump(tmp_path / 'head.py')
    cfg = pretraining_config(
        neck, feature_dataset(data_root), tmp_path / 'unused', TINY_MATCHER, max_epochs=1
    )
    cfg.custom_imports = dict(imports=['tests.studies.killing_hook'], allow_failed_imports=False)
    cfg.custom_hooks = [dict(type='KillingHook')]
    cfg.dump(tmp_path / 'pretrain.py')
    (tmp_path / 'study.py').write_text("head = 'head.py'\npretrain = 'pretrain.py'\nseeds = 1\n")
    return load_study(tmp_path / 'study.py')


@pytest.mark.slow
def test_a_stage_that_is_killed(study, tmp_path):
    reports: list[tuple[int, int]] = []
    outcome = run_study(study, tmp_path / 'work', report=lambda _, *state: reports.append(state))[0]
    cause = r'its process was ended by signal 9 \(SIGKILL.*\) \(log: (.*/pretrain-\w+\.txt)\)'
    found = re.fullmatch(cause, outcome.error)
    assert outcome.figures is None and found and 'about to die' in Path(found[1]).read_text()
    assert reports == [(1, 2), (2, 2)]  # the head cannot be done, and is told of all the same


def test_a_config_that_is_changed_while_the_study_runs(study, tmp_path):
    """The stage would be another one, and nobody would find its result."""
    stage = cell_stages(study.cells[0], 0, tmp_path / 'work')[0]
    text = (tmp_path / 'pretrain.py').read_text()
    (tmp_path / 'pretrain.py').write_text(f'{text}\nmore = 1\n')
    with pytest.raises(
        RuntimeError, match=r'head\.py or .*pretrain\.py, .* was changed while .* run the'
    ):
        _work(stage.folder, study.cells[0], 0, 0)
    assert not stage.folder.exists()


def test_a_stage_that_another_run_is_doing_is_waited_for(study, tmp_path, capfd):
    """Another run ends it meanwhile, so that there is nothing left to do."""
    stage = cell_stages(study.cells[0], 0, tmp_path / 'work')[0]
    worker = threading.Thread(target=_work, args=(stage.folder, study.cells[0], 0, 0))
    with hold_lock(stage.folder):
        worker.start()
        said, end = '', time.monotonic() + 120
        while 'waiting' not in said:
            assert time.monotonic() < end
            said += capfd.readouterr().err
            time.sleep(0.02)
        stage.folder.mkdir()
        (stage.folder / 'settings.txt').write_text(stage.settings)
        (stage.folder / 'stage.json').write_text('{"seconds": 7}')
    worker.join(30)
    assert re.search(rf'{stage.name}: process \d+ on \S+ is doing it; waiting', said)
    assert finished_stage(stage.folder) == dict(seconds=7)
