"""Outputs that are not finite are an error that names the video, whichever way they come."""

from __future__ import annotations

import pytest
import torch
from mmaction.registry import MODELS

from sola_plugin.heads.shared.outputs import OutputError
from tests.conftest import TINY_BMN
from tests.heads.pairs import make_sample
from tests.heads.test_actionformer import TINY as TINY_ACTIONFORMER
from tests.heads.test_gtad import TINY_GTAD

MODELS_OF_ALL = {
    'BMN': TINY_BMN,
    'BMN in windows': dict(TINY_BMN, windows=dict(stride=10, batch_size=2)),
    'GTAD': TINY_GTAD,
    'GTAD in windows': dict(TINY_GTAD, windows=dict(stride=10)),
    'ActionFormer': TINY_ACTIONFORMER,
    'ActionFormer in windows': dict(TINY_ACTIONFORMER, windows=dict(length=64)),
}


def build(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS.build({**MODELS_OF_ALL[name], 'neck': dict(type='SoLa', hidden_channels=4)})
    return model.eval()


@pytest.mark.parametrize('name', MODELS_OF_ALL)
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_video_of_a_batch(name, value):
    model = build(name)
    videos = [torch.randn(model.channels, length) for length in (90, 70, 100)]
    samples = [make_sample(index) for index in range(3)]
    with torch.no_grad():
        assert len(model(videos, samples, 'predict')) == 3
        videos[1][:, 40:] = value
        with pytest.raises(
            OutputError,
            match=rf'{name.split()[0]} gives NaN or infinite outputs f'
            r"or 'v_1': its features",
        ):
            model(videos, samples, 'predict')


@pytest.mark.parametrize('name', ['BMN', 'GTAD', 'ActionFormer'])
def test_padding_is_no_output(name):
    """What stands behind a short video of a batch changes nothing, and is not looked at."""
    model = build(name)
    videos = [torch.randn(model.channels, length) for length in (12, 100)]
    samples = [make_sample(index) for index in range(2)]
    with torch.no_grad():
        assert len(model(videos, samples, 'predict')) == 2
