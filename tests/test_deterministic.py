"""Deterministic algorithms: what PyTorch refuses on a GPU is not used, and runs are exact."""

from __future__ import annotations

import os

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmengine.config import Config
from torch.utils._python_dispatch import TorchDispatchMode

from sola_plugin.commands import train_localizer
from sola_plugin.heads.shared.neck_support import resize_features
from sola_plugin.pretraining import run as pretraining_run
from sola_plugin.pretraining.runs import build_runner
from tests.conftest import CHANNELS, localization_config
from tests.heads.pairs import make_sample, seeded
from tests.pretraining.test_exact_resume import (
    LAST,
    PRETRAIN,
    assert_equal,
    make_config,
    resume,
    stop,
)
from tests.pretraining.test_pretraining import tiny_pretraining
from tests.test_devices import LOCALIZERS, TASKS, build_task, windows

#: Operations that a GPU refuses: of those that ``torch.use_deterministic_algorithms`` lists, the
#: ones that a network of ours could use.
REFUSED = {
    'upsample_linear1d_backward',
    'upsample_bilinear2d_backward',
    'grid_sampler_2d_backward',
    'reflection_pad1d_backward',
    '_adaptive_avg_pool2d_backward',
    'adaptive_max_pool2d_backward',
    'max_unpool2d',
    'nll_loss2d_forward',
    'put',
    'put_',
    'histc',
    'kthvalue',
    'cumsum',
}
VARIABLE = 'CUBLAS_WORKSPACE_CONFIG'


@pytest.fixture
def deterministic():
    """PyTorch refuses what is not deterministic, on a GPU."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


class Recorder(TorchDispatchMode):
    """Notes the names of all operations; those of a backward pass as well."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def gradients(model, loss) -> list[torch.Tensor]:
    """Of one step of training, which uses nothing that is refused."""
    if next(model.parameters()).is_cuda:  # refused by PyTorch itself
        model.parse_losses(loss())[0].backward()
    else:
        with Recorder() as recorder:
            model.parse_losses(loss())[0].backward()
        assert 'backward' in ' '.join(recorder.names) and not recorder.names & REFUSED
    return [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize('name', LOCALIZERS)
def test_a_localizer_trains(name, device, deterministic):
    torch.manual_seed(0)
    lengths = (20, 20, 20) if name == 'TEM' else (23, 20, 31)
    data = dict(
        inputs=[torch.randn(CHANNELS, length) for length in lengths],
        data_samples=[make_sample(index) for index in range(3)],
    )

    def once() -> list[torch.Tensor]:
        model = seeded(MODELS.build, LOCALIZERS[name]).to(device)
        inputs = model.data_preprocessor(data, True)
        return gradients(model, lambda: seeded(model, **inputs, mode='loss'))

    assert all(map(torch.equal, once(), once()))


@pytest.mark.parametrize('name', TASKS)
def test_a_pretext_task_trains(name, device, deterministic):
    def once() -> list[torch.Tensor]:
        task = seeded(build_task, name).to(device)
        inputs, labels = (tensor.to(device) for tensor in windows(task))
        return gradients(task, lambda: seeded(task.loss, inputs, labels))

    assert all(map(torch.equal, once(), once()))


def test_what_is_refused_is_seen():
    model = MODELS.build(LOCALIZERS['BMN-neck'])
    with pytest.raises(AssertionError, match='upsample_linear1d_backward'):
        gradients(
            model, lambda: dict(loss=F.interpolate(model.neck.alpha[None, None], 3, mode='linear'))
        )


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(('length', 'size'), [(23, 20), (7, 20), (1, 5), (5, 1), (400, 100)])
def test_features_are_resized_as_without(length, size, dtype, device, deterministic):
    x = torch.randn(2, 3, length, dtype=dtype, device=device, requires_grad=True)
    result = resize_features(x, size)
    weight = torch.randn_like(result)
    (gradient,) = torch.autograd.grad((result * weight).sum(), x)
    torch.use_deterministic_algorithms(False)
    expected = resize_features(x, size)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), x)
    tolerance = dict(rtol=1.6e-2, atol=2e-2) if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(result, expected, **tolerance)
    torch.testing.assert_close(gradient, expected_gradient, **tolerance)


@pytest.mark.parametrize('is_asked', [True, False])
@pytest.mark.parametrize('kind', ['localizer', 'neck'])
def test_cublas_is_told_before_the_run(data_root, tmp_path, monkeypatch, kind, is_asked):
    class Begun(Exception):
        pass

    def begin(cfg):
        raise Begun

    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr('mmengine.runner.Runner.from_cfg', begin)
    randomness = dict(seed=0, deterministic=is_asked)
    with pytest.raises(Begun):
        if kind == 'neck':
            cfg = tiny_pretraining(data_root, tmp_path)
            cfg.randomness = randomness
            pretraining_run.pretrain(cfg)
        else:
            cfg = Config(localization_config(data_root, tmp_path))
            cfg.randomness = randomness
            build_runner(cfg)
    assert os.environ.get(VARIABLE) == (':4096:8' if is_asked else None)


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason='no CUDA device: torch.cuda.is_available() is false'
)
def test_a_run_that_is_resumed_on_a_gpu_is_exact(data_root, tmp_path, deterministic):
    def config(name: str) -> Config:
        cfg = make_config(data_root, tmp_path / name, hooks=[PRETRAIN])
        cfg.randomness.deterministic = True
        return cfg

    train_localizer(config('whole'))
    stop(config('stopped'), 1)
    train_localizer(resume(config('stopped')))
    assert_equal(tmp_path / 'whole' / LAST, tmp_path / 'stopped' / LAST)
