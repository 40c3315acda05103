"""A trained localizer and one with random weights, for the tests of prediction."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from sola_plugin.commands import train_localizer
from sola_plugin.commands.testing import test_localizer as run_test
from tests.commands.localizers import config, save_random
from tests.conftest import TINY_BMN, hidden_gpu, make_dataset
from tests.heads.test_actionformer import SOLA
from tests.heads.test_actionformer import TINY as TINY_ACTIONFORMER


@pytest.fixture(scope='session')
def bmn(tmp_path_factory) -> Path:
    """Folder with ``data``, ``config.py``, and ``work`` of a BMN with SoLa that was trained and
    tested."""
    folder = tmp_path_factory.mktemp('bmn')
    make_dataset(folder / 'data')
    cfg = config(folder / 'data', folder / 'work', dict(TINY_BMN, neck=SOLA))
    cfg.dump(folder / 'config.py')
    with hidden_gpu():
        train_localizer(Config(cfg.to_dict()))
        run_test(Config(cfg.to_dict()), folder / 'work/epoch_2.pth')
    return folder


@pytest.fixture(scope='session')
def actionformer(bmn) -> tuple[Path, Path]:
    """Config and checkpoint of an ActionFormer with random weights."""
    model = dict(TINY_ACTIONFORMER, post_processing=dict(min_score=0.0, min_length=-1.0, top_k=20))
    cfg = config(bmn / 'data', bmn / 'work_actionformer', model)
    cfg.dump(bmn / 'actionformer.py')
    return bmn / 'actionformer.py', save_random(cfg, bmn / 'actionformer.pth')
