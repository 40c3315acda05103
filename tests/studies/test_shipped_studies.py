"""Shipped studies whose levels change several settings that must fit each other."""

from __future__ import annotations

import json
import math

import pytest
from mmengine.config import Config

from sola_plugin.studies.stages import cell_stages
from sola_plugin.studies.study import load_study
from tests.conftest import ROOT


def changed(path, options):
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(dict(options))
    return cfg


def test_channels_of_the_encoder_study_fit_its_sources():
    study = load_study(ROOT / 'configs/studies/encoder.py')
    assert len(study.cells) == 4 * 4
    for cell in study.cells:
        head = changed(cell.head, cell.head_options)
        pretrain = changed(cell.pretrain, cell.pretrain_options)
        datasets = (
            head.train_dataloader.dataset,
            head.test_dataloader.dataset,
            pretrain.train_dataloader.dataset.features,
        )
        sources, *others = [dataset.data_prefix.features for dataset in datasets]
        assert others == [sources, sources]
        channels = 128 if isinstance(sources, str) else 128 * len(sources)
        assert head.model.feat_dim == pretrain.model.neck.in_channels == channels
        assert pretrain.model.neck.standardize


def test_transfer_study_takes_equally_many_iterations():
    streams = dict(training=14, unlabelled=42, foreign=56)
    study = load_study(ROOT / 'configs/studies/transfer.py')
    assert study.cells[0].embedded['foreign'] == streams['foreign']
    for cell in study.cells[1:]:
        cfg = changed(cell.pretrain, cell.pretrain_options)
        loader = cfg.train_dataloader
        number = sum(streams[subset] for subset in loader.dataset.features.subset)
        assert f'({number})' in cell.name
        windows = number * loader.sampler.windows_per_video
        assert math.ceil(windows / loader.batch_size) * cfg.train_cfg.max_epochs == 2500


@pytest.mark.parametrize(
    ('study', 'labelled', 'subsets'),
    [
        (
            'transfer',
            14,
            [['training', 'unlabelled'], ['foreign'], ['training', 'unlabelled', 'foreign']],
        ),
        ('transfer', 56, [['training'], ['foreign'], ['training', 'foreign']]),
        ('pretexts', 56, [['training'], ['training'], ['training'], 'training']),
    ],
)
def test_pretraining_reads_the_subsets_there_are(study, labelled, subsets, tmp_path):
    """With all streams labelled none is left for the subset 'unlabelled', which would be an
    error."""
    cells = load_study(ROOT / f'configs/studies/{study}.py', embedded=dict(labelled=labelled)).cells
    found: dict[str, list | str] = {}
    for cell in cells:
        for stage in cell_stages(cell, 0, tmp_path):
            if stage.kind == 'pretrain':
                features = json.loads(stage.settings)['config']['train_dataloader']['dataset'][
                    'features'
                ]
                found.setdefault(stage.name, features['subset'])
    assert list(found.values())[: len(subsets)] == subsets
