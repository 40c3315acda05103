"""The linear probe during similarity matching."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from sola_plugin.commands import train_localizer
from sola_plugin.evaluation.probe.linear_probe import METRICS, linear_probe
from sola_plugin.necks import build_sola, read_sola
from sola_plugin.pretraining.probe import (
    LinearProbeHook,
    build_probe_dataset,
    check_channels,
    read_probe_data,
)
from sola_plugin.pretraining.ranks import prepare_cpu_ranks
from sola_plugin.pretraining.run import pretrain, pretraining_config
from sola_plugin.pretraining.runs import name_run
from tests.conftest import (
    CHANNELS,
    STRIDE,
    TINY_MATCHER,
    feature_dataset,
    localization_config,
    make_dataset,
)
from tests.processes import START_METHOD, reserved_port

NECK = dict(type='SoLa', hidden_channels=4, kernel_sizes=(3, 1))


def probe_options(root: Path, **options) -> dict:
    return dict(
        train=feature_dataset(root, subset='training'),
        test=feature_dataset(root, subset='validation', test_mode=True),
        **options,
    )


def matching(root: Path, work_dir: Path, epochs: int = 3, hook: dict | None = None) -> Config:
    """Similarity matching of three iterations an epoch, with the probe if ``hook`` is not None."""
    cfg = pretraining_config(
        dict(NECK, in_channels=CHANNELS),
        dict(root=str(root / 'features'), layout='TC'),
        work_dir,
        pretext=TINY_MATCHER,
        batch_size=4,
        max_epochs=epochs,
        windows_per_video=2,
        lr=0.1,
        seed=0,
    )
    if hook is not None:
        cfg.custom_hooks.append(dict(type='LinearProbeHook', **probe_options(root, **hook)))
    return cfg


def run(cfg: Config) -> Runner:
    name_run(cfg)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def history(runner: Runner, name: str) -> list[float]:
    return runner.message_hub.get_scalar(name).data[0].tolist()


def figures_by_hand(root: Path, neck: nn.Module | None, balanced: bool = False) -> dict[str, float]:
    """The probe from the files, without the package's datasets."""
    parts, neck = [], neck and copy.deepcopy(neck).cpu()
    for subset in ('training', 'validation'):
        features, labels = [], []
        for name, video in json.loads((root / 'annotations.json').read_text())['database'].items():
            if video['subset'] != subset:
                continue
            x = torch.from_numpy(np.load(root / 'features' / f'{name}.npy').T.copy())
            if neck is not None:
                with torch.no_grad():
                    x = neck.eval()(x[None])[0]
            features.append(x.numpy().T)
            labels += [
                any(
                    a['segment'][0] <= (i + 0.5) * STRIDE <= a['segment'][1]
                    for a in video['annotations']
                )
                for i in range(x.shape[1])
            ]
        parts += [np.concatenate(features), np.array(labels)]
    return linear_probe(*parts, balanced=balanced)


def noisy_dataset(root: Path) -> Path:
    """The tiny data, with actions that cannot be told apart without errors."""
    rng = np.random.default_rng(0)
    for path in (make_dataset(root) / 'features').iterdir():
        features = np.load(path)
        np.save(path, features + rng.normal(scale=4, size=features.shape).astype(np.float32))
    return root


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """Root of the noisy data."""
    return noisy_dataset(tmp_path / 'data')


@pytest.fixture(scope='module')
def finished(tmp_path_factory) -> tuple[Path, Path, Runner]:
    """Data, work dir and runner of three epochs that are probed every second."""
    folder = tmp_path_factory.mktemp('probe')
    root = noisy_dataset(folder / 'data')
    return root, folder / 'work', run(matching(root, folder / 'work', hook=dict(interval=2)))


