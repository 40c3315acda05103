"""A checkpoint and a config that contradict each other, and runs that go wrong, say so."""

from __future__ import annotations

import json
import re
import shutil
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmaction.registry import HOOKS, MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper

from sola_plugin.commands import load_localizer, localize, train_localizer
from sola_plugin.commands.testing import test_localizer as run_test
from sola_plugin.datasets.annotations.model import AnnotationError
from sola_plugin.datasets.features.readers import ChannelError, FeatureError
from sola_plugin.datasets.windows import fitting_geometry
from sola_plugin.necks import SoLa
from sola_plugin.necks.checkpoint import CheckpointError, read_checkpoint
from sola_plugin.pretraining import agreement
from sola_plugin.pretraining.finiteness import FiniteHook, NotFiniteError
from sola_plugin.pretraining.losses import similarity_matching_loss
from sola_plugin.pretraining.run import pretrain
from sola_plugin.pretraining.tasks import SimilarityMatcher
from tests.conftest import STRIDE, TINY_MATCHER, localization_config, make_dataset
from tests.heads.test_actionformer import TINY as TINY_ACTIONFORMER
from tests.pretraining.test_pretraining import tiny_pretraining

CLASSES = ['jump', 'run']


def make_config(root: Path, work_dir: Path, classes=CLASSES) -> Config:
    cfg = Config(localization_config(root, work_dir))
    cfg.model = dict(TINY_ACTIONFORMER, classes=list(classes))
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.classes = list(classes)
    cfg.test_dataloader.batch_size = 1
    cfg.param_scheduler = [dict(type='OneCycleLR', eta_max=1e-3, total_steps=4, by_epoch=False)]
    return cfg


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """Data root and work dir of an ActionFormer that knows its classes."""
    folder = tmp_path_factory.mktemp('agreement')
    root = make_dataset(folder / 'data')
    train_localizer(make_config(root, folder / 'work'))
    return root, folder / 'work'


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(agreement, 'print_log', lambda text, *_: said.append(text))
    return said


