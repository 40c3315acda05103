"""Every pretext task in a real run, and as the hook's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.config import Config

from sola_plugin.commands import train_localizer
from sola_plugin.necks import build_sola, read_sola
from sola_plugin.pretraining.run import pretrain, pretraining_config
from tests.conftest import CHANNELS, feature_dataset, localization_config

NECK = dict(type='SoLa', hidden_channels=4, kernel_sizes=(3, 1))
TASKS = {
    'BoundarySensitive': dict(window=18, margin=3, hidden_channels=8),
    'PseudoActionLocalization': dict(window=12, piece=(3, 6), projector_channels=8),
    'TemporallySensitive': dict(window=9, num_classes=2),
    'SimilarityMatcher': dict(window=9, start=2, num_positions=3, predictor_channels=8),
}


@pytest.mark.parametrize('task', TASKS)
def test_trains_a_neck(data_root, tmp_path, task):
    cfg = pretraining_config(
        dict(NECK, in_channels=CHANNELS),
        feature_dataset(data_root, subset='training'),
        tmp_path / 'work',
        pretext=dict(TASKS[task], type=task),
        batch_size=4,
        max_epochs=4,
        windows_per_video=8,
        lr=1e-2,
        seed=0,
    )
    path = pretrain(cfg)
    checkpoint = read_sola(path)
    assert checkpoint['meta']['pretext'].items() >= dict(TASKS[task], type=task).items()
    losses = checkpoint['meta']['losses']
    assert len(losses) == 4 and np.isfinite(losses).all() and losses[-1] < losses[0]
    assert build_sola(path).alpha != 0
    # What the task needs beside the neck is thrown away.
    assert set(checkpoint['state_dict']) == set(build_sola(path).state_dict())


def test_the_hook_takes_a_task(data_root, tmp_path):
    cfg = Config(localization_config(data_root, tmp_path / 'work'))
    cfg.model.neck = NECK
    cfg.custom_hooks = [
        dict(
            type='SoLaPretrainHook',
            batch_size=4,
            max_epochs=1,
            windows_per_video=2,
            pretext=dict(TASKS['TemporallySensitive'], type='TemporallySensitive'),
        )
    ]
    model = train_localizer(cfg).model
    checkpoint = read_sola(tmp_path / 'work/sola/sola.pth')
    assert checkpoint['meta']['pretext']['type'] == 'TemporallySensitive'
    assert all(
        torch.equal(value.cpu(), checkpoint['state_dict'][key])
        for key, value in model.neck.state_dict().items()
    )


def test_an_unknown_task(tmp_path):
    with pytest.raises(
        TypeError, match='expected a pretext task such as SimilarityMatcher, got SoLa'
    ):
        pretraining_config(NECK, {}, tmp_path, pretext=dict(type='SoLa'))