def test_training_is_the_same(finished, tmp_path):
    root, _, runner = finished
    plain = run(matching(root, tmp_path))
    # The same windows in the same order. The last bit of a sum is not the hook's: it may depend on
    # where in memory a tensor lies.
    losses = history(plain, 'train/loss')
    assert history(runner, 'train/loss') == pytest.approx(losses, rel=1e-6)
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(runner.model.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_before_the_first_epoch_every_interval_and_after_the_last(finished):
    _, work, runner = finished
    assert all(len(history(runner, f'probe/{metric}')) == 3 for metric in METRICS)
    lines = [json.loads(line) for line in next(work.glob('*/vis_data/scalars.json')).open()]
    probed = [line for line in lines if 'probe/accuracy' in line]
    assert [line['step'] for line in probed] == [0, 2, 3]
    assert set(probed[0]) == {f'probe/{metric}' for metric in METRICS} | {'step'}
    log = next(work.glob('*/*.log')).read_text()
    first = history(runner, 'probe/accuracy')[0]
    assert f'linear probe at epoch 0: accuracy {first:.4f}, balanced accuracy 0.' in log
    assert 'linear probe at epoch 2:' in log and 'linear probe at epoch 3:' in log


def test_figures_are_those_of_raw_features_and_of_the_trained_neck(finished):
    root, _, runner = finished
    start, end = figures_by_hand(root, None), figures_by_hand(root, runner.model.neck)
    assert start != end
    for metric in METRICS:
        first, *_, last = history(runner, f'probe/{metric}')
        assert (first, last) == pytest.approx((start[metric], end[metric]), abs=1e-6)


def test_action_and_background_weigh_the_same(finished, tmp_path):
    root, _, plain = finished
    runner = run(matching(root, tmp_path, epochs=1, hook=dict(balanced=True)))
    expected = figures_by_hand(root, None, balanced=True)
    for metric in METRICS:
        assert history(runner, f'probe/{metric}')[0] == pytest.approx(expected[metric], abs=1e-6)
    assert expected['accuracy'] != history(plain, 'probe/accuracy')[0]


def test_training_mode_is_as_before(finished):
    _, _, runner = finished
    assert all(module.training for module in runner.model.modules())
    assert all(parameter.requires_grad for parameter in runner.model.parameters())


def test_resume_goes_on_with_the_history(finished, tmp_path):
    root, _, whole = finished
    run(matching(root, tmp_path, epochs=1, hook=dict(interval=2)))
    cfg = matching(root, tmp_path, hook=dict(interval=2))
    cfg.resume = True
    resumed = run(cfg)
    assert history(resumed, 'train/loss') == pytest.approx(history(whole, 'train/loss'), abs=1e-6)
    # The run of one epoch ended there, and was probed at its end.
    start, _, *rest = history(resumed, 'probe/accuracy')
    assert [start, *rest] == pytest.approx(history(whole, 'probe/accuracy'), abs=1e-6)


def test_in_the_nested_run_of_the_pretraining_hook(data_root, tmp_path):
    cfg = Config(localization_config(data_root, tmp_path))
    cfg.model.neck = dict(NECK)
    cfg.custom_hooks = [
        dict(
            type='SoLaPretrainHook',
            pretext=TINY_MATCHER,
            batch_size=4,
            max_epochs=1,
            probe=probe_options(data_root),
        )
    ]
    cfg.train_cfg.max_epochs = 1
    runner = train_localizer(cfg)
    log = next((tmp_path / 'sola').glob('*/*.log')).read_text()
    assert 'linear probe at epoch 0:' in log and 'linear probe at epoch 1:' in log
    assert not any(name.startswith('probe/') for name in runner.message_hub.log_scalars)


def _rank(rank: int, root: Path, work_dir: Path, port: int, hook: dict | None) -> None:
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    cfg = matching(root, work_dir, epochs=2, hook=hook)
    cfg.launcher = 'pytorch'
    prepare_cpu_ranks(cfg)
    pretrain(cfg)
    torch.distributed.destroy_process_group()


def test_on_two_processes_with_a_wrapped_model(data_root, tmp_path, on_cpu):
    """The main rank probes alone; training is the same as without the hook."""
    for name, hook in (('with', dict(interval=1)), ('without', None)):
        with reserved_port() as port:
            torch.multiprocessing.start_processes(
                _rank, (data_root, tmp_path / name, port, hook), nprocs=2, start_method=START_METHOD
            )
    probed, plain = (read_sola(tmp_path / name / 'sola.pth') for name in ('with', 'without'))
    assert probed['meta']['losses'] == plain['meta']['losses']
    log = ''.join(path.read_text() for path in (tmp_path / 'with').glob('*/*.log'))
    assert [log.count(f'linear probe at epoch {epoch}:') for epoch in range(3)] == [1, 1, 1]
    expected = figures_by_hand(data_root, build_sola(tmp_path / 'with/sola.pth'))[
        'average_precision'
    ]
    assert f'average precision {expected:.4f}' in log.rpartition('linear probe')[2]


class _Noisy(nn.Module):
    """A neck that behaves differently in training, with one part that is kept in evaluation
    mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fixed, self.drop = (
            nn.BatchNorm1d(CHANNELS),
            nn.BatchNorm1d(CHANNELS),
            nn.Dropout(),
        )
        self.scale = nn.Conv1d(CHANNELS, CHANNELS, 1)
        self.fixed.eval()

    def forward(self, x):
        torch.rand(3)
        return self.scale(self.drop(self.fixed(self.norm(x))))


def test_reading_leaves_the_neck_as_it_was(data_root):
    neck, dataset = _Noisy(), build_probe_dataset(probe_options(data_root)['test'], 'test')
    modes = [module.training for module in neck.modules()]
    before = {name: value.clone() for name, value in neck.state_dict().items()}
    first, second = (read_probe_data(dataset, neck).features for _ in range(2))
    assert (first == second).all()
    assert [module.training for module in neck.modules()] == modes and False in modes[1:]
    for name, value in neck.state_dict().items():
        assert torch.equal(value, before[name])


def test_mixed_precision_does_not_matter(data_root):
    neck, dataset = _Noisy(), build_probe_dataset(probe_options(data_root)['test'], 'test')
    full = read_probe_data(dataset, neck).features
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert (read_probe_data(dataset, neck).features == full).all()


class _Model(BaseModel):
    """A model with a neck that draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.neck = _Noisy()

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=self.neck(inputs).square().mean())


