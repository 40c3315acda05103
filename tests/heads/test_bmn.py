"""BMN against mmaction2's: the same numbers, quirks included, and its faults mended."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from mmaction.models.localizers.bmn import BMN as StockBMN
from mmaction.registry import MODELS
from mmengine.runner import load_checkpoint
from mmengine.structures import InstanceData

from sola_plugin.heads import BMN
from tests.conftest import CHANNELS, TINY_BMN
from tests.heads.pairs import assert_same, assert_same_proposals, build_pair, make_sample, seeded

SIZE = TINY_BMN['temporal_dim']
#: Several chunks of hidden channels.
WIDE_BMN = {**TINY_BMN, 'temporal_dim': 33, 'hidden_dim_3d': 150, 'num_samples': 7}
EVERY_CELL = (
    torch.tensor([[s, e] for s in range(SIZE) for e in range(s + 1, SIZE + 1)]).double() / SIZE
)


def make_batch(config: dict, dtype: torch.dtype) -> tuple[list[torch.Tensor], list]:
    torch.manual_seed(0)
    inputs = [torch.randn(CHANNELS, config['temporal_dim'], dtype=dtype) for _ in range(3)]
    return inputs, [make_sample(i) for i in range(3)]


def with_truth(samples: list, segments: torch.Tensor) -> list:
    for sample in samples:
        sample.gt_instances = InstanceData(gt_bbox=segments)
    return samples


@pytest.mark.parametrize('config', [TINY_BMN, WIDE_BMN])
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.double, 1e-9), (torch.float, 1e-4)])
def test_outputs_loss_and_gradients_are_mmaction2s(config, dtype, tolerance):
    inputs, samples = make_batch(config, dtype)
    theirs, ours = (model.to(dtype) for model in build_pair(StockBMN, config))
    assert type(ours) is BMN
    for a, b in zip(theirs(inputs, samples, 'tensor'), ours(inputs, samples, 'tensor')):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance)
    a, b = (seeded(model, inputs, samples, 'loss')['loss'] for model in (theirs, ours))
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)
    a.backward()
    b.backward()
    gradients = {name: p.grad for name, p in ours.named_parameters()}
    for name, parameter in theirs.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(gradients.pop(name), parameter.grad, rtol=0, atol=tolerance)
    assert not gradients


def test_predicts_the_whole_batch_like_mmaction2_one_by_one():
    inputs, samples = make_batch(TINY_BMN, torch.float)
    theirs, ours = build_pair(StockBMN, TINY_BMN)
    with torch.no_grad():
        results = ours(inputs, samples, 'predict')
        assert [result['video_name'] for result in results] == ['v_0', 'v_1', 'v_2']
        for index, result in enumerate(results):
            (expected,) = theirs(inputs[index : index + 1], samples[index : index + 1], 'predict')
            assert_same_proposals(expected['proposal_list'], result['proposal_list'])


def test_videos_of_different_lengths_are_predicted_as_one_by_one():
    _, model = build_pair(StockBMN, TINY_BMN)
    inputs = [torch.randn(CHANNELS, length) for length in (33, 20, 7, 1)]
    samples = [make_sample(i) for i in range(4)]
    with torch.no_grad():
        for index, result in enumerate(model(inputs, samples, 'predict')):
            (alone,) = model(inputs[index : index + 1], samples[index : index + 1], 'predict')
            assert_same_proposals(alone['proposal_list'], result['proposal_list'])


def test_mmaction2s_checkpoints_load_and_ours_load_there(tmp_path):
    theirs, ours = build_pair(StockBMN, TINY_BMN)
    other = MODELS.build(TINY_BMN)
    inputs, samples = make_batch(TINY_BMN, torch.float)
    assert theirs.state_dict().keys() - ours.state_dict().keys() == {'sample_mask'}
    assert not ours.state_dict().keys() - theirs.state_dict().keys()
    other.load_state_dict(theirs.state_dict())
    assert_same(other.state_dict(), ours.state_dict())
    torch.save(theirs.state_dict(), tmp_path / 'stock.pth')
    load_checkpoint(other, str(tmp_path / 'stock.pth'), strict=True)
    # mmaction2 has made its sample mask itself; only a strict load asks for it.
    expected = theirs(inputs, samples, 'tensor')
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter.zero_()
    torch.save(other.state_dict(), tmp_path / 'ours.pth')
    load_checkpoint(theirs, str(tmp_path / 'ours.pth'))
    assert_same(theirs(inputs, samples, 'tensor'), expected)
    missing, unexpected = theirs.load_state_dict(other.state_dict(), strict=False)
    assert missing == ['sample_mask'] and not unexpected


def test_checkpoints_load_with_another_max_duration():
    theirs, _ = build_pair(StockBMN, TINY_BMN)
    short = MODELS.build({**TINY_BMN, 'max_duration': 6})
    short.load_state_dict(theirs.state_dict())
    assert short.bm_mask.shape == (6, SIZE)
    for name, parameter in short.named_parameters():
        assert torch.equal(parameter, theirs.get_parameter(name))
    MODELS.build(TINY_BMN).load_state_dict(short.state_dict())


def test_a_missing_weight_is_still_an_error():
    state = MODELS.build(TINY_BMN).state_dict()
    del state['x_3d_p.0.weight']
    with pytest.raises(RuntimeError, match='x_3d_p.0.weight'):
        MODELS.build(TINY_BMN).load_state_dict(state)


def test_checkpoint_lacks_the_sampling_mask():
    sizes = []
    for model in build_pair(StockBMN, TINY_BMN):
        torch.save(model.state_dict(), file := io.BytesIO())
        sizes.append(file.tell())
    assert sizes[0] - sizes[1] > 4 * SIZE**3 * TINY_BMN['num_samples']


def test_labels_are_mmaction2s():
    theirs, ours = build_pair(StockBMN, TINY_BMN)
    segments = [
        torch.from_numpy(np.sort(np.random.default_rng(i).random((i, 2)), 1)) for i in (1, 2, 9)
    ]
    assert_same(theirs.generate_labels(segments), ours.generate_labels(segments))


def test_max_duration_keeps_the_first_rows():
    inputs, samples = make_batch(TINY_BMN, torch.float)
    _, full = build_pair(StockBMN, TINY_BMN)
    short = MODELS.build({**TINY_BMN, 'max_duration': 6})
    short.load_state_dict(full.state_dict())
    segments = [sample.gt_instances['gt_bbox'] for sample in samples]
    assert torch.equal(short.generate_labels(segments)[0], full.generate_labels(segments)[0][:, :6])
    assert torch.equal(short.bm_mask, full.bm_mask[:6])
    confidence, start, end = short(inputs, samples, 'tensor')
    assert confidence.shape == (3, 2, 6, SIZE) and start.shape == end.shape == (3, SIZE)
    # Two 3x3 convolutions see what lies beyond the last row.
    torch.testing.assert_close(confidence[:, :, :4], full(inputs, samples, 'tensor')[0][:, :, :4])
    with torch.no_grad():
        for result in short(inputs, samples, 'predict'):
            lengths = [np.diff(p['segment'])[0] for p in result['proposal_list']]
            assert 0 < max(lengths) <= 6 / SIZE * 33.3 + 1e-6


@pytest.mark.parametrize('value', [0, 21])
def test_max_duration_out_of_range(value):
    with pytest.raises(
        ValueError, match=f'max_duration={value} must be between 1 and temporal_dim=20'
    ):
        MODELS.build({**TINY_BMN, 'max_duration': value})


def test_proposals_that_end_with_the_video_are_trained_but_never_proposed():
    """mmaction2's quirk."""
    _, model = build_pair(StockBMN, TINY_BMN)
    duration, start = np.mgrid[:SIZE, :SIZE]
    last = torch.from_numpy(duration + start == SIZE - 1)
    assert model.bm_mask[last].all()
    maps = torch.full((1, 2, SIZE, SIZE), 0.5, requires_grad=True)
    scores = torch.full((1, SIZE), 0.5)
    model._forward = lambda inputs: (maps, scores, scores)
    inputs, samples = make_batch(TINY_BMN, torch.float)
    model(inputs[:1], with_truth(samples[:1], EVERY_CELL), 'loss')['loss'].backward()
    assert maps.grad[:, :, last].all()
    maps.requires_grad_(False)
    model.post_process_top_k = SIZE**2
    (result,) = model(inputs[:1], samples[:1], 'predict')
    ends = [proposal['segment'][1] for proposal in result['proposal_list']]
    assert len(ends) == SIZE * (SIZE - 1) // 2
    assert max(ends) == pytest.approx((SIZE - 1) / SIZE * 992 / 1000 * 33.3)


