"""What heads, losses, necks and pretext tasks make is where their inputs are, in a fit type."""

from __future__ import annotations

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.structures import instance_data

from sola_plugin.necks import SoLa
from sola_plugin.pretraining.tasks import Pretext
from tests.conftest import CHANNELS, TINY_BMN, TINY_MATCHER
from tests.elsewhere import ELSEWHERE, Elsewhere
from tests.heads.pairs import make_sample, seeded
from tests.slow import slow_but

NECK = dict(type='SoLa', hidden_channels=4)
PYRAMID = dict(channels=8, num_heads=2, num_levels=2, dropout=0.0)
BMN, GTAD, ACTIONFORMER = (
    TINY_BMN,
    dict(
        type='GTAD',
        temporal_dim=20,
        feat_dim=CHANNELS,
        hidden_dim_1d=8,
        hidden_dim_2d=4,
        hidden_dim_3d=8,
        num_samples=3,
        num_context_samples=2,
        groups=2,
    ),
    dict(type='ActionFormer', feat_dim=CHANNELS, pyramid=PYRAMID),
)
LOCALIZERS = {
    'BMN': BMN,
    'BMN-neck': dict(BMN, neck=NECK, similarity_matching=TINY_MATCHER),
    'BMN-windows': dict(BMN, neck=NECK, windows=dict(stride=10)),
    'BMN-smoothing': dict(BMN, neck=dict(type='TemporalSmoothing')),
    'BMN-standardization': dict(BMN, neck=dict(type='Standardization')),
    'GTAD': GTAD,
    'GTAD-neck': dict(GTAD, neck=NECK, similarity_matching=TINY_MATCHER),
    'ActionFormer': ACTIONFORMER,
    'ActionFormer-neck': dict(ACTIONFORMER, neck=NECK, similarity_matching=TINY_MATCHER),
    'ActionFormer-local': dict(ACTIONFORMER, pyramid=dict(PYRAMID, windows=[4, 3])),
    'ActionFormer-positions': dict(ACTIONFORMER, pyramid=dict(PYRAMID, position_encoding=True)),
    'ActionFormer-windows': dict(
        ACTIONFORMER, pyramid=dict(PYRAMID, windows=[3, 3]), windows=dict(length=64)
    ),
    'TEM': dict(
        type='TEM',
        temporal_dim=20,
        boundary_ratio=0.1,
        tem_feat_dim=CHANNELS,
        tem_hidden_dim=8,
        tem_match_threshold=0.5,
        neck=NECK,
    ),
}
TASKS = {
    'SimilarityMatcher': dict(TINY_MATCHER),
    'BoundarySensitive': dict(window=24, margin=3, hidden_channels=5),
    'PseudoActionLocalization': dict(window=12, piece=(3, 6), projector_channels=5),
    'TemporallySensitive': dict(num_classes=3, window=10),
}


#: Without the layouts of a head beside its plain one.
PLAIN = [name for name in LOCALIZERS if not name.startswith('ActionFormer-')]


@pytest.fixture(params=['elsewhere', 'cuda'])
def other(request, monkeypatch):
    """A device that is not the CPU."""
    if request.param == 'elsewhere':
        autocast, index_type = torch.autocast, instance_data.IndexType  # do not know the device
        monkeypatch.setattr(
            torch,
            'autocast',
            lambda kind, **options: autocast('cpu' if kind == ELSEWHERE.type else kind, **options),
        )
        monkeypatch.setattr(instance_data, 'IndexType', index_type | torch.Tensor)
        with Elsewhere():
            yield ELSEWHERE
    elif not torch.cuda.is_available():
        pytest.skip('no CUDA device: torch.cuda.is_available() is false')
    else:
        monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
        rand, randint = torch.rand, torch.randint  # the same numbers as on the CPU
        monkeypatch.setattr(
            torch, 'rand', lambda *size, device=None, **o: rand(*size, **o).to(device)
        )
        monkeypatch.setattr(
            torch, 'randint', lambda *a, device=None, **o: randint(*a, **o).to(device)
        )
        monkeypatch.setattr(torch, 'rand_like', lambda x: rand(x.shape, dtype=x.dtype).to(x.device))
        yield torch.device('cuda')


def videos() -> dict:
    """Three videos of different lengths, as a data loader gives them."""
    torch.manual_seed(0)
    return dict(
        inputs=[torch.randn(CHANNELS, length) for length in (20, 20, 20)],
        data_samples=[make_sample(index) for index in range(3)],
    )


