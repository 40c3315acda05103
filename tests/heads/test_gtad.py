"""G-TAD: the network against a naive sampled map, labels, losses, prediction, training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.models.losses.bmn_loss import BMNLoss
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner, load_checkpoint
from mmengine.structures import InstanceData

from sola_plugin.heads.gtad.graph import gather_snippets, nearest_neighbors
from sola_plugin.heads.gtad.losses import GTADLoss, balanced_logistic_loss, balanced_regression_loss
from tests.conftest import CHANNELS, ROOT, TINY_MATCHER, localization_config
from tests.heads.pairs import assert_same, make_sample, seeded
from tests.heads.test_graph import align

SOLA = dict(type='SoLa', hidden_channels=4, kernel_sizes=(3, 1))

TINY_GTAD = dict(
    type='GTAD',
    temporal_dim=20,
    feat_dim=CHANNELS,
    hidden_dim_1d=8,
    hidden_dim_2d=4,
    hidden_dim_3d=8,
    num_samples=4,
    num_context_samples=3,
    groups=4,
    post_process_top_k=20,
)


def build(**options) -> torch.nn.Module:
    return seeded(MODELS.build, {**TINY_GTAD, **options})


def naive_weights(model, num_samples: int) -> torch.Tensor:
    """Interpolation weights ``(T, N, D, T)`` of every cell, by the authors' loops over their
    anchors."""
    size, durations = model.temporal_dim, model.max_duration
    weights = np.zeros((size, num_samples, durations, size), dtype=np.float32)
    for duration, start in np.ndindex(durations, size):
        length = duration + 1
        interval = (
            (start - length / 2, start + duration + length / 2)
            if start + duration < size
            else (0, 0)
        )
        weights[:, :, duration, start] = align(np.eye(size), *interval, num_samples).T
    return torch.from_numpy(weights)


def naive_forward(model, inputs) -> tuple[torch.Tensor, ...]:
    """The same network with a sampled map ``(N, C * samples, D, T)``, as it was published."""
    base = model.backbone1(torch.stack(inputs))
    x = model.backbone2(base)
    context = gather_snippets(x, nearest_neighbors(x, 3)).mean(3)
    sampled = [
        torch.einsum('bct,tnds->bcnds', source, naive_weights(model, number).to(x))
        for source, number in zip((x, context), model.samples)
    ]
    confidence = model.localization(torch.cat(sampled, dim=2).flatten(1, 2))
    return confidence, model.regu_s(base).squeeze(1), model.regu_e(base).squeeze(1)


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(max_duration=6),
        dict(kernel_size=1),
        dict(temporal_dim=3, num_samples=1),
        dict(num_samples=32),
    ],
)
def test_equals_a_naive_sampled_map(options):
    model = build(**options).double()
    inputs = [torch.randn(CHANNELS, model.temporal_dim, dtype=torch.float64) for _ in range(2)]
    grads = []
    outputs = [forward(inputs) for forward in (lambda x: naive_forward(model, x), model)]
    for ours in outputs:
        seeded(lambda ours=ours: sum((o * torch.rand(o.shape)).sum() for o in ours)).backward()
        grads.append({name: p.grad.clone() for name, p in model.named_parameters()})
        model.zero_grad()
    for naive, ours in zip(*outputs):
        torch.testing.assert_close(ours, naive, rtol=0, atol=1e-9)
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize(
    ('options', 'number'),
    [
        # The size that the authors give, and those of the networks that they released for
        # ActivityNet (TSN features, 400 channels) and for THUMOS14 (2048 channels).
        (dict(), 9_495_428),
        (dict(num_context_samples=4, kernel_size=1), 5_563_268),
        (
            dict(
                temporal_dim=256,
                max_duration=64,
                feat_dim=2048,
                num_samples=16,
                num_context_samples=16,
            ),
            5_617_540,
        ),
    ],
)
def test_size_and_shapes_of_the_published_networks(options, number):
    model = MODELS.build(dict(type='GTAD', **options))
    assert sum(p.numel() for p in model.parameters()) == number
    assert sum(v.numel() for v in model.state_dict().values()) == number
    size, durations = model.temporal_dim, model.max_duration
    with torch.no_grad():
        confidence, start, end = model([torch.randn(options.get('feat_dim', 400), size)])
    assert confidence.shape == (1, 2, durations, size) and start.shape == end.shape == (1, size)


def test_state_dict_has_the_authors_names():
    names = {name.rsplit('.', 1)[0] for name in build().state_dict()}
    block = {f'{convs}.{index}' for convs in ('tconvs', 'sconvs') for index in (0, 2, 4)}
    expected = {
        'backbone1.0',
        'regu_s.1',
        'regu_e.1',
        *(f'localization.{i}' for i in range(0, 10, 2)),
    }
    for place in ('backbone1.2', 'regu_s.0', 'regu_e.0', 'backbone2.0'):
        expected |= {f'{place}.{name}' for name in block}
    assert names == expected


def test_the_authors_checkpoints_load(tmp_path):
    # They save the state dict of a DataParallel model.
    model, file = build(), tmp_path / 'GTAD_best.pth.tar'
    expected = {name: torch.randn_like(v) for name, v in model.state_dict().items()}
    torch.save(dict(epoch=1, state_dict={f'module.{k}': v for k, v in expected.items()}), file)
    load_checkpoint(model, str(file), strict=True)
    assert_same(model.state_dict(), expected)


def test_logistic_loss_is_mmaction2s_where_that_is_defined():
    torch.manual_seed(0)
    # mmaction2 adds 1e-5 to the scores, the authors 1e-6.
    score, label = 0.1 + 0.8 * torch.rand(3, 50), torch.rand(3, 50)
    expected = BMNLoss.tem_loss(score, score, label, label) / 2
    torch.testing.assert_close(
        balanced_logistic_loss(score, label > 0.5), expected, rtol=1e-4, atol=0
    )
    label, mask = label * 1.05, torch.rand(3, 50) > 0.3
    label = label * mask
    expected = BMNLoss.pem_cls_loss(score, label, mask.float())
    torch.testing.assert_close(
        balanced_logistic_loss(score, label > 0.9, mask), expected, rtol=1e-4, atol=0
    )


def test_regression_loss_is_mmaction2s_where_that_is_defined():
    # Fewer good cells than others, as in practice: mmaction2 takes every cell of the map otherwise.
    torch.manual_seed(0)
    tiou = torch.cat([torch.rand(400) * 0.7, 0.7 + torch.rand(20) * 0.3, torch.zeros(50)])
    score = torch.rand_like(tiou)
    ours = seeded(balanced_regression_loss, score, tiou)
    expected = seeded(BMNLoss.pem_reg_loss, score, tiou, torch.ones_like(tiou))
    torch.testing.assert_close(ours, expected)


def test_losses_without_positives_and_without_negatives():
    score = torch.tensor([0.2, 0.6], requires_grad=True)
    none = torch.zeros(2, dtype=torch.bool)
    expected = -torch.log(1 - score.detach()).mean() / 2
    torch.testing.assert_close(balanced_logistic_loss(score, none), expected, rtol=1e-4, atol=0)
    expected = -torch.log(score.detach()).mean() / 2
    torch.testing.assert_close(balanced_logistic_loss(score, ~none), expected, rtol=1e-4, atol=0)
    assert balanced_regression_loss(score, torch.tensor([0.5, 0.0])) == 0
    # More good cells than others: all count, the one without overlap does not.
    tiou = torch.tensor([0.8, 0.9, 0.5, 0.0])
    expected = (tiou[:3] - 0.1).square().mean() / 2
    torch.testing.assert_close(balanced_regression_loss(torch.full((4,), 0.1), tiou), expected)


def test_weights_of_the_losses(batch):
    torch.manual_seed(0)
    outputs = torch.rand(2, 2, 4, 9), torch.rand(2, 9), torch.rand(2, 9)
    labels = torch.rand(2, 4, 9), torch.rand(2, 9), torch.rand(2, 9)
    mask = torch.ones(4, 9, dtype=torch.bool)
    names = ('node', 'regression', 'classification')
    plain = seeded(GTADLoss(*[1.0] * 3), outputs, labels, mask)
    weighted = seeded(GTADLoss(2.0, 3.0, 5.0), outputs, labels, mask)
    for name, factor in zip(names, (2, 3, 5)):
        torch.testing.assert_close(weighted[f'loss_{name}'], factor * plain[f'loss_{name}'])


def test_literal_neck_line(batch):
    model = MODELS.build({**TINY_GTAD, 'neck': dict(type='SoLa')})
    assert model.neck.in_channels == CHANNELS and model.neck.hidden_channels == 512
    sum(model(*batch, 'loss').values()).backward()
    assert model.neck.alpha.grad is not None


def test_fresh_sola_changes_nothing(batch):
    assert_same(build()(*batch, 'tensor'), build(neck=SOLA)(*batch, 'tensor'))


def test_frozen_neck_gets_no_gradient(batch):
    model = build(neck=dict(frozen=True, **SOLA))
    sum(model(*batch, 'loss').values()).backward()
    assert all(p.grad is None for p in model.neck.parameters())
    assert all(
        p.grad is not None for name, p in model.named_parameters() if not name.startswith('neck')
    )


def test_joint_adds_the_similarity_loss(batch):
    losses = build(neck=SOLA, similarity_matching=TINY_MATCHER)(*batch, 'loss')
    assert set(losses) == {'loss_node', 'loss_regression', 'loss_classification', 'loss_similarity'}


def test_lengths_in_a_batch_do_not_matter():
    model = build(neck=SOLA).double()
    torch.nn.init.constant_(model.neck.alpha, 1.0)
    inputs = [torch.randn(CHANNELS, length, dtype=torch.float64) for length in (33, 20, 7, 1)]
    samples = [make_sample(index) for index in range(4)]
    whole = model(inputs, None, 'tensor')
    with torch.no_grad():
        detections = model(inputs, samples, 'predict')
        for index, video in enumerate(inputs):
            for a, b in zip(whole, model([video], None, 'tensor')):
                torch.testing.assert_close(a[index : index + 1], b, rtol=0, atol=1e-9)
            (alone,) = model([video], samples[index : index + 1], 'predict')
            assert alone['video_name'] == detections[index]['video_name'] == f'v_{index}'
            for a, b in zip(alone['proposal_list'], detections[index]['proposal_list']):
                assert a['segment'] == b['segment'] and a['score'] == pytest.approx(
                    b['score'], abs=1e-6
                )


def test_windows_of_a_long_video():
    model = build(windows=dict(stride=10), neck=SOLA)
    inputs = [torch.randn(CHANNELS, length) for length in (47, 12)]
    samples = [make_sample(0), make_sample(1)]
    sum(model(inputs, samples, 'loss').values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad():
        for result, sample in zip(model(inputs, samples, 'predict'), samples):
            segments = np.array([p['segment'] for p in result['proposal_list']])
            assert result['video_name'] == sample.metainfo['video_name'] and segments.size
            assert segments.min() >= 0 and segments.max() <= 33.3


def test_no_truth_and_no_match_give_finite_losses(batch):
    inputs, samples = batch
    model = build()
    for segments in (torch.zeros(0, 2), torch.tensor([[0.501, 0.502]]), torch.tensor([[0.0, 1.0]])):
        for sample in samples:
            sample.gt_instances = InstanceData(gt_bbox=segments.double())
        loss = sum(model(inputs, samples, 'loss').values())
        loss.backward()
        assert loss.isfinite() and loss > 0
        assert all(p.grad.isfinite().all() for p in model.parameters())


def test_proposals_are_the_cells_of_the_map(batch):
    model = build(boundary_candidates=False, max_duration=6)
    torch.manual_seed(0)
    maps = torch.rand(1, 2, 6, 20), torch.rand(1, 20), torch.rand(1, 20)
    model._forward = lambda inputs: maps
    (result,) = model(batch[0][:1], batch[1][:1], 'predict')
    best = result['proposal_list'][0]
    # A proposal that ends with the last cell is not made.
    score = (maps[0][0, 0] * maps[0][0, 1]).masked_fill(
        torch.arange(20) + torch.arange(6)[:, None] + 1 >= 20, 0
    )
    duration, start = divmod(int(score.argmax()), 20)
    span = 992 / 1000 * 33.3
    assert best['score'] == pytest.approx(score.max().item(), abs=1e-6)
    assert best['segment'] == pytest.approx([start / 20 * span, (start + duration + 1) / 20 * span])
    assert len(result['proposal_list']) == 20
    assert max(np.diff(p['segment'])[0] for p in result['proposal_list']) <= 6 / 20 * span + 1e-6
    model.boundary_candidates, model.post_process_top_k = True, 200
    with_candidates = len(model(batch[0][:1], batch[1][:1], 'predict')[0]['proposal_list'])
    assert 0 < with_candidates < 19 + 18 + 17 + 16 + 15 + 14


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(max_duration=0), 'max_duration=0 must be between 1 and temporal_dim=20'),
        (dict(max_duration=21), 'max_duration=21 must be between'),
        (dict(num_neighbors=21), 'num_neighbors=21 must be between 1 and temporal_dim=20'),
        (dict(kernel_size=2), 'kernel_size=2 must be odd'),
    ],
)
def test_bad_config(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize(
    ('neck', 'moves'), [(None, False), (dict(SOLA, frozen=True), False), (SOLA, True)]
)
def test_trains_and_tests_with_a_runner(data_root, tmp_path, neck, moves):
    config = localization_config(data_root, tmp_path / 'work')
    config['model'] = {**TINY_GTAD, 'neck': neck}
    runner = Runner.from_cfg(config)
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    runner.train()
    moved = {
        name for name, p in runner.model.named_parameters() if not torch.equal(before[name], p)
    }
    assert moved and moves == any(name.startswith('neck') for name in moved)
    assert 0 <= runner.test()['TAL/AR@10'] <= 1


def test_learns_its_training_videos_by_heart(data_root, tmp_path):
    config = localization_config(data_root, tmp_path / 'work')
    config['model'] = {**TINY_GTAD, 'neck': SOLA}
    config['train_cfg']['max_epochs'] = 20
    config['optim_wrapper']['optimizer']['lr'] = 0.01
    config['default_hooks']['checkpoint'] = dict(type='CheckpointHook', interval=20)
    config['test_dataloader']['dataset']['subset'] = 'training'
    runner = Runner.from_cfg(config)
    before = runner.test()['TAL/AR@5']
    runner.train()
    assert runner.test()['TAL/AR@5'] > max(before, 0.5)


CONFIGS = sorted((ROOT / 'configs/localization').glob('gtad_*.py'))


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_configs_build(path):
    config = Config.fromfile(path)
    model = MODELS.build(config.model)
    with torch.no_grad():
        confidence, *_ = model([torch.randn(config.model.feat_dim, 200)])
    assert confidence.shape == (1, 2, model.max_duration, model.temporal_dim)
