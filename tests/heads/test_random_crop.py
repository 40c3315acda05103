"""The crop of resized features that ActionFormer trains on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sola_plugin.heads.shared.random_crop import RandomCrop
from tests.heads.test_actionformer import build, make_batch, make_sample

CROP = dict(scale=(0.5, 0.8), min_coverage=0.5, margin=(0.0, 1.0))


def test_training_is_on_the_crop_of_the_resized_features():
    inputs, samples = make_batch((33, 20))
    model, plain = build(temporal_dim=24, crop=CROP), build(temporal_dim=24)
    np.random.seed(0)
    losses = model(inputs, samples, 'loss')
    np.random.seed(0)
    windows, truths = RandomCrop(**CROP)(plain.extract_features(inputs, None), samples)
    assert all(12 <= window.shape[1] <= 19 for window in windows)
    expected = build()(windows, truths, 'loss')
    for name, loss in expected.items():
        torch.testing.assert_close(losses[name], loss)
    assert not torch.equal(losses['loss_cls'], plain(inputs, samples, 'loss')['loss_cls'])


def test_prediction_is_of_the_whole_video():
    inputs, samples = make_batch((33, 20))
    with torch.no_grad():
        cropped, plain = (
            build(temporal_dim=24, **options)(inputs, samples, 'predict')
            for options in (dict(crop=CROP), dict())
        )
    assert cropped == plain


def test_a_video_without_actions():
    sample = make_sample(0, 20, [], [])
    (window,), (truth,) = RandomCrop(**CROP)([torch.randn(3, 20)], [sample])
    assert window.shape[1] < 20 and truth.gt_instances.gt_bbox.shape == (0, 2)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(scale=(0.9, 0.5)), r'scale=\(smallest, largest\)'),
        (dict(min_coverage=2), r'min_coverage in \[0, 1\]'),
        (dict(margin=(-1, 0)), r'margin=\(before, behind\)'),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        build(temporal_dim=24, crop=options)