class TestClasses:
    ORDER = r'epoch_2.pth was trained with the classes jump, run; the config has these in another'
    OTHERS = r'epoch_2.pth was trained with the classes jump, run; the config has others: '

    @pytest.mark.parametrize(
        ('classes', 'message'),
        [(['run', 'jump'], ORDER), (['jump', 'walk'], OTHERS + 'jump, walk')],
    )
    def test_of_a_test_and_of_localizing(self, trained, tmp_path, classes, message):
        root, work = trained
        cfg = make_config(root, tmp_path, classes)
        with pytest.raises(CheckpointError, match=message):
            load_localizer(cfg, work / 'epoch_2.pth')
        if classes[1] == 'jump':  # else the dataset refuses its labels
            with pytest.raises(CheckpointError, match=message):
                run_test(cfg, work / 'epoch_2.pth')

    @pytest.mark.parametrize('classes', [['run', 'jump'], ['jump', 'walk'], ['jump', 'run']])
    def test_taken_from_the_checkpoint(self, trained, tmp_path, classes):
        root, work = trained
        cfg = make_config(root, tmp_path, classes)
        whole = load_localizer(make_config(root, tmp_path), work / 'epoch_2.pth')
        model = load_localizer(cfg, work / 'epoch_2.pth', classes={})
        assert model.classes == whole.classes == ('jump', 'run')
        features = np.load(root / 'features/v_04.npy')
        assert localize(model, features.T, feature_stride=STRIDE) == localize(
            whole, features.T, feature_stride=STRIDE
        )

    def test_taken_under_new_names(self, trained, tmp_path):
        """Labels that were re-spelt sort in another order; the figures stay."""
        root, work = trained
        before = run_test(make_config(root, tmp_path / 'a'), work / 'epoch_2.pth')
        shutil.copytree(root, tmp_path / 'data')
        path = tmp_path / 'data/annotations.json'
        path.write_text(path.read_text().replace('"jump"', '"springen"'))
        cfg = make_config(tmp_path / 'data', tmp_path / 'b', ['run', 'springen'])
        names = dict(jump='springen')
        assert run_test(cfg, work / 'epoch_2.pth', classes=names) == before
        found = json.loads((tmp_path / 'b/detections.json').read_text())['results']['v_04']
        assert {entry['label'] for entry in found} <= {'springen', 'run'}

    @pytest.mark.parametrize(
        ('renames', 'message'),
        [
            (dict(swim='float'), "has no class 'swim', but jump, run"),
            (dict(jump='run'), 'gives two classes one name: run, run'),
        ],
    )
    def test_that_cannot_be_taken(self, trained, tmp_path, renames, message):
        root, work = trained
        with pytest.raises(CheckpointError, match=message):
            load_localizer(make_config(root, tmp_path), work / 'epoch_2.pth', classes=renames)
        with pytest.raises(CheckpointError, match='the BMN of the config knows no classes'):
            cfg = Config(localization_config(root, tmp_path))
            load_localizer(cfg, work / 'epoch_2.pth', classes={})

    def test_of_a_resumed_run(self, trained, tmp_path):
        root, work = trained
        for classes in (['run', 'jump'], ['jump', 'run', 'walk']):
            for path in (None, str(work / 'epoch_2.pth')):
                cfg = make_config(root, work, classes)
                cfg.resume, cfg.load_from = True, path
                with pytest.raises(CheckpointError, match='was trained with the classes jump, run'):
                    train_localizer(cfg)

    def test_of_a_fine_tuned_head(self, trained, tmp_path):
        """Other classes are wanted, the same in another order are not."""
        root, work = trained
        cfg = make_config(root, tmp_path / 'a', ['run', 'jump'])
        cfg.load_from = str(work / 'epoch_2.pth')
        with pytest.raises(CheckpointError, match=self.ORDER):
            train_localizer(cfg)
        cfg = make_config(root, tmp_path / 'b', ['jump', 'run', 'walk'])
        cfg.load_from, cfg.train_cfg.max_epochs = str(work / 'epoch_2.pth'), 1
        assert train_localizer(cfg).epoch == 1

    def test_of_a_checkpoint_before_there_was_a_record(self, trained, tmp_path):
        root, work = trained
        checkpoint = torch.load(work / 'epoch_2.pth')
        assert checkpoint['meta'].pop('trained_with')['classes'] == CLASSES
        torch.save(checkpoint, tmp_path / 'epoch_2.pth')
        with pytest.raises(CheckpointError, match=self.ORDER):
            load_localizer(make_config(root, tmp_path, ['run', 'jump']), tmp_path / 'epoch_2.pth')
        del checkpoint['meta']
        torch.save(checkpoint, tmp_path / 'weights.pth')
        load_localizer(make_config(root, tmp_path, ['run', 'jump']), tmp_path / 'weights.pth')

    def test_proposals_have_none(self, tmp_path):
        """BMN's weights know no classes: those of the data may be in any order."""
        cfg = Config(localization_config(tmp_path, tmp_path))
        agreement.check_agreement(dict(meta=dict(dataset_meta=dict(classes=['b']))), cfg, 'x')


def test_other_settings_are_a_warning(trained, tmp_path, warnings):
    root, work = trained
    cfg = make_config(root, tmp_path)
    load_localizer(cfg, work / 'epoch_2.pth')
    assert not warnings
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.feature_stride = 1.0
    load_localizer(cfg, work / 'epoch_2.pth')
    (message,) = warnings
    assert 'feature_stride 0.5, now 1.0' in message


