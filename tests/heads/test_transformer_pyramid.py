"""Masked layers, local attention and the pyramid."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sola_plugin.heads.actionformer import layout
from sola_plugin.heads.actionformer.attention import ChannelNorm, LocalSelfAttention, MaskedConv1d
from sola_plugin.heads.actionformer.local_attention import local_attention, row_attention
from sola_plugin.heads.actionformer.points import PointHead
from sola_plugin.heads.actionformer.position import sinusoids
from sola_plugin.heads.actionformer.pyramid import Residual, TransformerPyramid


def prefix_mask(lengths: list[int]) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def banded_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, window: int | None
) -> Tensor:
    """Attention by its definition, with a matrix over all pairs of positions."""
    weight = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    visible = mask[:, None, None, :].expand_as(weight)
    if window is not None:
        offset = torch.arange(query.shape[2]) - torch.arange(query.shape[2])[:, None]
        visible = visible & (-offset <= window // 2) & (offset <= (window - 1) // 2)
    # What a padded position gets is not looked at, but it must not be NaN.
    visible = visible | ~mask[:, None, :, None]
    return weight.masked_fill(~visible, -math.inf).softmax(-1) @ value


def attention_by_rows(query, key, value, mask, window):
    """With the interface of the other one."""
    parts = torch.stack([part.transpose(1, 2) for part in (query, key, value)])
    return row_attention(parts, mask, window).transpose(1, 2)


@pytest.fixture(params=layout.LAYOUTS)
def each_layout(request):
    """Once by channels, once by rows."""
    with layout.use(request.param):
        yield request.param


@pytest.mark.parametrize('attention', [local_attention, attention_by_rows])
@pytest.mark.parametrize('window', [1, 2, 3, 4, 9, 24, 25, 70, None])
@pytest.mark.parametrize(
    ('lengths', 'is_full'),
    [
        ([1], False),
        ([1], True),
        ([2, 1], False),
        ([13, 7, 3], False),
        ([24, 24], True),
        ([40, 5], False),
        ([150, 100], False),
        ([150, 150], True),
    ],
)
def test_local_attention_equals_a_band_of_full_attention(attention, window, lengths, is_full):
    torch.manual_seed(0)
    mask = prefix_mask(lengths)
    inputs = [
        torch.randn(len(lengths), 2, max(lengths), 4, dtype=torch.float64, requires_grad=True)
        for _ in range(3)
    ]
    got = attention(*inputs, None if is_full else mask, window)
    expected = banded_attention(*inputs, mask, window)
    real = mask[:, None, :, None].expand_as(got)
    torch.testing.assert_close(got[real], expected[real], rtol=1e-12, atol=1e-12)
    assert got.isfinite().all()
    weight = torch.randn_like(expected[real])
    for a, b in zip(
        torch.autograd.grad((got[real] * weight).sum(), inputs),
        torch.autograd.grad((expected[real] * weight).sum(), inputs),
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_window_counts_positions():
    """An even window has one position more before than after."""
    value = torch.eye(9)[None, None]
    zeros, mask = torch.zeros(1, 1, 9, 9), torch.ones(1, 9, dtype=torch.bool)
    for window, seen in ((1, [4]), (2, [3, 4]), (3, [3, 4, 5]), (4, [2, 3, 4, 5])):
        weight = local_attention(zeros, zeros, value, mask, window)[0, 0, 4]
        assert weight.nonzero().flatten().tolist() == seen
        assert weight[seen].tolist() == pytest.approx([1 / window] * window)


@pytest.mark.parametrize('stride', [1, 2])
def test_masked_conv_reads_no_padding(stride, each_layout):
    conv, lengths = MaskedConv1d(3, 5, 3, stride), [9, 4, 1]
    x, mask = torch.randn(3, 3, 9), prefix_mask([9, 4, 1])
    y, new_mask = conv(x, mask)
    for row, length in enumerate(lengths):
        alone, _ = conv(x[row : row + 1, :, :length], mask[row : row + 1, :length])
        assert new_mask[row].sum() == alone.shape[2] == -(-length // stride)
        torch.testing.assert_close(y[row : row + 1, :, : alone.shape[2]], alone)


def test_channel_norm_is_layer_norm_of_each_position():
    x = torch.randn(2, 6, 7)
    torch.testing.assert_close(
        ChannelNorm(6)(x)[1, :, 3], nn.functional.layer_norm(x[1, :, 3], (6,))
    )


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(windows=3),
        dict(windows=4),
        dict(windows=[3, 5, None]),
        dict(position_encoding=True),
        dict(windows=3, num_convs=0, num_stem_blocks=0),
    ],
)
def test_a_video_does_not_depend_on_its_batch(options, each_layout):
    torch.manual_seed(0)
    pyramid = TransformerPyramid(8, 8, 3, num_heads=2, residual_scale=1.0, **options).double()
    lengths = [13, 12, 5, 2, 1]
    mask = prefix_mask(lengths)
    x = torch.randn(5, 8, 13, dtype=torch.float64)
    levels = pyramid(x, mask)  # what stands in the padding must not matter
    assert [level.shape[2] for level, _ in levels] == [13, 7, 4]
    for row, length in enumerate(lengths):
        alone = pyramid(x[row : row + 1, :, :length], mask[row : row + 1, :length])
        for (batched, batched_mask), (single, single_mask) in zip(levels, alone):
            size = single.shape[2]
            assert batched_mask[row].tolist() == [True] * size + [False] * (batched.shape[2] - size)
            assert single_mask.all()
            torch.testing.assert_close(batched[row, :, :size], single[0], rtol=1e-10, atol=1e-10)


def test_padding_has_no_gradient(each_layout):
    pyramid = TransformerPyramid(4, 4, 3, num_heads=1, windows=3, residual_scale=1.0)
    x, mask = torch.randn(2, 4, 11, requires_grad=True), prefix_mask([11, 6])
    sum(
        (level * level_mask[:, None]).square().sum() for level, level_mask in pyramid(x, mask)
    ).backward()
    assert x.grad.isfinite().all()
    assert (x.grad[1, :, 6:] == 0).all() and (x.grad[1, :, :6] != 0).any()


def test_attention_is_local(each_layout):
    """With a window of 3 a change reaches: convolutions 2 to each side, attention 1."""
    attention = LocalSelfAttention(4, 2, window=3).double()
    x, mask = torch.randn(1, 4, 15, dtype=torch.float64), torch.ones(1, 15, dtype=torch.bool)
    changed = x.clone()
    changed[:, :, 7] += 1
    difference = (attention(x, mask)[0] != attention(changed, mask)[0]).any(1)[0]
    assert difference.nonzero().flatten().tolist() == [5, 6, 7, 8, 9]


def test_sinusoids_by_their_definition():
    table = sinusoids(5, 6)
    for channel in range(6):
        for position in range(5):
            angle = position / 10000 ** ((channel - channel % 2) / 6)
            expected = math.cos(angle) if channel % 2 else math.sin(angle)
            assert table[channel, position].item() == pytest.approx(expected, abs=1e-6)


def test_stochastic_depth_keeps_the_mean(each_layout):
    torch.manual_seed(0)
    residual = Residual(2, drop_path=0.25, scale=1.0)
    x = torch.full((4000, 2, 3), 5.0)
    out = residual(x, torch.ones(4000, 2, 3)) - 5
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(residual.eval()(x, torch.ones(4000, 2, 3)), x + 1)


def test_point_head_joins_the_levels(each_layout):
    head = PointHead(4, 8, 3, bias=-2.0)
    levels = [(torch.randn(2, 4, size), torch.ones(2, size, dtype=torch.bool)) for size in (5, 3)]
    out = head(levels)
    assert out.shape == (2, 8, 3)
    torch.testing.assert_close(out[:, 5:], head(levels[1:]))
    assert torch.equal(head.last.bias, torch.full((3,), -2.0))


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (
            lambda: TransformerPyramid(4, 4, 3, windows=[3, 3]),
            'one window for each of the 3 levels',
        ),
        (lambda: LocalSelfAttention(6, 4), 'channels=6 must be a multiple of num_heads=4'),
        (lambda: LocalSelfAttention(4, 4, window=0), 'window=0 must be at least 1'),
        (lambda: MaskedConv1d(1, 1, 2), 'odd kernel_size, got 2'),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
