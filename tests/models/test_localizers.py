"""Neck-aware localizers against mmaction2's own."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.models.localizers.bmn import BMN as StockBMN
from mmaction.models.localizers.bsn import TEM as StockTEM
from mmaction.models.localizers.tcanet import TCANet as StockTCANet
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from sola_plugin.models.localizers import BMN, TEM, TCANet
from tests.conftest import CHANNELS, TINY_BMN, TINY_MATCHER

SOLA = dict(type='SoLa', hidden_channels=4, kernel_sizes=(3, 1))
TINY_TEM = dict(type='TEM', temporal_dim=20, boundary_ratio=0.1, tem_feat_dim=CHANNELS,
                tem_hidden_dim=8, tem_match_threshold=0.5)
TINY_TCANET = dict(type='TCANet', feat_dim=CHANNELS, temporal_dim=20, window_size=5, lgte_num=1,
                   se_sample_num=4, action_sample_num=4)


def make_sample(index: int, number: int = 3) -> ActionDataSample:
    rng = np.random.default_rng(index)
    sample = ActionDataSample()
    sample.gt_instances = InstanceData(gt_bbox=torch.from_numpy(np.sort(rng.random((number, 2)), 1)))
    proposals = np.concatenate([np.sort(rng.random((7, 2)), 1), rng.random((7, 1))], 1)
    sample.proposals = InstanceData(proposals=torch.from_numpy(proposals).float())
    sample.set_metainfo(dict(video_name=f'v_{index}', duration_frame=1000, duration_second=33.3,
                             feature_frame=992))
    return sample


@pytest.fixture
def batch() -> tuple[list[torch.Tensor], list[ActionDataSample]]:
    torch.manual_seed(0)
    return [torch.randn(CHANNELS, 20) for _ in range(3)], [make_sample(i) for i in range(3)]


def seeded(function, *args, **kwargs):
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


@pytest.mark.parametrize(('stock', 'ours', 'config'), [
    (StockBMN, BMN, TINY_BMN), (StockTEM, TEM, TINY_TEM), (StockTCANet, TCANet, TINY_TCANET)])
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


@pytest.mark.parametrize(('stock', 'config'), [(StockBMN, TINY_BMN), (StockTCANet, TINY_TCANET)])
def test_predicts_the_whole_batch_like_mmaction2_one_by_one(stock, config, batch):
    inputs, samples = batch
    theirs, ours = build_pair(stock, config)
    with torch.no_grad():
        results = ours(inputs, samples, 'predict')
        assert [r['video_name'] for r in results] == ['v_0', 'v_1', 'v_2']
        for index, result in enumerate(results):
            expected, = theirs(inputs[index:index + 1], samples[index:index + 1], 'predict')
            ours_list, their_list = result['proposal_list'], expected['proposal_list']
            assert len(ours_list) == len(their_list) > 0
            for a, b in zip(ours_list, their_list):
                assert a['score'] == pytest.approx(b['score'], abs=1e-6)
                assert a['segment'] == pytest.approx(b['segment'], abs=1e-4)


def test_stock_checkpoints_load_both_ways():
    theirs, ours = build_pair(StockBMN, TINY_BMN)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())


def test_bmn_labels_equal_mmaction2s():
    theirs, ours = build_pair(StockBMN, TINY_BMN)
    segments = [torch.from_numpy(np.sort(np.random.default_rng(i).random((i, 2)), 1)) for i in (1, 2, 9)]
    assert_same(theirs.generate_labels(segments), ours.generate_labels(segments))


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
    torch.nn.init.constant_(model.neck.alpha, 1.)
    inputs = [torch.randn(CHANNELS, length) for length in (33, 20, 7, 1)]
    whole = model(inputs, None, 'tensor')
    for index, video in enumerate(inputs):
        for a, b in zip(whole, model([video], None, 'tensor')):
            torch.testing.assert_close(a[index:index + 1], b, rtol=1e-5, atol=1e-6)


def test_max_duration_keeps_the_first_rows(batch):
    _, full = build_pair(StockBMN, TINY_BMN)
    short = MODELS.build({**TINY_BMN, 'max_duration': 6})
    gt = [s.gt_instances['gt_bbox'] for s in batch[1]]
    assert torch.equal(short.generate_labels(gt)[0], full.generate_labels(gt)[0][:, :6])
    assert torch.equal(short.bm_mask, full.bm_mask[:6])
    sampled = full.sample_mask.view(20, 4, 20, 20)[:, :, :6].reshape(20, -1)
    assert torch.equal(short.sample_mask, sampled)
    confidence, start, end = short(batch[0], batch[1], 'tensor')
    assert confidence.shape == (3, 2, 6, 20) and start.shape == end.shape == (3, 20)
    with torch.no_grad():
        for result in short(*batch, 'predict'):
            lengths = [np.diff(p['segment'])[0] for p in result['proposal_list']]
            assert 0 < max(lengths) <= 6 / 20 * 33.3 + 1e-6


@pytest.mark.parametrize('value', [0, 21])
def test_max_duration_out_of_range(value):
    with pytest.raises(ValueError, match=f'max_duration={value} must be between 1 and temporal_dim=20'):
        MODELS.build({**TINY_BMN, 'max_duration': value})


def test_no_truth_and_no_match_give_a_finite_loss(batch):
    inputs, samples = batch
    model = MODELS.build(TINY_BMN)
    for segments in (torch.zeros(0, 2), torch.tensor([[.501, .502]])):
        for sample in samples:
            sample.gt_instances = InstanceData(gt_bbox=segments.double())
        with pytest.warns(UserWarning, match='no cell of a batch has a tIoU above 0.7'):
            loss = model(inputs, samples, 'loss')['loss']
        loss.backward()
        assert loss.isfinite() and all(p.grad is None or p.grad.isfinite().all()
                                       for p in model.parameters())


def test_joint_adds_the_similarity_loss(batch):
    config = {**TINY_BMN, 'neck': SOLA, 'similarity_matching': dict(weight=2., **TINY_MATCHER)}
    model = MODELS.build(config)
    torch.nn.init.constant_(model.neck.alpha, 1.)
    losses = seeded(model, *batch, 'loss')
    assert set(losses) == {'loss', 'loss_similarity'}
    losses['loss_similarity'].backward()
    assert model.neck.alpha.grad.abs() > 0
    assert all(p.grad is not None for p in model.predictor.parameters())
    assert {key.split('.')[0] for key in model.state_dict()} >= {'neck', 'predictor'}
    assert len([key for key in model.state_dict() if key.endswith('alpha')]) == 1
    double = seeded(model, *batch, 'loss')['loss_similarity']
    model._weight = 1.
    assert double.item() == pytest.approx(2 * seeded(model, *batch, 'loss')['loss_similarity'].item())


def test_joint_without_a_long_enough_video():
    model = MODELS.build({**TINY_BMN, 'neck': SOLA, 'similarity_matching': TINY_MATCHER})
    losses = model([torch.randn(CHANNELS, 5)], [make_sample(0)], 'loss')
    assert losses['loss_similarity'] == 0


@pytest.mark.parametrize(('extra', 'message'), [
    (dict(neck=dict(type='SoLa', in_channels=2048)), 'in_channels=2048, the localizer expects 16'),
    (dict(similarity_matching=dict()), 'similarity_matching needs a neck'),
])
def test_bad_config(extra, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build({**TINY_BMN, **extra})


def test_wrong_channels_name_the_video():
    with pytest.raises(ValueError, match=(r"features of 'v_0' are \(400, 20\), the localizer expects "
                                          r'\(16, T\): set feat_dim')):
        MODELS.build(TINY_BMN)([torch.zeros(400, 20)], [make_sample(0)], 'tensor')
