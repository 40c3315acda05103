"""What the linear classifier of class-agnostic proposals is fitted on."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from sola_plugin.commands.testing import linear_classifier
from tests.conftest import ROOT


@pytest.mark.parametrize('name', ['actionformer_hacs', 'bmn_thumos14', 'gtad_thumos14'])
def test_training_videos_are_not_cropped_for_the_classifier(name, tmp_path):
    cfg = Config.fromfile(ROOT / f'configs/localization/{name}.py')
    assert 'pipeline' in cfg.train_dataloader.dataset
    classifier = linear_classifier(cfg, tmp_path)
    assert 'pipeline' not in classifier['dataset']
    assert classifier['dataset']['subset'] == cfg.train_dataloader.dataset.subset
    assert 'pipeline' in cfg.train_dataloader.dataset  # training goes on as it was


def test_the_pipeline_of_the_test_is_taken(tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/localization/bmn_thumos14.py')
    steps = [dict(type='LoadFeatures'), dict(type='PackTALInputs', meta_keys=('video_name',))]
    cfg.test_dataloader.dataset.pipeline = steps
    assert linear_classifier(cfg, tmp_path)['dataset']['pipeline'] == steps