def losses_of(model, data) -> dict[str, torch.Tensor]:
    """Losses after the preprocessor has moved the data, as in a run."""
    return seeded(model, **model.data_preprocessor(data, True), mode='loss')


@pytest.mark.parametrize('name', slow_but(PLAIN, LOCALIZERS))
def test_a_localizer_trains_and_predicts_on_another_device(name, other):
    model = seeded(MODELS.build, LOCALIZERS[name])
    expected = losses_of(model, videos())
    model = seeded(MODELS.build, LOCALIZERS[name]).to(other)
    losses = losses_of(model, videos())
    assert losses.keys() == expected.keys()
    for key, value in losses.items():
        assert value.device.type == other.type, key
        torch.testing.assert_close(
            value.detach().cpu(), expected[key].detach(), rtol=1e-4, atol=1e-5, msg=key
        )
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is None or p.grad.device.type == other.type for p in model.parameters())
    if name == 'TEM':  # its predictions are files
        return
    model.eval()
    with torch.no_grad():
        results = model(**model.data_preprocessor(videos(), False), mode='predict')
    assert [result['video_name'] for result in results] == ['v_0', 'v_1', 'v_2']


def build_task(name: str) -> Pretext:
    task = MODELS.build(dict(TASKS[name], type=name, neck=SoLa(in_channels=6, hidden_channels=4)))
    torch.nn.init.constant_(task.neck.alpha, 0.5)
    return task


def windows(task: Pretext) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    labels = torch.arange(4 * task.window).reshape(4, -1) % 4 - 1
    return torch.randn(4, 6, task.window), labels


@pytest.mark.parametrize('name', TASKS)
def test_a_pretext_task_trains_on_another_device(name, other):
    task = seeded(build_task, name)
    inputs, labels = windows(task)
    expected = seeded(task.loss, inputs, labels)
    task = seeded(build_task, name).to(other)
    losses = task.loss(inputs.to(other), labels.to(other))
    assert losses.keys() == expected.keys()
    for key, value in losses.items():
        assert value.device.type == other.type and value.isfinite(), key
    task.parse_losses(losses)[0].backward()
    assert task.neck.alpha.grad.device.type == other.type


@pytest.mark.parametrize('name', slow_but(PLAIN, (name for name in LOCALIZERS if name != 'TEM')))
def test_a_localizer_trains_in_bfloat16(name):
    """Twenty steps under autocast: losses in float32, finite, and near those without it."""
    model = seeded(MODELS.build, LOCALIZERS[name])
    expected = losses_of(model, videos())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    first = None
    for _ in range(20):
        with torch.autocast('cpu', torch.bfloat16):
            losses = losses_of(model, videos())
        first = first or {key: value.item() for key, value in losses.items()}
        for key, value in losses.items():
            assert value.isfinite() and value.dtype in (torch.float32, torch.float64), key
        optimizer.zero_grad()
        model.parse_losses(losses)[0].backward()
        optimizer.step()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    for key, value in first.items():
        assert abs(value - expected[key].item()) < 0.05 * (1 + abs(expected[key].item())), key


@pytest.mark.parametrize('name', TASKS)
def test_a_pretext_task_trains_in_bfloat16(name):
    task = seeded(build_task, name)
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-3)
    inputs, labels = windows(task)
    for _ in range(20):
        with torch.autocast('cpu', torch.bfloat16):
            losses = task.loss(inputs, labels)
        total = task.parse_losses(losses)[0]
        assert total.isfinite() and total.dtype == torch.float32
        optimizer.zero_grad()
        total.backward()
        optimizer.step()


@pytest.mark.parametrize(
    ('code', 'is_fault'),
    [
        (lambda x: x + torch.ones(3), True),
        (lambda x: torch.cat([x, torch.zeros(3)]), True),
        (lambda x: x[torch.arange(3) > 1], True),
        (lambda x: x + 1, False),
        (lambda x: x + torch.tensor(1.0), False),
        (lambda x: x * torch.ones(3, device=x.device), False),
        (lambda x: x + torch.ones(3).to(x), False),
        (lambda x: x.cpu() + torch.ones(3), False),
    ],
    ids=['add', 'cat', 'mask', 'number', 'scalar', 'made there', 'moved', 'fetched'],
)
def test_the_device_of_these_tests_refuses_what_a_gpu_refuses(code, is_fault):
    with Elsewhere():
        x = torch.ones(3).to(ELSEWHERE)
        if is_fault:
            with pytest.raises(RuntimeError, match='expected all tensors on one device'):
                code(x)
        else:
            code(x)
