"""Folded sampling against sampled maps that are really made."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmaction.models.localizers.bmn import BMN as StockBMN
from scipy.sparse import csr_array
from torch.autograd import gradcheck, gradgradcheck

from sola_plugin.heads.shared.fixed_matrix import PRODUCTS, FixedMatrix, Plan
from sola_plugin.heads.shared.sampling import (
    FoldedSampling,
    bmn_positions,
    interpolation_weights,
    valid_cells,
)
from tests.conftest import TINY_BMN

SIZE, ROWS, CHANNELS, SAMPLES = 7, 5, 3, (4, 2)
HIDDEN, OUT = 6, 2


def bmn_weights(size=SIZE, rows=ROWS, samples=4, points=3, ratio=0.5):
    return interpolation_weights(
        bmn_positions(*valid_cells(size, rows), samples, points, ratio), size
    )


def make_layer(sources: int = 1, chunk: int = 4, product: str | None = None) -> FoldedSampling:
    weights = [bmn_weights(samples=number) for number in SAMPLES[:sources]]
    layer = FoldedSampling(weights, SIZE, ROWS, chunk=chunk).double()
    layer.plan = None if product is None else Plan(product, chunk)
    return layer


def make_inputs(sources: int = 1, batch: int = 2) -> tuple[list, list, torch.Tensor, torch.Tensor]:
    """Sources, weights, bias and pointwise kernel."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.double, requires_grad=True)

    return (
        [random(batch, CHANNELS, SIZE) for _ in range(sources)],
        [random(HIDDEN, CHANNELS, number) for number in SAMPLES[:sources]],
        random(HIDDEN),
        random(OUT, HIDDEN),
    )


def sampled_map(x: torch.Tensor, samples: int) -> torch.Tensor:
    """``(B, C, N, D, T)``, zero outside the video."""
    duration, start = valid_cells(SIZE, ROWS)
    weights = torch.zeros(SIZE, samples, ROWS, SIZE, dtype=torch.double)
    rows = torch.from_numpy(bmn_weights(samples=samples).toarray()).double().view(-1, SIZE, samples)
    weights[:, :, duration, start] = rows.permute(1, 2, 0)
    return torch.einsum('bct,tnds->bcnds', x, weights)


def naive(sources, weights, bias, pointwise=None):
    """A convolution over the samples of the whole map."""
    x = torch.cat([sampled_map(x, w.shape[2]) for x, w in zip(sources, weights)], dim=2)
    hidden = F.conv3d(x, torch.cat(weights, dim=2)[..., None, None], bias).squeeze(2).relu()
    return hidden if pointwise is None else F.conv2d(hidden, pointwise[:, :, None, None])


