"""mmaction2's localizers and ours on the same weights and videos."""

from __future__ import annotations

import numpy as np
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData


def make_sample(index: int, number: int = 3) -> ActionDataSample:
    """A data sample with random segments and proposals."""
    rng = np.random.default_rng(index)
    sample = ActionDataSample()
    sample.gt_instances = InstanceData(
        gt_bbox=torch.from_numpy(np.sort(rng.random((number, 2)), 1))
    )
    proposals = np.concatenate([np.sort(rng.random((7, 2)), 1), rng.random((7, 1))], 1)
    sample.proposals = InstanceData(proposals=torch.from_numpy(proposals).float())
    sample.set_metainfo(
        dict(video_name=f'v_{index}', duration_frame=1000, duration_second=33.3, feature_frame=992)
    )
    return sample


def seeded(function, *args, **kwargs):
    """Call with the same random numbers every time."""
    torch.manual_seed(1)
    return function(*args, **kwargs)


def build_pair(stock: type, config: dict) -> tuple[torch.nn.Module, torch.nn.Module]:
    """mmaction2's localizer and ours, each initialised from the same seed as a Runner would."""
    theirs = seeded(stock, **{k: v for k, v in config.items() if k != 'type'})
    ours = seeded(MODELS.build, config)
    for model in (theirs, ours):
        seeded(model.init_weights)
        model.eval()  # no dropout
    return theirs, ours


def assert_same(a, b) -> None:
    """Equal to the bit, in any nesting."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    else:
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert_same(x, y)


def assert_same_proposals(theirs: list[dict], ours: list[dict]) -> None:
    """The same proposals in the same order; stock's float32 segments are compared to 0.1 ms."""
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs):
        assert abs(a['score'] - b['score']) < 1e-6
        assert np.abs(np.subtract(a['segment'], b['segment'])).max() < 1e-4