class TestResume:
    def test_another_schedule(self, trained):
        root, work = trained
        cfg = make_config(root, work)
        cfg.resume, cfg.train_cfg.max_epochs = True, 4
        cfg.param_scheduler[0].total_steps = 8
        with pytest.raises(CheckpointError, match='another schedule .* total_steps 4, now 8'):
            train_localizer(cfg)

    def test_other_milestones(self, trained, tmp_path):
        root, _ = trained
        cfg = make_config(root, tmp_path)
        cfg.param_scheduler = [dict(type='MultiStepLR', milestones=[1], by_epoch=True)]
        train_localizer(Config(deepcopy(cfg.to_dict())))
        cfg.resume, cfg.train_cfg.max_epochs = True, 3
        cfg.param_scheduler[0].milestones = [1, 2]
        with pytest.raises(CheckpointError, match=r'MultiStepLR: milestones \[1\], now \[1, 2\]'):
            train_localizer(cfg)

    def test_another_number_of_schedulers(self, trained):
        root, work = trained
        cfg = make_config(root, work)
        cfg.resume, cfg.train_cfg.max_epochs = True, 4
        cfg.param_scheduler.append(dict(type='ConstantLR', factor=1.0))
        with pytest.raises(CheckpointError, match='another schedule .*: 1 schedulers, now 2'):
            train_localizer(cfg)

    @pytest.mark.parametrize(
        'schedule',
        [
            lambda epochs: [
                dict(type='OneCycleLR', eta_max=1e-3, total_steps=2 * epochs, by_epoch=False)
            ],
            pytest.param(
                lambda epochs: [
                    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3),
                    dict(type='MultiStepLR', milestones=[1, epochs - 1], by_epoch=True),
                ],
                marks=pytest.mark.slow,
            ),
            pytest.param(
                lambda epochs: [
                    dict(
                        type='CosineAnnealingLR',
                        T_max=epochs,
                        by_epoch=True,
                        convert_to_iter_based=True,
                    )
                ],
                marks=pytest.mark.slow,
            ),
        ],
    )
    def test_into_a_new_schedule(self, trained, tmp_path, monkeypatch, schedule):
        """The rates of the rest are those of a run that had the new schedule from the start."""
        root, _ = trained
        rates: list[float] = []
        monkeypatch.setattr(
            FiniteHook,
            'before_train_iter',
            lambda self, runner, **_: rates.append(runner.optim_wrapper.get_lr()['lr'][0]),
        )

        def run(name: str, epochs: int, planned: int, **options) -> list[float]:
            rates.clear()
            cfg = make_config(root, tmp_path / name)
            cfg.param_scheduler, cfg.train_cfg.max_epochs = schedule(planned), epochs
            cfg.resume = bool(options)
            train_localizer(cfg, **options)
            return list(rates)

        whole = run('whole', 4, planned=4)
        first = run('parts', 2, planned=2)
        rest = run('parts', 4, planned=4, new_schedule=True)
        assert len(first) == len(rest) == len(whole) // 2
        assert first != whole[: len(first)]  # it is another schedule
        assert rest == pytest.approx(whole[len(first) :], rel=1e-9)

    def test_more_epochs_of_the_same_schedule(self, trained, tmp_path):
        root, _ = trained
        cfg = make_config(root, tmp_path)
        cfg.param_scheduler = [dict(type='MultiStepLR', milestones=[1], by_epoch=True)]
        train_localizer(Config(deepcopy(cfg.to_dict())))
        cfg.resume, cfg.train_cfg.max_epochs = True, 3
        assert train_localizer(cfg).epoch == 3

    def test_weights_alone(self, trained, tmp_path):
        root, work = trained
        checkpoint = torch.load(work / 'epoch_2.pth')
        del checkpoint['optimizer']
        torch.save(checkpoint, tmp_path / 'best_mAP.pth')
        cfg = make_config(root, tmp_path / 'work')
        cfg.resume, cfg.load_from = True, str(tmp_path / 'best_mAP.pth')
        with pytest.raises(CheckpointError, match='holds weights and no optimizer, so that no run'):
            train_localizer(cfg)


