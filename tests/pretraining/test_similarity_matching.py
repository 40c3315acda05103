"""Similarity matching: target, TSM, loss and the model."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from sola_plugin.necks import SoLa
from sola_plugin.pretraining.losses import (
    interval_target,
    similarity_matching_loss,
    temporal_similarity,
)
from sola_plugin.pretraining.tasks import SimilarityMatcher


@pytest.fixture(params=[False, True], ids=['convolution', 'matmul'])
def official(reference_sola, request) -> tuple[SimilarityMatcher, torch.Tensor]:
    """Our matcher with the weights of the reference, and its windows ``(B, C, 23)``."""
    matcher = SimilarityMatcher(
        SoLa(in_channels=32, hidden_channels=16), predictor_channels=16, as_matmul=request.param
    )
    for module, prefix in ((matcher.neck, 'neck.'), (matcher.predictor, 'predictor.network.')):
        module.load_state_dict(
            {
                key[len(prefix) :]: torch.from_numpy(value)
                for key, value in reference_sola.items()
                if key.startswith(prefix)
            }
        )
    return matcher, torch.from_numpy(reference_sola['x']).transpose(1, 2)


def test_settings_are_those_of_the_reference(official, reference_sola):
    matcher, _ = official
    assert [
        matcher.window,
        matcher.num_positions,
        matcher.step,
        matcher.start,
        matcher.k,
    ] == reference_sola['meta'].tolist()
    np.testing.assert_allclose(matcher.target, reference_sola['target'], atol=1e-6)


def test_tsm_and_gradients_equal_the_authors(official, reference_sola):
    matcher, x = official
    np.testing.assert_allclose(matcher(x, mode='tensor').detach(), reference_sola['tsm'], atol=1e-6)
    matcher(x)['loss'].backward()
    for name, parameter in matcher.named_parameters():
        expected = reference_sola[f'grad.{name.replace("predictor.", "predictor.network.")}']
        np.testing.assert_allclose(parameter.grad, expected, rtol=1e-4, atol=1e-7, err_msg=name)


@pytest.mark.parametrize('fused', [False, True])
def test_twenty_steps_equal_the_authors(official, reference_sola, fused):
    matcher, x = official
    optimizer, losses = torch.optim.AdamW(matcher.parameters(), lr=1e-3, fused=fused), []
    for _ in range(20):
        optimizer.zero_grad()
        loss = matcher(x)['loss']
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, reference_sola['losses'], rtol=0, atol=1e-5)
    y = matcher.neck(x).transpose(1, 2).detach()
    np.testing.assert_allclose(y, reference_sola['y_final'], atol=1e-5)


def test_target_by_its_definition():
    target = interval_target(6, 16.0)
    for i in range(6):
        for j in range(6):
            expected = 1.0 if i == j else 1 / (1 + math.exp(-16 / (i - j) ** 2))
            assert target[i, j] == pytest.approx(expected, abs=1e-6)
    assert interval_target(400, 16.0)[0, -1] == pytest.approx(0.5, abs=1e-4)  # far: cosine 0


@pytest.mark.parametrize(('length', 'k'), [(0, 16.0), (8, 0.0), (8, -1.0)])
def test_target_bad_arguments(length, k):
    with pytest.raises(ValueError, match='expected length >= 1 and k > 0, got'):
        interval_target(length, k)


def test_tsm_by_its_definition():
    z, p = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    tsm = temporal_similarity(z, p)
    for b, i, j in np.ndindex(2, 3, 3):
        expected = (1 + torch.cosine_similarity(z[b, i], p[b, j], dim=0)) / 2
        assert tsm[b, i, j] == pytest.approx(expected.item(), abs=1e-6)


def test_tsm_limits():
    z = torch.eye(2)[None]
    tsm = temporal_similarity(z, torch.stack([z[0, 0], -z[0, 1]])[None].requires_grad_())
    assert tsm[0].tolist() == [[pytest.approx(1 - 1e-5), 0.5], [0.5, pytest.approx(1e-5)]]
    p = z.clone().requires_grad_()
    temporal_similarity(z, p)[0].diagonal().sum().backward()
    assert (p.grad == 0).all()  # clamped entries pass no gradient


def test_tsm_bad_shapes():
    with pytest.raises(ValueError, match=r'expected two tensors \(B, L, C\), got'):
        temporal_similarity(torch.zeros(1, 3, 5), torch.zeros(1, 4, 5))


def test_loss_by_its_definition():
    tsm, target = torch.rand(4, 3, 3) * 0.9 + 0.05, interval_target(3, 2.0)
    expected = -(target * tsm.log() + (1 - target) * (1 - tsm).log()).mean()
    assert similarity_matching_loss(tsm, target).item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(ValueError, match=r'expected a target \(3, 3\) like the TSM, got \(4, 4\)'):
        similarity_matching_loss(tsm, interval_target(4, 2.0))


def test_gradcheck():
    z, p = (torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    target = interval_target(4, 3.0).double()
    assert torch.autograd.gradcheck(
        lambda a, b: similarity_matching_loss(temporal_similarity(a, b), target), (z, p)
    )


def test_half_precision_keeps_the_loss_in_float32():
    matcher = SimilarityMatcher(
        SoLa(in_channels=8, hidden_channels=8), predictor_channels=None, stop_gradient=False
    )
    x = torch.randn(4, 8, 23)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        tsm, loss = matcher(x, mode='tensor'), matcher(x)['loss']
    assert tsm.dtype == loss.dtype == torch.float32
    # In bfloat16 the diagonal would round to 1, and the cross entropy with it to 0 or infinity.
    assert tsm.diagonal(dim1=1, dim2=2).max() < 1 and loss.isfinite()
    assert loss.item() == pytest.approx(matcher(x)['loss'].item(), rel=1e-2)


@pytest.mark.parametrize('as_matmul', [False, True])
@pytest.mark.parametrize('options', [dict(), dict(kernel_sizes=(3, 3)), dict(standardize=True)])
def test_the_order_of_windows_in_memory_changes_no_bit(as_matmul, options):
    """A batch that was cut in one call lies as (B, T, C); one that was stacked as (B, C, T)."""
    torch.manual_seed(0)
    neck = SoLa(in_channels=70, hidden_channels=40, **options)
    torch.nn.init.constant_(neck.alpha, 0.5)
    matcher = SimilarityMatcher(neck, predictor_channels=50, as_matmul=as_matmul)
    rows = torch.randn(9, 23, 70)
    results = []
    for x in (rows.transpose(1, 2), rows.transpose(1, 2).contiguous()):
        loss = copy.deepcopy(matcher)(x)['loss']
        matcher.zero_grad()
        matcher(x)['loss'].backward()
        results.append([loss, *(parameter.grad.clone() for parameter in matcher.parameters())])
    assert all(map(torch.equal, *results))


def test_as_matmul_is_how_and_not_what():
    neck = SoLa(in_channels=6, hidden_channels=4)
    settings = SimilarityMatcher(neck, as_matmul=True).settings
    assert settings == SimilarityMatcher(neck).settings
    assert 'as_matmul' not in settings


def test_stop_gradient_stops_the_rows_only():
    torch.manual_seed(0)
    x, neck = torch.randn(4, 6, 23), SoLa(in_channels=6, hidden_channels=4)
    torch.nn.init.constant_(neck.alpha, 0.5)
    gradients = {}
    for stop in (True, False):
        matcher = SimilarityMatcher(neck, predictor_channels=None, stop_gradient=stop)
        (gradients[stop],) = torch.autograd.grad(matcher(x)['loss'], [neck.alpha])
    # Without a predictor the TSM is symmetric: rows and columns have equal shares of the gradient.
    assert gradients[False].item() == pytest.approx(2 * gradients[True].item(), rel=1e-4)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(start=10), r'positions 10, ..., 24 of step=2 must lie inside a window of 23'),
        (dict(num_positions=1), 'must lie inside'),
        (dict(step=0), 'must lie inside'),
    ],
)
def test_bad_geometry(options, message):
    with pytest.raises(ValueError, match=message):
        SimilarityMatcher(SoLa(in_channels=6), **options)


def test_bad_windows_and_mode():
    matcher = SimilarityMatcher(SoLa(in_channels=6, hidden_channels=4))
    with pytest.raises(ValueError, match=r'expected windows \(B, C, 23\), got \(2, 6, 22\)'):
        matcher(torch.zeros(2, 6, 22))
    with pytest.raises(ValueError, match="modes loss and tensor, got 'predict'"):
        matcher(torch.zeros(2, 6, 23), mode='predict')


def test_checkpoint_has_neck_and_predictor_only():
    matcher = SimilarityMatcher(SoLa(in_channels=6, hidden_channels=4), predictor_channels=5)
    assert {key.split('.')[0] for key in matcher.state_dict()} == {'neck', 'predictor'}