@pytest.mark.parametrize(
    ('size', 'samples', 'points', 'ratio'),
    [
        (20, 4, 3, 0.5),
        (9, 2, 2, 1.0),
        (9, 5, 1, 0.0),
        (13, 32, 3, 0.5),
        (1, 4, 3, 0.5),
        (11, 1, 7, 2.0),
    ],
)
def test_weights_are_mmaction2s_sample_mask(size, samples, points, ratio):
    stock = StockBMN(
        **{k: v for k, v in TINY_BMN.items() if k != 'type'}
        | dict(
            temporal_dim=size, num_samples=samples, num_samples_per_bin=points, boundary_ratio=ratio
        )
    )
    mask = stock.sample_mask.view(size, samples, size, size).numpy()
    for rows in {size, 1 + size // 2}:
        duration, start = valid_cells(size, rows)
        expected = mask[:, :, duration, start].transpose(2, 0, 1).reshape(len(duration), -1)
        weights = bmn_weights(size, rows, samples, points, ratio)
        assert weights.dtype == np.float32 and (weights.data != 0).all()
        np.testing.assert_allclose(weights.toarray(), expected, rtol=0, atol=1e-7)
    assert not mask[:, :, size - 1, 1:].any()  # outside the video mmaction2 has zeros


@pytest.mark.parametrize(('size', 'rows'), [(6, 6), (6, 2), (1, 1)])
def test_valid_cells_by_plain_loops(size, rows):
    expected = [(d, s) for d in range(rows) for s in range(size) if s + d < size]
    assert list(zip(*(v.tolist() for v in valid_cells(size, rows)))) == expected


@pytest.mark.parametrize('rows', [0, 7])
def test_valid_cells_of_no_map(rows):
    with pytest.raises(
        ValueError, match=f'max_duration={rows} must be between 1 and temporal_dim=6'
    ):
        valid_cells(6, rows)


def test_left_edge_is_truncated_and_right_edge_fades():
    """mmaction2's quirk: of points 0.4 before the first and after the last position, one counts
    fully."""
    positions = bmn_positions(np.array([3]), np.array([0]), 2, 1, boundary_ratio=0.1)
    np.testing.assert_allclose(positions.ravel(), [0, 3.4])  # the first would be at -0.4
    weights = interpolation_weights(positions, size=4).toarray().reshape(4, 2)
    np.testing.assert_allclose(weights, [[1, 0], [0, 0], [0, 0], [0, 0.6]], atol=1e-6)
    beyond = bmn_positions(np.array([3]), np.array([0]), 2, 1, boundary_ratio=0.25)  # -1 and 4
    assert interpolation_weights(beyond, size=4).nnz == 0


def test_one_point_cannot_span_a_proposal():
    with pytest.raises(
        ValueError, match='num_samples=1 times num_samples_per_bin=1 must be at least 2'
    ):
        bmn_weights(samples=1, points=1)


def test_a_sample_is_the_mean_of_the_points_it_has():
    positions = np.array([[[0.5, 2.0], [1.0, np.nan], [-1.5, 0.0], [9.0, 1e9]]])
    weights = interpolation_weights(positions, size=3).toarray().reshape(3, 4).T
    np.testing.assert_allclose(weights, [[0.25, 0.25, 0.5], [0, 1, 0], [0.5, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize('sources', [1, 2])
@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize('chunk', [1, 4, 100])
@pytest.mark.parametrize('product', PRODUCTS)
@pytest.mark.parametrize('batch', [1, 2])
def test_equals_the_naive_map_with_gradients(sources, fused, chunk, product, batch):
    xs, weights, bias, pointwise = make_inputs(sources, batch)
    inputs = [*xs, *weights, bias] + [pointwise] * fused
    layer = make_layer(sources, chunk, product)
    ours = layer.to_map(layer(xs, weights, bias, pointwise if fused else None))
    theirs = naive(xs, weights, bias, pointwise if fused else None)
    assert ours.shape == (batch, OUT if fused else HIDDEN, ROWS, SIZE)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    cotangent = torch.randn(ours.shape, dtype=torch.double)
    for a, b in zip(*(torch.autograd.grad(y, inputs, cotangent) for y in (ours, theirs))):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize(('product', 'batch'), [('items', 1), ('batch', 2), ('dense', 2)])
def test_gradcheck(product, batch):
    xs, weights, bias, pointwise = make_inputs(2, batch)
    layer = make_layer(2, product=product)

    def run(x, y, w, v, bias, pointwise):
        return layer.to_map(layer([x, y], [w, v], bias, pointwise))

    assert gradcheck(run, (*xs, *weights, bias, pointwise))
    assert gradgradcheck(run, (*xs, *weights, bias, pointwise))


def test_cells_outside_the_video_are_one_differentiable_constant():
    xs, weights, bias, pointwise = make_inputs()
    layer = make_layer()
    cells = layer.to_map(layer(xs, weights, bias, pointwise))
    duration, start = np.mgrid[:ROWS, :SIZE]
    outside = torch.from_numpy(duration + start >= SIZE)
    constant = pointwise @ bias.relu()
    torch.testing.assert_close(
        cells[:, :, outside], constant[None, :, None].expand(2, -1, outside.sum())
    )
    grads = torch.autograd.grad(cells[:, :, outside].sum(), [bias, pointwise, *xs, *weights])
    number = 2 * outside.sum()
    torch.testing.assert_close(grads[0], number * pointwise.sum(0) * (bias > 0))
    torch.testing.assert_close(grads[1], number * bias.relu().expand_as(pointwise))
    assert not any(grad.any() for grad in grads[2:])


def test_cells_outside_the_video_may_have_samples_of_their_own():
    x, weight, bias, _ = make_inputs()
    inside = bmn_weights().toarray()
    first = np.tile(np.eye(SIZE)[:, :1], (1, SAMPLES[0])).reshape(
        1, -1
    )  # every sample reads position 0
    layer = FoldedSampling(
        [csr_array(np.concatenate([inside, first]).astype('f4'))], SIZE, ROWS
    ).double()
    rows = layer(x, weight, bias)
    torch.testing.assert_close(rows[:, :-1], make_layer()(x, weight, bias)[:, :-1])
    expected = (torch.einsum('bc,hcn->bh', x[0][:, :, 0], weight[0]) + bias).relu()
    torch.testing.assert_close(layer.to_map(rows)[:, :, -1, -1], expected)


@pytest.mark.parametrize('product', PRODUCTS)
def test_autograd_keeps_neither_tables_nor_maps(product):
    xs, weights, bias, pointwise = make_inputs()
    layer, kept = make_layer(product=product), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        layer(xs, weights, bias, pointwise)
    rows = len(valid_cells(SIZE, ROWS)[0]) + 1
    allowed = {rows * 2 * 4, rows * 2 * 2, xs[0].numel()}  # activations by chunk, features
    parameters = max(w.numel() for w in weights)
    assert all(shape.numel() in allowed or shape.numel() <= parameters for shape in kept)


def test_nothing_is_stored():
    layer = make_layer(product='dense')
    layer(*make_inputs())  # makes the dense matrix
    assert not layer.state_dict() and not list(layer.parameters())


@pytest.mark.parametrize('product', PRODUCTS)
def test_other_dtypes(product):
    layer = make_layer(product=product)
    rows = layer.combine.rows
    assert rows.values.dtype == torch.double and rows.columns.dtype == torch.int32
    (x,), (weight,), bias, pointwise = make_inputs()
    expected = layer([x], [weight], bias, pointwise)
    gradients = torch.autograd.grad(expected.square().sum(), [x, weight, bias, pointwise])
    layer = layer.float()
    inputs = x, weight, bias, pointwise = [
        v.detach().float().requires_grad_() for v in (x, weight, bias, pointwise)
    ]
    torch.testing.assert_close(
        layer([x], [weight], bias, pointwise), expected.float(), rtol=1e-5, atol=1e-5
    )
    with torch.autocast('cpu', torch.bfloat16):
        mixed = layer([x], [weight], bias, pointwise)
    assert mixed.dtype == torch.bfloat16  # nothing is widened on the way
    torch.testing.assert_close(mixed.double(), expected, rtol=0.05, atol=0.1)
    for mine, exact in zip(torch.autograd.grad(mixed.square().sum(), inputs), gradients):
        assert mine.dtype == torch.float32
        # Two digits and a half of every factor; a sign of a ReLU that turns costs more.
        assert (mine - exact).norm() < 0.03 * exact.norm()


@pytest.mark.parametrize('product', PRODUCTS)
def test_sums_in_half_precision_are_wider(product):
    """Of 2,000 ones a sum in bfloat16 stops at 256."""
    matrix = FixedMatrix(csr_array(np.ones((1, 2000), dtype='f4')))
    result = matrix(torch.ones(2, 2000, 3, dtype=torch.bfloat16), product)
    torch.testing.assert_close(result.float(), torch.full((2, 1, 3), 2000.0), rtol=0.01, atol=0)


def test_the_dense_matrix_follows_precision_and_is_not_copied():
    matrix = FixedMatrix(csr_array(np.eye(3, 5, dtype='f4')))
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        x = torch.randn(2, 5, 4, dtype=dtype)
        assert torch.equal(matrix(x, 'dense'), x[:, :3])
    for other in (copy.deepcopy(matrix), pickle.loads(pickle.dumps(matrix))):
        assert other._dense is None and torch.equal(other(x, 'dense'), x[:, :3])


def test_training_after_inference_mode():
    xs, weights, bias, pointwise = make_inputs()
    layer = make_layer(product='dense')
    with torch.inference_mode():
        layer(xs, weights, bias, pointwise)
    layer(xs, weights, bias, pointwise).sum().backward()
    assert xs[0].grad.isfinite().all()


def test_an_unknown_product():
    with pytest.raises(ValueError, match="product='csr': expected one of .*'batch'"):
        make_layer(product='csr')(*make_inputs())


class Features:
    """What a plan looks at, of a device that is not there."""

    def __init__(self, kind: str, batch: int, dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype, self.batch = torch.device(kind), dtype, batch

    def __len__(self) -> int:
        return self.batch


@pytest.mark.parametrize(
    ('kind', 'batch', 'dtype', 'tf32', 'expected'),
    [
        ('cpu', 8, torch.float32, True, Plan('items', 64)),
        ('cpu', 8, torch.bfloat16, True, Plan('items', 64)),
        ('cuda', 8, torch.float32, False, Plan('batch', 512)),
        ('cuda', 8, torch.float64, True, Plan('batch', 512)),
        ('cuda', 8, torch.float32, True, Plan('dense', 512)),
        ('cuda', 8, torch.bfloat16, False, Plan('dense', 512)),
        ('cuda', 128, torch.bfloat16, False, Plan('dense', 512)),
        ('cuda', 256, torch.float32, True, Plan('dense', 192)),
        ('cuda', 10**6, torch.float32, True, Plan('dense', 64)),
    ],
)
def test_the_plan_is_that_of_the_device(kind, batch, dtype, tf32, expected):
    matrix = FixedMatrix(csr_array((5051, 3200), dtype='f4'))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('high' if tf32 else 'highest')
    try:
        assert matrix.plan(Features(kind, batch, dtype), channels=512, chunk=64) == expected
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_matrix_that_is_too_large_stays_sparse():
    matrix = FixedMatrix(csr_array((14369, 8192), dtype='f4'))
    plan = matrix.plan(Features('cuda', 8, torch.bfloat16), channels=512, chunk=64)
    assert plan == Plan('dense', 512)  # 235 MB
    matrix = FixedMatrix(csr_array((14369, 16384), dtype='f4'))
    assert matrix.plan(Features('cuda', 8, torch.bfloat16), 512, 64) == Plan('batch', 512)


def test_wrong_weights_and_features():
    with pytest.raises(
        ValueError, match=r'the weights have \[25\] rows, expected one for each of the 18'
    ):
        FoldedSampling([bmn_weights()], SIZE, max_duration=3)
    xs, weights, bias, _ = make_inputs()
    with pytest.raises(ValueError, match=r'got 24 rows .* were made for 28: resize the features'):
        make_layer()([xs[0][..., :-1]], weights, bias)
