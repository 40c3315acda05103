"""ActionFormer by channels, as on a CPU, and by rows, as on a GPU: equal, and fewer operations."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from mmaction.registry import MODELS
from torch.utils._python_dispatch import TorchDispatchMode

from sola_plugin.heads.actionformer import layout, rows
from sola_plugin.heads.actionformer.points import PointHead, points_of_heads, pyramid_points
from tests.slow import slow_but

CHANNELS = 12
PADDING = dict(code='authors', length=80)


def build(pyramid: dict, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    size = dict(channels=16, num_levels=3, num_heads=2, residual_scale=1.0)
    config = dict(type='ActionFormer', feat_dim=CHANNELS, classes=['a', 'b'])
    model = MODELS.build(dict(config, pyramid=dict(size, **pyramid), **options))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def outputs_of(model, inputs, name: str) -> list[torch.Tensor]:
    """Logits and distances, zero in the padding, and the mask."""
    with layout.use(name):
        logits, distances, mask, _ = model(inputs, None, 'tensor')
    return [logits * mask[:, :, None], distances * mask[:, :, None], mask.double()]


@pytest.mark.parametrize(
    ('pyramid', 'options'),
    [
        (dict(windows=5), {}),
        (dict(windows=None), {}),
        (dict(windows=[3, 4, None], num_stem_blocks=1), {}),
        (dict(windows=19, position_encoding=True), {}),
        (dict(windows=5, num_convs=0), dict(num_head_convs=0)),
        (dict(windows=5), dict(padding=PADDING)),
        (dict(windows=5, position_encoding=True, position_length=20), {}),
        (
            dict(windows=5, position_encoding=True, position_length=20),
            dict(padding=dict(PADDING, code='opentad')),
        ),
    ],
)
@pytest.mark.parametrize(
    'lengths',
    slow_but([[33, 20, 7, 2, 1], [1]], [[33, 20, 7, 2, 1], [80, 80], [150, 200], [1]]),
    ids=str,
)
def test_both_layouts_give_the_same_outputs_and_gradients(pyramid, options, lengths):
    if pyramid.get('num_convs') == 0:
        pyramid = dict(pyramid, channels=CHANNELS)
    model = build(pyramid, **options).double()
    inputs = [torch.randn(CHANNELS, n, dtype=torch.double, requires_grad=True) for n in lengths]
    variables = [*inputs, *model.parameters()]
    results = []
    for name in layout.LAYOUTS:
        outputs = outputs_of(model, inputs, name)
        total = sum(
            (out * torch.linspace(0, 1, out.shape[1])[:, None]).sum() for out in outputs[:2]
        )
        results.append((outputs, torch.autograd.grad(total, variables, allow_unused=True)))
    for ours, expected in zip(*(outputs for outputs, _ in results)):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)
    for ours, expected in zip(*(gradients for _, gradients in results)):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def test_training_with_dropped_branches_is_the_same():
    model = build(dict(windows=5, drop_path=0.5, dropout=0.0)).double().train()
    inputs = [torch.randn(CHANNELS, 40, dtype=torch.double) for _ in range(4)]
    results = []
    for name in layout.LAYOUTS:
        torch.manual_seed(1)
        results.append(outputs_of(model, inputs, name))
    torch.testing.assert_close(*results, rtol=0, atol=1e-10)


def test_half_precision_by_rows_is_near_and_is_not_widened():
    model = build(dict(windows=5))
    for parameter in model.parameters():
        if parameter.dim() > 1:  # outputs near those of a network that was trained
            torch.nn.init.normal_(parameter, std=0.1)
    inputs = [torch.randn(CHANNELS, 100) for _ in range(2)]
    expected = outputs_of(model.double(), [x.double() for x in inputs], 'channels')
    model.float()
    with torch.autocast('cpu', torch.bfloat16):
        by_rows = outputs_of(model, inputs, 'rows')
    for ours, exact in zip(by_rows[:2], expected):
        assert (ours.double() - exact).norm() < 0.03 * exact.norm()
    attention = model.pyramid.stem[0].attention
    with torch.autocast('cpu', torch.bfloat16):
        parts = rows.convolve_normalise_project(
            torch.randn(2, 9, 16), attention.convs, attention.norms, attention.projections
        )
        narrow = rows.layer_norm(torch.randn(2, 9, 16).bfloat16(), attention.norms[0])
    assert parts.dtype == narrow.dtype == torch.bfloat16
    assert parts.shape == (3, 2, 9, 16)


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen[function._schema.name.removeprefix('aten::')] += 1
        return function(*args, **(kwargs or {}))


def test_by_rows_nothing_convolves_and_attention_is_fused():
    model = build(dict(windows=5, num_levels=6)).eval()
    inputs = [torch.randn(CHANNELS, 100) for _ in range(2)]
    seen = {}
    for name in layout.LAYOUTS:
        with torch.no_grad(), layout.use(name):
            model(inputs, None, 'tensor')  # keeps what does not depend on the features
            with _Counting() as counting:
                model(inputs, None, 'tensor')
        seen[name] = counting.seen
    by_rows = seen['rows']
    assert 'convolution' not in by_rows and '_softmax' not in by_rows
    assert '_safe_softmax' not in by_rows and 'arange' not in by_rows
    assert seen['channels']['convolution'] == 101
    # Levels are joined: the heads' layers run once, not once for each of 6 levels.
    assert by_rows['native_layer_norm'] < seen['channels']['native_layer_norm'] / 2


def test_what_is_kept_is_not_of_inference_mode():
    model = build(dict(windows=5))
    inputs = [torch.randn(CHANNELS, 61)]
    with layout.use('rows'):
        with torch.inference_mode():
            model(inputs, None, 'tensor')
        logits, distances, _, points = model(inputs, None, 'tensor')
        (logits.sum() + (distances * points.stride[:, None]).sum()).backward()
    assert all(p.grad.isfinite().all() for p in model.pyramid.parameters())


def test_heads_that_share_a_pyramid_are_the_heads_one_by_one(monkeypatch):
    torch.manual_seed(0)
    heads = [PointHead(4, 8, 3).double(), PointHead(4, 8, 2).double()]
    levels = [
        (torch.randn(2, 4, size, dtype=torch.double), torch.rand(2, size) > 0.3)
        for size in (8, 4, 1)
    ]
    for case in (levels, [(x, None) for x, _ in levels]):
        expected = [head(case) for head in heads]
        with layout.use('rows'):
            for ours, theirs in zip(points_of_heads(heads, case), expected):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_points_are_made_once_for_a_length():
    ranges = [(0.0, 4.0), (4.0, 8.0)]
    points = pyramid_points([6, 3], ranges)
    assert pyramid_points([6, 3], ranges) is points
    assert pyramid_points([6, 4], ranges).position.tolist()[6:] == [0.5, 2.5, 4.5, 6.5]


def test_the_layout_is_that_of_the_device():
    x = torch.zeros(1)
    assert not layout.uses_rows(x) and layout.uses_rows(torch.zeros(1, device='meta'))
    with layout.use('rows'):
        assert layout.uses_rows(x)
        with layout.use('channels'):
            assert not layout.uses_rows(x)
    assert not layout.uses_rows(x)
    with (
        pytest.raises(ValueError, match="layout='columns': expected one of"),
        layout.use('columns'),
    ):
        pass