@HOOKS.register_module()
class SpoilHook(Hook):
    """Makes a weight NaN after an iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter == self.iteration:
            next(runner.model.parameters()).data[0] = float('nan')


class TestNotFinite:
    @pytest.mark.parametrize('head', ['ActionFormer', 'BMN'])
    def test_a_loss(self, trained, tmp_path, head):
        root, _ = trained
        cfg = make_config(root, tmp_path)
        if head == 'BMN':
            cfg = Config(localization_config(root, tmp_path))
        cfg.train_cfg.max_epochs = 4
        cfg.custom_hooks = [dict(type='SpoilHook', iteration=2)]
        with pytest.raises(NotFiniteError) as caught:
            train_localizer(cfg)
        message = str(caught.value)
        assert 'training stopped in epoch 2, iteration 4 (videos v_0' in message
        assert 'loss' in message and ' nan' in message
        assert f'the last good checkpoint is {tmp_path / "epoch_1.pth"}' in message
        assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['epoch_1.pth']

    def test_skipped_steps_of_half_precision(self, monkeypatch):
        """A gradient scaler skips what overflows now and then."""
        runner = SimpleNamespace(
            optim_wrapper=object.__new__(AmpOptimWrapper), epoch=0, iter=0, work_dir='nowhere'
        )
        hook = FiniteHook(interval=1)
        good, bad = (dict(loss=torch.tensor(value)) for value in (1.0, float('inf')))
        for outputs in (bad, bad, good, bad, bad):
            hook.after_train_iter(runner, 0, {}, outputs)
        with pytest.raises(NotFiniteError, match='loss inf; there is no checkpoint yet'):
            hook.after_train_iter(runner, 0, {}, bad)

    def test_weights_of_the_last_iteration(self, trained, tmp_path):
        """Their loss is not seen any more: no checkpoint is written of them."""
        root, _ = trained
        cfg = make_config(root, tmp_path)
        cfg.custom_hooks = [dict(type='SpoilHook', iteration=3)]
        with pytest.raises(NotFiniteError, match='weights of .*; the last good .*epoch_1.pth'):
            train_localizer(cfg)
        assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['epoch_1.pth']

    def test_similarity_matching(self, trained, tmp_path):
        cfg = tiny_pretraining(trained[0], tmp_path)
        cfg.custom_hooks = [dict(type='SpoilHook', iteration=0)]
        with pytest.raises(NotFiniteError, match='iteration 2: loss nan; there is no checkpoint'):
            pretrain(cfg)
        assert not (tmp_path / 'sola.pth').exists()

    def test_the_loss_is_nan_where_an_entry_is(self):
        tsm = torch.full((2, 3, 3), 0.5, requires_grad=True)
        target = torch.full((3, 3), 0.7)
        expected = torch.nn.functional.binary_cross_entropy(tsm, target.expand_as(tsm))
        assert torch.equal(similarity_matching_loss(tsm, target), expected)
        spoiled = tsm.detach().clone()
        spoiled[1, 0, 0] = float('nan')
        assert similarity_matching_loss(spoiled, target).isnan()

    @pytest.mark.parametrize('value', [float('nan'), float('inf')])
    def test_a_checkpoint(self, trained, tmp_path, value):
        root, work = trained
        checkpoint = torch.load(work / 'epoch_2.pth')
        name = list(checkpoint['state_dict'])[0]
        checkpoint['state_dict'][name].view(-1)[0] = value
        torch.save(checkpoint, tmp_path / 'bad.pth')
        for use in (load_localizer, run_test):
            with pytest.raises(CheckpointError, match=f'weights that are not finite .{name}'):
                use(make_config(root, tmp_path), tmp_path / 'bad.pth')


class TestNeckOfACheckpoint:
    """``load_from`` with ``SoLaPretrainHook``: the head was trained behind that neck."""

    NECK = dict(type='SoLa', hidden_channels=4)

    def config(self, root: Path, work_dir: Path, neck=NECK, **hook) -> Config:
        cfg = Config(localization_config(root, work_dir))
        cfg.train_cfg.max_epochs = 1
        if neck:
            cfg.model.neck = dict(neck)
            options = dict(pretext=TINY_MATCHER, batch_size=4, max_epochs=1)
            cfg.custom_hooks = [dict(type='SoLaPretrainHook', **options, **hook)]
        return cfg

    def test_is_kept(self, trained, tmp_path):
        root, _ = trained
        before = train_localizer(self.config(root, tmp_path / 'a')).model.neck
        cfg = self.config(root, tmp_path / 'b')
        cfg.load_from = str(tmp_path / 'a/epoch_1.pth')
        after = train_localizer(cfg).model.neck
        assert after.frozen and not (tmp_path / 'b/sola').exists()
        for name, value in before.state_dict().items():
            assert torch.equal(value, after.state_dict()[name])

    def test_gives_way_to_one_that_was_chosen(self, trained, tmp_path):
        root, _ = trained
        train_localizer(self.config(root, tmp_path / 'a'))
        other = pretrain(tiny_pretraining(root, tmp_path / 'other'))
        neck = read_checkpoint(other)
        chosen = {key: value for key, value in neck['neck'].items() if key != 'in_channels'}
        cfg = self.config(root, tmp_path / 'b', chosen, checkpoint=str(other))
        cfg.model.neck = dict(chosen)
        state = train_localizer(cfg).model.neck.state_dict()
        assert torch.equal(state['alpha'].cpu(), neck['state_dict']['alpha'])

    def test_of_a_head_without_one_is_trained(self, trained, tmp_path):
        root, _ = trained
        train_localizer(self.config(root, tmp_path / 'a', neck=None))
        cfg = self.config(root, tmp_path / 'b')
        cfg.load_from = str(tmp_path / 'a/epoch_1.pth')
        assert train_localizer(cfg).model.neck.alpha != 0
        assert (tmp_path / 'b/sola/sola.pth').is_file()


def test_a_metric_that_is_given_as_a_class(trained, tmp_path):
    from sola_plugin.commands.testing import _tal_metric
    from sola_plugin.evaluation.tal_metric import TALMetric

    for kind in ('TALMetric', TALMetric, 'sola_plugin.evaluation.tal_metric.TALMetric'):
        found = _tal_metric(Config(dict(test_evaluator=dict(type=kind, tiou_thresholds='hacs'))))
        assert found == dict(type='TALMetric', tiou_thresholds='hacs')


class TestScores:
    @pytest.fixture
    def bmn(self, trained, tmp_path) -> tuple[Config, Path]:
        cfg = Config(localization_config(trained[0], tmp_path))
        torch.manual_seed(0)
        path = tmp_path / 'bmn.pth'
        torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)
        return cfg, path

    def scores(self, tmp_path, values, videos=('v_04', 'v_05')) -> str:
        content = {video: dict(zip(CLASSES, values)) for video in videos}
        (tmp_path / 'scores.json').write_text(json.dumps(content))
        return str(tmp_path / 'scores.json')

    @pytest.mark.parametrize('values', [(5.0, -3.0), (0.5, 1.01), (-1e-9, 0.2)])
    def test_no_probabilities(self, bmn, tmp_path, values):
        with pytest.raises(ValueError, match=r"video 'v_04': expected probabilities .*--score-t"):
            run_test(*bmn, self.scores(tmp_path, values))

    @pytest.mark.parametrize('transform', ['sigmoid', 'softmax'])
    def test_made_to_probabilities(self, bmn, tmp_path, transform):
        run_test(*bmn, self.scores(tmp_path, (5.0, -3.0)), score_transform=transform)
        found = json.loads((tmp_path / 'detections.json').read_text())['results']['v_04']
        assert found[0]['label'] == 'jump' and all(0 <= d['score'] <= 1 for d in found)

    def test_videos_without_scores_are_named_before_the_test(self, bmn, tmp_path):
        path = self.scores(tmp_path, (0.9, 0.1), ['v_05', 'v_00'])
        with pytest.raises(ValueError, match=r"no class scores for 1 videos: 'v_04'; the file has"):
            run_test(*bmn, path)
        assert not (tmp_path / 'detections.json').exists()


class TestBeforeTheFirstIteration:
    """What would end a run at its first validation, or in its first batch."""

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            (
                dict(segment=[9.0, 3.0]),
                r"segment \[9.0, 3.0\] of video 'v_04' is not finite",
            ),
            (None, 'none of the 2 videos has an annotated segment'),
        ],
        ids=['reversed', 'background only'],
    )
    def test_a_validation_set_that_cannot_be_evaluated(self, tmp_path, change, message):
        root = make_dataset(tmp_path / 'data')
        content = json.loads((root / 'annotations.json').read_text())
        for video in ('v_04', 'v_05'):
            annotations = content['database'][video]['annotations']
            if change is None:
                annotations.clear()
            else:
                annotations[0].update(change)
        (root / 'annotations.json').write_text(json.dumps(content))
        cfg = make_config(root, tmp_path / 'work')
        cfg.val_dataloader, cfg.val_cfg = deepcopy(cfg.test_dataloader), dict()
        cfg.val_evaluator = [dict(type='TALMetric', metrics='AR')]
        with pytest.raises(AnnotationError, match=f'set cannot be evaluated: .*{message}'):
            train_localizer(cfg)
        assert not list((tmp_path / 'work').glob('*.pth'))

    def test_channels(self, trained, tmp_path):
        cfg = TestNeckOfACheckpoint().config(trained[0], tmp_path)
        cfg.model.feat_dim = 20
        with pytest.raises(ChannelError, match='features have 16 channels, the neck .* expects 20'):
            train_localizer(cfg)

    def test_videos_that_are_all_too_short(self, tmp_path):
        """The message has a line that works."""
        root = make_dataset(tmp_path / 'data')
        for number, path in enumerate(sorted((root / 'features').glob('*.npy'))):
            np.save(path, np.load(path)[: 11 + number % 2])
        cfg = TestNeckOfACheckpoint().config(root, tmp_path / 'work')
        cfg.custom_hooks[0].pop('pretext')
        with pytest.raises(FeatureError) as caught:
            train_localizer(Config(cfg.to_dict()))
        line = re.search(r'pretext=(dict\(.*\))', str(caught.value))[1]
        assert 'windows of 11 snippets' in str(caught.value)
        cfg.custom_hooks[0].pretext = eval(line)
        assert train_localizer(cfg).model.neck.alpha != 0

    @pytest.mark.parametrize('window', range(3, 60))
    def test_geometry_that_fits(self, window):
        matcher = SimilarityMatcher(SoLa(4, 4), **fitting_geometry(window))
        assert matcher(torch.zeros(1, 4, window))['loss'].isfinite()
