"""What similarity matching, SoLa and the head's training can do that the paper does not."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from sola_plugin.commands import train_localizer
from sola_plugin.necks import SoLa, load_sola_weights, read_sola, save_sola
from sola_plugin.pretraining import NeckWarmupHook
from sola_plugin.pretraining.checkpoint_files import newest_checkpoint
from sola_plugin.pretraining.losses import interval_target, similarity_matching_loss
from sola_plugin.pretraining.run import pretrain, pretraining_config
from sola_plugin.pretraining.tasks import SimilarityMatcher
from tests.conftest import CHANNELS, feature_dataset, localization_config
from tests.pretraining.test_pretraining import tiny_pretraining

SMALL = dict(window=12, start=2, step=1, num_positions=4, predictor_channels=5)


def small_neck(**options) -> SoLa:
    torch.manual_seed(0)
    neck = SoLa(in_channels=6, hidden_channels=4, **options)
    torch.nn.init.constant_(neck.alpha, 0.5)
    return neck


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


class TestMeasuredTarget:
    @pytest.mark.parametrize('standardize', [False, True])
    def test_is_the_mean_similarity_of_each_interval(self, standardize):
        matcher = SimilarityMatcher(
            small_neck(standardize=standardize), target='measured', **SMALL
        ).double()
        batches = [3 + torch.randn(5, 6, 12, dtype=torch.float64) for _ in range(2)]
        for batch in batches:
            matcher(batch)
        by_interval: dict[int, list[float]] = {}
        for batch in (each.numpy() for each in batches):
            if standardize:
                mean, std = batch.mean((0, 2)), np.sqrt(batch.var((0, 2)) + 1e-5)
                batch = (batch - mean[:, None]) / std[:, None]
            for window, i, j in itertools.product(batch, range(4), range(4)):
                value = (1 + cosine(window[:, 2 + i], window[:, 2 + j])) / 2
                by_interval.setdefault(abs(i - j), []).append(value)
        for i, j in itertools.product(range(4), range(4)):
            expected = np.mean(by_interval[abs(i - j)])
            assert matcher.target[i, j].item() == pytest.approx(min(expected, 1 - 1e-5), abs=1e-6)

    def test_testing_does_not_change_it(self):
        matcher = SimilarityMatcher(small_neck(), target='measured', **SMALL)
        assert torch.equal(matcher.target, interval_target(4, 16.0))
        matcher.eval()(torch.randn(2, 6, 12))
        assert torch.equal(matcher.target, interval_target(4, 16.0))

    def test_a_resumed_run_goes_on_with_it(self, data_root, tmp_path):
        """Its sums are in the checkpoints of the run."""

        def config(name: str, epochs: int) -> Config:
            return pretraining_config(
                dict(type='SoLa', in_channels=CHANNELS, hidden_channels=4),
                feature_dataset(data_root, subset='training'),
                tmp_path / name,
                pretext=dict(SMALL, target='measured'),
                batch_size=4,
                max_epochs=epochs,
                windows_per_video=4,
                seed=0,
            )

        pretrain(config('whole', 2))
        first = config('parts', 2)
        first.custom_hooks.append(dict(type='StopAfterOne'))
        with pytest.raises(KeyboardInterrupt):
            pretrain(first)
        second = config('parts', 2)
        second.resume = True
        pretrain(second)
        whole, parts = (
            torch.load(newest_checkpoint(tmp_path / name), weights_only=False)['state_dict']
            for name in ('whole', 'parts')
        )
        assert whole['measured'][0, -1] > 0
        assert all(torch.equal(value, parts[key]) for key, value in whole.items())


@HOOKS.register_module()
class StopAfterOne(Hook):
    """Ends a run after its first epoch, as a kill would."""

    priority = 'LOWEST'

    def before_train_epoch(self, runner) -> None:
        if runner.epoch == 1:
            raise KeyboardInterrupt


def test_several_steps_are_the_mean_of_each():
    x = torch.randn(3, 6, 12)
    neck = small_neck()
    both = SimilarityMatcher(neck, **{**SMALL, 'step': (2, 1), 'k': 8.0})
    losses = []
    # Positions one snippet apart are half as far in time: half the interval.
    for step, k in ((2, 8.0), (1, 8.0 * 4)):
        single = SimilarityMatcher(neck, **{**SMALL, 'step': step, 'k': k})
        single.predictor.load_state_dict(both.predictor.state_dict())
        losses.append(single(x)['loss'])
    assert both(x)['loss'].item() == pytest.approx(sum(losses).item() / 2, rel=1e-6)
    assert both(x, mode='tensor').shape == (3, 4, 4)
    with pytest.raises(ValueError, match=r'positions 2, ..., 14 of step=\(1, 4\) must lie inside'):
        SimilarityMatcher(neck, **{**SMALL, 'step': (1, 4)})


def test_negatives_are_the_next_windows():
    x = torch.randn(3, 6, 12)
    matcher = SimilarityMatcher(small_neck(), negatives=0.5, **SMALL)
    z = torch.nn.functional.normalize(matcher.neck.forward_positions(x, 2, 1, 4), dim=2)
    p = matcher.predictor(z)
    tsm = np.array(
        [
            [
                [(1 + cosine(z[b - 1, i].detach().numpy(), p[b, j].detach().numpy())) / 2]
                for i in range(4)
                for j in range(4)
            ]
            for b in range(3)
        ]
    )
    expected = -0.5 * np.mean(0.5 * np.log(tsm) + 0.5 * np.log(1 - tsm))
    losses = matcher(x)
    assert losses['loss_negatives'].item() == pytest.approx(expected, rel=1e-5)
    assert losses['loss'].item() == pytest.approx(
        similarity_matching_loss(matcher(x, mode='tensor'), matcher.target).item()
    )


class TestBesides:
    TASK = dict(type='BoundarySensitive', window=12, margin=2, hidden_channels=5)

    def test_adds_its_losses_and_trains_the_same_neck(self):
        matcher = SimilarityMatcher(small_neck(), besides=[self.TASK], **SMALL)
        losses = matcher(torch.randn(4, 6, 12))
        assert set(losses) == {'loss', 'BoundarySensitive.loss', 'BoundarySensitive.accuracy'}
        losses['BoundarySensitive.loss'].backward()
        assert matcher.neck.conv_network[0].weight.grad.abs().sum() > 0
        # The neck is in a checkpoint once, and a copy has one of its own.
        assert not [key for key in matcher.state_dict() if '.neck.' in key]
        twin = copy.deepcopy(matcher)
        assert twin.besides[0].neck is twin.neck is not matcher.neck

    def test_a_neck_that_a_config_trained_can_be_read(self, data_root, tmp_path):
        """mmengine hands over its own kind of dict, which no checkpoint may hold."""
        cfg = tiny_pretraining(data_root, tmp_path)
        cfg.model.window = cfg.train_dataloader.dataset.window = 12
        cfg.model.besides = [self.TASK]
        cfg.train_cfg.max_epochs = 1
        record = read_sola(pretrain(cfg))['meta']['pretext']
        assert record['besides'] == [self.TASK]

    def test_settings_rebuild_it(self):
        settings = SimilarityMatcher(small_neck(), besides=[self.TASK], **SMALL).settings
        kind = settings.pop('type')
        assert kind == 'SimilarityMatcher'
        again = SimilarityMatcher(small_neck(), **settings)
        assert again.settings == {'type': kind, **settings}

    @pytest.mark.parametrize(
        ('task', 'message'),
        [
            (dict(TASK, window=14), 'it needs windows of 14'),
            (dict(type='TemporallySensitive', window=9, num_classes=2), 'it needs labels'),
        ],
    )
    def test_what_cannot_stand_there(self, task, message):
        with pytest.raises(ValueError, match=message):
            SimilarityMatcher(small_neck(), besides=[task], **SMALL)


def test_settings_without_any_of_it_are_those_of_earlier_versions():
    assert set(SimilarityMatcher(small_neck()).settings) == {
        *('type', 'window', 'start', 'step', 'num_positions', 'k', 'predictor_channels'),
        'stop_gradient',
    }


def test_an_unknown_target():
    with pytest.raises(ValueError, match="target='mean': expected 'interval' or 'measured'"):
        SimilarityMatcher(small_neck(), target='mean')


class TestResetGate:
    def test_starts_as_the_identity_with_what_was_learnt(self, tmp_path):
        save_sola(tmp_path / 'sola.pth', small_neck())
        neck = small_neck(reset_gate=True)
        load_sola_weights(neck, tmp_path / 'sola.pth')
        x = torch.randn(2, 6, 9)
        assert torch.equal(neck(x), x)
        weight = neck.conv_network[0].weight
        assert torch.equal(weight, small_neck().conv_network[0].weight)

    def test_its_own_checkpoint_keeps_the_gate(self, tmp_path):
        """Only weights of similarity matching are loaded with a closed gate, not a head's."""
        trained = small_neck(reset_gate=True)
        other = small_neck(reset_gate=True)
        other.load_state_dict(trained.state_dict())
        assert other.alpha == 0.5 and 'reset_gate' not in trained.settings

    def test_frozen_it_would_be_nothing(self):
        with pytest.raises(ValueError, match='would stay it when frozen'):
            SoLa(in_channels=6, reset_gate=True, frozen=True)
        with pytest.raises(ValueError, match='SoLaPretrainHook needs freeze=False'):
            small_neck(reset_gate=True).freeze()


