"""Neck-aware localizers against mmaction2's own."""

from __future__ import annotations

import pytest
import torch
from mmaction.models.localizers.bsn import TEM as StockTEM
from mmaction.models.localizers.tcanet import TCANet as StockTCANet
from mmaction.registry import MODELS

from sola_plugin.heads import TEM, TCANet
from tests.conftest import CHANNELS, TINY_BMN, TINY_MATCHER
from tests.heads.pairs import assert_same, assert_same_proposals, build_pair, make_sample, seeded

SOLA = dict(type='SoLa', hidden_channels=4, kernel_sizes=(3, 1))
TINY_TEM = dict(
    type='TEM',
    temporal_dim=20,
    boundary_ratio=0.1,
    tem_feat_dim=CHANNELS,
    tem_hidden_dim=8,
    tem_match_threshold=0.5,
)
TINY_TCANET = dict(
    type='TCANet',
    feat_dim=CHANNELS,
    temporal_dim=20,
    window_size=5,
    lgte_num=1,
    se_sample_num=4,
    action_sample_num=4,
)


@pytest.mark.parametrize(
    ('stock', 'ours', 'config'), [(StockTEM, TEM, TINY_TEM), (StockTCANet, TCANet, TINY_TCANET)]
)
def test_without_a_neck_it_is_mmaction2s_to_the_bit(stock, ours, config, batch):
    inputs, samples = batch
    theirs, model = build_pair(stock, config)
    assert type(model) is ours and ours is not stock
    assert_same(theirs.state_dict(), model.state_dict())
    for mode in ('tensor', 'loss'):
        a, b = (seeded(m, inputs, samples, mode) for m in (theirs, model))
        assert_same(a, b)
    for m in (theirs, model):
        sum(seeded(m, inputs, samples, 'loss').values()).backward()
    for (name, p), q in zip(theirs.named_parameters(), model.parameters()):
        assert (p.grad is None and q.grad is None) or torch.equal(p.grad, q.grad), name


def test_predicts_the_whole_batch_like_mmaction2_one_by_one(batch):
    inputs, samples = batch
    theirs, ours = build_pair(StockTCANet, TINY_TCANET)
    with torch.no_grad():
        results = ours(inputs, samples, 'predict')
        assert [r['video_name'] for r in results] == ['v_0', 'v_1', 'v_2']
        for index, result in enumerate(results):
            (expected,) = theirs(inputs[index : index + 1], samples[index : index + 1], 'predict')
            assert_same_proposals(expected['proposal_list'], result['proposal_list'])


@pytest.mark.parametrize('config', [TINY_BMN, TINY_TEM, TINY_TCANET])
def test_literal_neck_line(config, batch):
    model = MODELS.build({**config, 'neck': dict(type='SoLa')})
    assert model.neck.in_channels == CHANNELS and model.neck.hidden_channels == 512
    loss = sum(model(*batch, 'loss').values())
    loss.backward()
    assert model.neck.alpha.grad is not None


def test_fresh_sola_changes_nothing(batch):
    plain, neck = (seeded(MODELS.build, {**TINY_BMN, **extra}) for extra in ({}, dict(neck=SOLA)))
    assert_same(plain(*batch, 'tensor'), neck(*batch, 'tensor'))


def test_lengths_in_a_batch_do_not_matter():
    model = MODELS.build({**TINY_BMN, 'neck': SOLA})
    torch.nn.init.constant_(model.neck.alpha, 1.0)
    inputs = [torch.randn(CHANNELS, length) for length in (33, 20, 7, 1)]
    whole = model(inputs, None, 'tensor')
    for index, video in enumerate(inputs):
        for a, b in zip(whole, model([video], None, 'tensor')):
            torch.testing.assert_close(a[index : index + 1], b, rtol=1e-5, atol=1e-6)


def test_joint_adds_the_similarity_loss(batch):
    config = {**TINY_BMN, 'neck': SOLA, 'similarity_matching': dict(weight=2.0, **TINY_MATCHER)}
    model = MODELS.build(config)
    torch.nn.init.constant_(model.neck.alpha, 1.0)
    losses = seeded(model, *batch, 'loss')
    assert set(losses) == {'loss', 'loss_similarity'}
    losses['loss_similarity'].backward()
    assert model.neck.alpha.grad.abs() > 0
    assert all(p.grad is not None for p in model.predictor.parameters())
    assert {key.split('.')[0] for key in model.state_dict()} >= {'neck', 'predictor'}
    assert len([key for key in model.state_dict() if key.endswith('alpha')]) == 1
    double = seeded(model, *batch, 'loss')['loss_similarity']
    model._weight = 1.0
    assert double.item() == pytest.approx(
        2 * seeded(model, *batch, 'loss')['loss_similarity'].item()
    )


def test_joint_without_a_long_enough_video():
    model = MODELS.build({**TINY_BMN, 'neck': SOLA, 'similarity_matching': TINY_MATCHER})
    losses = model([torch.randn(CHANNELS, 5)], [make_sample(0)], 'loss')
    assert losses['loss_similarity'] == 0


@pytest.mark.parametrize(
    ('extra', 'message'),
    [
        (
            dict(neck=dict(type='SoLa', in_channels=2048)),
            'in_channels=2048, the localizer expects 16',
        ),
        (dict(similarity_matching=dict()), 'similarity_matching needs a neck'),
    ],
)
def test_bad_config(extra, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build({**TINY_BMN, **extra})


def test_wrong_channels_name_the_video():
    with pytest.raises(
        ValueError,
        match=(
            r"features of 'v_0' are \(400, 20\), the localizer expects "
            r'\(16, T\): set feat_dim'
        ),
    ):
        MODELS.build(TINY_BMN)([torch.zeros(400, 20)], [make_sample(0)], 'tensor')


@pytest.mark.parametrize(
    'config',
    [
        TINY_BMN,
        dict(
            type='GTAD',
            temporal_dim=20,
            hidden_dim_1d=8,
            hidden_dim_2d=4,
            hidden_dim_3d=8,
            num_samples=4,
            num_context_samples=3,
            groups=4,
        ),
    ],
    ids=['BMN', 'GTAD'],
)
@pytest.mark.parametrize('channels', [1, 11, 18])
def test_channels_that_no_four_divide_are_those_of_a_wider_head_with_zeros(config, channels):
    """Scores of 18 classes: mmaction2's first convolution has four groups."""
    wider = -(-channels // 4) * 4
    narrow, wide = (
        MODELS.build({**config, 'feat_dim': number}).eval() for number in (channels, wider)
    )
    wide.load_state_dict(narrow.state_dict())
    inputs = torch.randn(2, channels, 20)
    filled = torch.cat([inputs, torch.zeros(2, wider - channels, 20)], dim=1)
    samples = [make_sample(i) for i in range(2)]
    for a, b in zip(narrow(inputs, samples, 'tensor'), wide(filled, samples, 'tensor')):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    # The neck has the channels of the features.
    neck = dict(type='SoLa', hidden_channels=4, kernel_sizes=(3, 1))
    with_neck = MODELS.build({**config, 'feat_dim': channels, 'neck': neck})
    assert with_neck.neck.in_channels == channels
    losses = with_neck(list(inputs), samples, 'loss')
    assert losses and all(torch.isfinite(loss) for loss in losses.values())