def test_random_numbers_that_the_probe_draws_are_not_missed_in_training(data_root, tmp_path):
    losses = []
    for name, hook in (('with', dict(interval=1)), ('without', None)):
        cfg = matching(data_root, tmp_path / name, epochs=2, hook=hook)
        keys = (
            'work_dir',
            'train_dataloader',
            'train_cfg',
            'optim_wrapper',
            'custom_hooks',
            'default_scope',
            'randomness',
        )
        torch.manual_seed(0)
        runner = Runner(model=_Model(), experiment_name=name, **{key: cfg[key] for key in keys})
        runner.train()
        losses.append(history(runner, 'train/loss'))
    assert losses[0] == losses[1]


@pytest.mark.parametrize('interval', [0, -1])
def test_interval(interval):
    with pytest.raises(ValueError, match=f'expected interval >= 1 epoch, got {interval}'):
        LinearProbeHook({}, {}, interval=interval)


def refused(cfg: Config, message: str) -> None:
    """Training does not begin."""
    with pytest.raises(ValueError, match=message):
        pretrain(cfg)
    assert not list(Path(cfg.work_dir).glob('epoch_*.pth'))


class TestBadInput:
    """Said before training."""

    def test_other_channels(self, finished, data_root, tmp_path):
        other = tmp_path / 'other/features'
        other.mkdir(parents=True)
        for path in (data_root / 'features').iterdir():
            np.save(other / path.name, np.load(path)[:, :12])
        cfg = matching(data_root, tmp_path / 'work', hook={})
        cfg.custom_hooks[-1]['test']['data_prefix'] = dict(features=str(other))
        refused(cfg, r'features in .*other/features have 12 channels, the neck expects 16: ')
        # Also when the run is resumed, where there is no probe at the start.
        shutil.copytree(finished[1], cfg.work_dir, dirs_exist_ok=True)
        cfg.update(resume=True, experiment_name=None)
        with pytest.raises(ValueError, match='have 12 channels'):
            pretrain(cfg)

    def test_only_foreground(self, data_root, tmp_path):
        path = data_root / 'annotations.json'
        content = json.loads(path.read_text())
        for video in content['database'].values():
            if video['subset'] == 'validation':
                video['annotations'] = [dict(segment=[0, video['duration']], label='run')]
        path.write_text(json.dumps(content))
        refused(
            matching(data_root, tmp_path, hook={}), r'test: (\d+) of \1 snippets are foreground'
        )

    def test_missing_features(self, data_root, tmp_path):
        (data_root / 'features/v_05.npy').unlink()
        refused(matching(data_root, tmp_path, hook={}), "1 of 2 videos have no features: 'v_05'")

    def test_other_dataset(self, data_root, tmp_path):
        cfg = matching(data_root, tmp_path, hook={})
        cfg.custom_hooks[-1]['train']['type'] = 'ActivityNetDataset'
        refused(
            cfg,
            r"train data of the linear probe: expected dict\(type='TALFeatureDataset'.*'Activity",
        )

    def test_unknown_option(self, data_root, tmp_path):
        cfg = matching(data_root, tmp_path, hook={})
        cfg.custom_hooks[-1]['test']['stride'] = 2
        refused(cfg, "test data of the linear probe: .*unexpected keyword argument 'stride'")

    def test_no_neck(self, data_root, tmp_path):
        cfg = Config(localization_config(data_root, tmp_path))
        cfg.custom_hooks = [dict(type='LinearProbeHook', **probe_options(data_root))]
        with pytest.raises(
            ValueError, match=r"BMN has none: add neck=dict\(type='SoLa'\) to the model"
        ):
            train_localizer(cfg)


def test_a_neck_without_channels_takes_any(data_root):
    dataset = build_probe_dataset(probe_options(data_root)['test'], 'test')
    check_channels(dataset, None)
    check_channels(dataset, nn.Identity())