class TestWarmup:
    @pytest.mark.parametrize('epochs', [1, 5])
    def test_the_neck_is_fixed_at_first(self, data_root, tmp_path, epochs):
        cfg = Config(localization_config(data_root, tmp_path / 'work'))
        cfg.train_cfg.max_epochs = 2
        cfg.model.neck = dict(type='SoLa', hidden_channels=4)
        cfg.custom_hooks = [dict(type='NeckWarmupHook', epochs=epochs)]
        runner = train_localizer(cfg)
        assert (runner.model.neck.alpha != 0) == (epochs == 1)
        assert all(
            weight.requires_grad == (epochs == 1) for weight in runner.model.neck.parameters()
        )

    @pytest.mark.parametrize(
        ('neck', 'found'),
        [(None, 'NoneType'), (dict(type='SoLa', hidden_channels=4, frozen=True), 'frozen')],
    )
    def test_needs_a_neck_that_learns(self, data_root, tmp_path, neck, found):
        cfg = Config(localization_config(data_root, tmp_path / 'work'))
        if neck:
            cfg.model.neck = neck
        cfg.custom_hooks = [dict(type='NeckWarmupHook')]
        with pytest.raises(ValueError, match=f'the neck is {found}'):
            train_localizer(cfg)

    def test_bad_length(self):
        with pytest.raises(ValueError, match='expects epochs >= 1, got 0'):
            NeckWarmupHook(0)
