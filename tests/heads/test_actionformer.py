"""ActionFormer: invariances, losses, classes, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from sola_plugin.commands import train_localizer
from sola_plugin.commands.testing import check_fits
from sola_plugin.evaluation.detection_files import read_detections
from sola_plugin.heads import ActionFormer, Localizer
from tests.conftest import CHANNELS, TINY_MATCHER, localization_config

CLASSES = ('jump', 'run')
TINY = dict(
    type='ActionFormer',
    feat_dim=CHANNELS,
    classes=CLASSES,
    num_head_convs=1,
    loss_normalizer=5.0,
    pyramid=dict(
        channels=16, num_levels=3, num_heads=2, windows=5, num_stem_blocks=1, residual_scale=1.0
    ),
    post_processing=dict(top_k=20),
)
SOLA = dict(type='SoLa', hidden_channels=4, kernel_sizes=(3, 1))
LENGTHS = [33, 20, 7, 2, 1]


def make_sample(index: int, length: int, segments=None, labels=None, **meta) -> ActionDataSample:
    rng = np.random.default_rng(index)
    if segments is None:
        segments = np.sort(rng.random((3, 2)), 1)
        labels = rng.integers(2, size=3)
    sample = ActionDataSample()
    sample.gt_instances = InstanceData(
        gt_bbox=torch.as_tensor(np.asarray(segments, dtype=np.float64).reshape(-1, 2)),
        gt_labels=torch.as_tensor(np.asarray(labels, dtype=np.int64)),
    )
    sample.set_metainfo(
        dict(
            video_name=f'v_{index}',
            duration=float(length),
            feature_span=(0.0, float(length)),
            **meta,
        )
    )
    return sample


def make_batch(lengths=LENGTHS) -> tuple[list[torch.Tensor], list[ActionDataSample]]:
    torch.manual_seed(0)
    return (
        [torch.randn(CHANNELS, length) for length in lengths],
        [make_sample(index, length) for index, length in enumerate(lengths)],
    )


def build(**options) -> ActionFormer:
    """A model whose outputs differ from point to point, as after some training."""
    torch.manual_seed(1)
    model = MODELS.build({**TINY, **options})
    torch.nn.init.normal_(model.classifier.last.weight, std=0.5)
    torch.nn.init.ones_(model.regressor.last.bias)
    return model.eval()


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(neck=SOLA),
        dict(temporal_dim=16),
        dict(neck=dict(type='TemporalSmoothing')),
        dict(pyramid={**TINY['pyramid'], 'windows': [4, 3, None], 'position_encoding': True}),
    ],
)
def test_a_batch_gives_what_its_videos_give_alone(options):
    model = build(**options)
    if options.get('neck') == SOLA:
        torch.nn.init.ones_(model.neck.alpha)
    inputs, samples = make_batch()
    with torch.no_grad():
        together = model(inputs, samples, 'predict')
        for video, sample, expected in zip(inputs, samples, together):
            (alone,) = model([video], [sample], 'predict')
            assert alone['video_name'] == expected['video_name']
            assert len(alone['proposal_list']) == len(expected['proposal_list']) > 0
            for a, b in zip(alone['proposal_list'], expected['proposal_list']):
                assert a['label'] == b['label'] and a['score'] == pytest.approx(
                    b['score'], abs=1e-5
                )
                assert a['segment'] == pytest.approx(b['segment'], abs=1e-4)


def test_losses_of_a_batch_are_those_of_its_videos():
    model = build().double()
    inputs, samples = make_batch()
    inputs = [video.double() for video in inputs]
    together = model(inputs, samples, 'loss')
    alone = [model([video], [sample], 'loss') for video, sample in zip(inputs, samples)]
    for name in ('loss_cls', 'loss_reg'):
        assert together[name].item() == pytest.approx(sum(losses[name].item() for losses in alone))
        assert together[name] > 0


def test_detections_are_in_seconds_and_in_the_video():
    model = build()
    inputs, _ = make_batch([30])
    sample = make_sample(0, 30)
    (first,) = model(inputs, [sample], 'predict')
    sample.set_metainfo(dict(feature_span=(5.0, 20.0), duration=18.0))
    (second,) = model(inputs, [sample], 'predict')
    scores = [detection['score'] for detection in first['proposal_list']]
    assert scores == sorted(scores, reverse=True) and set(first['proposal_list'][0]) == {
        'score',
        'segment',
        'label',
    }
    for a, b in zip(first['proposal_list'], second['proposal_list']):
        assert b['segment'] == pytest.approx([min(5 + time / 2, 18) for time in a['segment']])
        assert 0 <= a['segment'][0] <= a['segment'][1] <= 30


def test_empty_truth_and_no_positive_point():
    model = build().train()
    for segments, labels in (([], []), ([[0.5, 0.50001]], [0])):
        samples = [make_sample(i, 12, segments, labels) for i in range(2)]
        losses = model(make_batch([12, 9])[0], samples, 'loss')
        assert losses['loss_reg'] == 0 and losses['loss_cls'] > 0
        model.zero_grad()
        sum(losses.values()).backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.slow
def test_a_class_that_never_occurs_is_pushed_down():
    model = MODELS.build({**TINY, 'classes': ('jump', 'run', 'swim'), 'prior': 0.5}).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    inputs, _ = make_batch([24, 24])
    samples = [make_sample(i, 24, [[0.1, 0.4], [0.5, 0.9]], [0, 1]) for i in range(2)]
    for _ in range(20):
        optimizer.zero_grad()
        sum(model(inputs, samples, 'loss').values()).backward()
        optimizer.step()
    assert model.eval()(inputs)[0].sigmoid()[..., 2].max() < 0.3


def test_untrained_scores_are_the_prior():
    model = MODELS.build({**TINY, 'prior': 0.01})
    torch.nn.init.zeros_(model.classifier.last.weight)
    logits, distances, mask, points = model(make_batch()[0])
    torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, 0.01))
    assert logits.shape == (5, 33 + 17 + 9, 2) and distances.shape == (5, 59, 2)
    assert (
        mask.sum(1).tolist() == [59, 20 + 10 + 5, 7 + 4 + 2, 2 + 1 + 1, 3]
        and len(points.position) == 59
    )
    assert (distances >= 0).all()


def test_perfect_outputs_have_the_smallest_loss():
    """The loss is minimal at outputs that decode to the ground truth."""
    inputs, samples = make_batch([32])
    samples = [make_sample(0, 32, [[4 / 32, 7 / 32], [10 / 32, 22 / 32]], [0, 1])]
    model = build()
    points = model(inputs)[3]
    truth = ([4.0, 7.0], [10.0, 22.0])
    goals = torch.zeros(1, len(points.position), 2)
    logits = torch.full((1, len(points.position), 2), -20.0)
    for label, (start, end) in enumerate(truth):
        near = (points.position - (start + end) / 2).abs() < 1.5 * points.stride
        far = torch.maximum(points.position - start, end - points.position)
        chosen = (
            near
            & (far >= points.low)
            & (far <= points.high)
            & (points.position > start)
            & (points.position < end)
        )
        logits[0, chosen, label] = 20.0
        distance = torch.stack([points.position - start, end - points.position], 1)
        goals[0, chosen] = (distance / points.stride[:, None])[chosen]
    mask = torch.ones(1, len(points.position), dtype=torch.bool)
    model._forward = lambda _: (logits, goals, mask, points)
    assert sum(model(inputs, samples, 'loss').values()) < 1e-6
    (found,) = model(inputs, samples, 'predict')
    best = {d['label']: d['segment'] for d in reversed(found['proposal_list'])}
    assert best == {'jump': pytest.approx([4, 7]), 'run': pytest.approx([10, 22])}


def test_normalizer_is_a_moving_average_in_training_only():
    model = build(loss_normalizer=50.0)
    inputs, samples = make_batch([24])
    before = model(inputs, samples, 'loss')['loss_cls']
    assert model.loss_normalizer == 50
    model.train()
    after = model(inputs, samples, 'loss')['loss_cls']
    number = before.item() * 50 / (after.item() * model.loss_normalizer.item())
    assert number == pytest.approx(1, rel=1e-5) and model.loss_normalizer < 50
    assert 'loss_normalizer' in model.state_dict()
    model.loss_normalizer.fill_(2.0)
    for _ in range(3):
        model(inputs, [make_sample(0, 24, [], [])], 'loss')
    assert model.loss_normalizer.item() == pytest.approx(1 + 0.9**3)  # towards 1, not 0


def test_options_of_the_loss():
    inputs, samples = make_batch([24])
    plain, smooth, heavy = (
        build(**options)(inputs, samples, 'loss')
        for options in (dict(), dict(label_smoothing=0.3), dict(regression_weight=2.0))
    )
    assert smooth['loss_cls'] != plain['loss_cls'] and smooth['loss_reg'] == plain['loss_reg']
    assert heavy['loss_reg'].item() == pytest.approx(2 * plain['loss_reg'].item())


def test_without_classes_it_makes_proposals():
    model = build(classes=None)
    inputs, samples = make_batch()
    assert model(inputs)[0].shape[2] == 1
    for sample in samples:
        del sample.gt_instances.gt_labels  # as in mmaction2's datasets
    assert all(loss.isfinite() for loss in model(inputs, samples, 'loss').values())
    for result in model(inputs, samples, 'predict'):
        assert all(set(proposal) == {'score', 'segment'} for proposal in result['proposal_list'])


def test_other_order_of_the_classes():
    sample = make_sample(0, 24, classes=('run', 'jump'))
    with pytest.raises(
        ValueError,
        match=r"the dataset has the classes \('run', 'jump'\), the model "
        r"\('jump', 'run'\): give both the same",
    ):
        build()(make_batch([24])[0], [sample], 'loss')


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(classes=('run', 'run')), ValueError, 'different names for the classes'),
        (dict(post_processing=dict(topk=3)), TypeError, 'topk'),
        (dict(neck=dict(type='SoLa', in_channels=3)), ValueError, 'the localizer expects 16'),
    ],
)
def test_bad_config(options, error, message):
    with pytest.raises(error, match=message):
        MODELS.build({**TINY, **options})


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode is 'x', expected 'tensor', 'loss' or 'predict'"):
        Localizer.forward(build(), [], [], 'x')


def test_literal_neck_line_and_joint_training():
    model = MODELS.build({**TINY, 'neck': dict(type='SoLa'), 'similarity_matching': TINY_MATCHER})
    losses = model(*make_batch(), 'loss')
    assert set(losses) == {'loss_cls', 'loss_reg', 'loss_similarity'}
    (losses['loss_cls'] + losses['loss_reg']).backward()
    assert model.neck.alpha.grad.abs() > 0


def test_published_size():
    """Parameters of the THUMOS14 model, counted from the paper's architecture."""
    model = ActionFormer(2048, classes=[str(i) for i in range(20)], pyramid=dict(windows=19))
    e, k = 512, 20
    norm = 2 * e
    projection = 2048 * e * 3 + norm + e * e * 3 + norm
    block = (
        norm
        + 3 * (3 * e + norm + e * e + e)
        + e * e
        + e
        + e  # attention, its scale
        + norm
        + 4 * e * e
        + 4 * e
        + 4 * e * e
        + e
        + e
    )  # MLP, its scale
    head = 2 * (3 * e * e + norm)
    expected = projection + 7 * block + 6 * norm + 2 * head + 3 * e * k + k + 3 * e * 2 + 2 + 6
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.slow
def test_learns_its_training_videos_by_heart(data_root, tmp_path):
    cfg = Config(localization_config(data_root, tmp_path / 'work'))
    cfg.model = dict(TINY, neck=SOLA)
    cfg.train_cfg.max_epochs = 40
    cfg.optim_wrapper.optimizer.lr = 5e-3
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=40)
    cfg.test_dataloader.dataset.subset = 'training'
    cfg.test_evaluator.detections_file = str(tmp_path / 'detections.json')
    runner = train_localizer(cfg)
    metrics = runner.test()
    assert metrics['TAL/mAP@0.5'] > 0.99 and metrics['TAL/mAP'] > 0.95
    detections = read_detections(tmp_path / 'detections.json')
    assert {d['label'] for video in detections.values() for d in video} == set(CLASSES)
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert losses[-1] < losses[0] / 5
    check_fits(build(neck=SOLA), tmp_path / 'work/epoch_40.pth')