@pytest.mark.parametrize('dtype', [torch.double, torch.float])
def test_with_more_positives_than_negatives_the_loss_reads_every_cell(dtype):
    """mmaction2's quirk: a sampling ratio above 1 selects cells outside the video too."""
    inputs, samples = make_batch(TINY_BMN, dtype)
    with_truth(samples, EVERY_CELL)
    theirs, ours = (model.to(dtype) for model in build_pair(StockBMN, TINY_BMN))
    a, b = (seeded(model, inputs, samples, 'loss')['loss'] for model in (theirs, ours))
    torch.testing.assert_close(a, b, rtol=1e-5 if dtype is torch.float else 1e-12, atol=0)
    maps = [output.detach().requires_grad_() for output in ours(inputs, samples, 'tensor')]
    ours._forward = lambda inputs: maps
    ours(inputs, samples, 'loss')['loss'].backward()
    assert maps[0].grad[:, 0, ours.bm_mask == 0].all()


@pytest.mark.parametrize('segments', [torch.zeros(0, 2), torch.tensor([[0.501, 0.502]])])
def test_no_truth_and_no_match_give_a_finite_loss(segments):
    inputs, samples = make_batch(TINY_BMN, torch.float)
    model = MODELS.build(TINY_BMN)
    with pytest.warns(UserWarning, match='no cell of a batch has a tIoU above 0.7'):
        loss = model(inputs, with_truth(samples, segments.double()), 'loss')['loss']
    loss.backward()
    assert loss.isfinite() and all(
        p.grad is None or p.grad.isfinite().all() for p in model.parameters()
    )
