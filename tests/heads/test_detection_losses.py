"""Focal loss and distance-IoU loss."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sola_plugin.heads.actionformer.losses import diou_loss, sigmoid_focal_loss


@pytest.fixture
def entries() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return 4 * torch.randn(7, 3, dtype=torch.float64), torch.randint(2, (7, 3)).double()


def test_focal_without_focus_is_cross_entropy(entries):
    expected = F.binary_cross_entropy_with_logits(*entries, reduction='none')
    torch.testing.assert_close(sigmoid_focal_loss(*entries, alpha=None, gamma=0), expected)
    torch.testing.assert_close(sigmoid_focal_loss(*entries, alpha=0.5, gamma=0), expected / 2)


def test_focal_by_its_definition(entries):
    logits, targets = entries
    p_t = torch.where(targets > 0, logits.sigmoid(), 1 - logits.sigmoid())
    alpha_t = torch.where(targets > 0, 0.25, 0.75)
    torch.testing.assert_close(
        sigmoid_focal_loss(logits, targets), -alpha_t * (1 - p_t) ** 2 * p_t.log()
    )


def test_focal_of_sure_predictions():
    loss = sigmoid_focal_loss(
        torch.tensor([200.0, -200.0, 200.0, -200.0]), torch.tensor([1.0, 0.0, 0.0, 1.0])
    )
    assert loss.tolist() == pytest.approx([0, 0, 0.75 * 200, 0.25 * 200])


def test_focal_gradient(entries):
    logits, targets = entries
    for smooth in (targets, targets * 0.9 + 0.03):
        assert torch.autograd.gradcheck(
            lambda x, t=smooth: sigmoid_focal_loss(x, t), logits.clone().requires_grad_()
        )


def test_half_precision_is_not_used():
    logits, targets = torch.randn(5).half(), torch.ones(5).half()
    assert sigmoid_focal_loss(logits, targets).dtype == torch.float32
    assert diou_loss(targets[:4].view(2, 2), targets[:4].view(2, 2)).dtype == torch.float32


def diou_of_segments(a: tuple[float, float], b: tuple[float, float]) -> float:
    intersection = max(min(a[1], b[1]) - max(a[0], b[0]), 0)
    union = a[1] - a[0] + b[1] - b[0] - intersection
    hull = max(a[1], b[1]) - min(a[0], b[0])
    return 1 - intersection / union + ((sum(a) - sum(b)) / 2 / hull) ** 2


def test_diou_by_segments():
    torch.manual_seed(0)
    distances, targets = torch.rand(2, 20, 2, dtype=torch.float64) * 5
    expected = [
        diou_of_segments((7 - a, 7 + b), (7 - c, 7 + d))
        for (a, b), (c, d) in zip(distances.tolist(), targets.tolist())
    ]
    assert diou_loss(distances, targets).tolist() == pytest.approx(expected)


def test_diou_limits():
    target = torch.tensor([[1.0, 3.0]])
    assert diou_loss(target, target).item() == 0
    assert diou_loss(10 * target, 10 * target).item() == 0
    assert diou_loss(
        torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    ).item() == pytest.approx(1.25)
    zero = torch.zeros(1, 2, requires_grad=True)
    loss = diou_loss(zero, torch.zeros(1, 2))
    loss.sum().backward()
    assert loss.isfinite().all() and zero.grad.isfinite().all()


def test_diou_gradient():
    torch.manual_seed(0)
    targets = torch.rand(6, 2, dtype=torch.float64)
    distances = torch.rand(6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: diou_loss(x, targets), distances)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (
            lambda: sigmoid_focal_loss(torch.zeros(2, 3), torch.zeros(2, 1)),
            r'expected targets \(2, 3\)',
        ),
        (lambda: diou_loss(torch.zeros(2, 2), torch.zeros(3, 2)), r'got \(2, 2\) and \(3, 2\)'),
        (
            lambda: diou_loss(torch.zeros(2, 3), torch.zeros(2, 3)),
            r'expected two tensors \(..., 2\)',
        ),
    ],
)
def test_wrong_shapes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
