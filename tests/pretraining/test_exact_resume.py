"""A localizer's run that is stopped and resumed ends with the weights of one that was not."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import HOOKS, TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from sola_plugin.commands import train_localizer
from sola_plugin.pretraining import resuming as resume_module
from sola_plugin.pretraining.checkpoint_files import newest_checkpoint
from sola_plugin.pretraining.random_state import seed_by_epoch
from sola_plugin.pretraining.ranks import prepare_cpu_ranks
from sola_plugin.pretraining.resuming import resume_from_newest
from tests.conftest import ROOT, TINY_MATCHER, localization_config, make_dataset
from tests.processes import START_METHOD, reserved_port

#: Compared to the bit.
ON_CPU = True

JOINT = dict(neck=dict(type='SoLa', hidden_channels=4), similarity_matching=TINY_MATCHER)
PRETRAIN = dict(type='SoLaPretrainHook', pretext=TINY_MATCHER, batch_size=4, max_epochs=2)
LAST = 'epoch_3.pth'


class Stopped(Exception):
    """Stands for a kill."""


@HOOKS.register_module()
class StopHook(Hook):
    """Stops a run in the middle of some epochs."""

    priority = 'LOWEST'

    def __init__(self, epochs) -> None:
        self.epochs = epochs

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.epoch in self.epochs:
            raise Stopped


@TRANSFORMS.register_module()
class RandomShift(BaseTransform):
    """Draws from every generator that a pipeline may use."""

    def transform(self, results):
        drawn = random.random() + np.random.rand() + torch.rand(()).item()
        results['raw_feature'] = results['raw_feature'] + np.float32(drawn)
        return results


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return make_dataset(tmp_path_factory.mktemp('resumed') / 'data')


def make_config(root: Path, work_dir: Path, *, hooks=(), validate=False, **loader) -> Config:
    """Joint training of three epochs, with random numbers in the model and in the pipeline."""
    cfg = Config(localization_config(root, work_dir))
    cfg.model.update(deepcopy(JOINT))
    cfg.train_cfg.max_epochs = 3
    cfg.param_scheduler = [dict(type='OneCycleLR', eta_max=1e-2, total_steps=6, by_epoch=False)]
    cfg.train_dataloader.update(loader)
    cfg.train_dataloader.dataset.pipeline = [
        dict(type=name) for name in ('LoadFeatures', 'RandomShift', 'PackTALInputs')
    ]
    cfg.custom_hooks = [deepcopy(hook) for hook in hooks]
    if validate:
        cfg.val_dataloader, cfg.val_cfg = deepcopy(cfg.test_dataloader), dict()
        cfg.val_evaluator = [dict(type='TALMetric', metrics='AR')]
    return cfg


def stop(cfg: Config, *epochs: int) -> None:
    """Run a config that is stopped in an epoch."""
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='StopHook', epochs=list(epochs))]
    with pytest.raises(Stopped):
        train_localizer(cfg)


def resume(cfg: Config) -> Config:
    cfg.resume = True
    return cfg


def weights(path: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(path)
    ema = checkpoint.get('ema_state_dict', {})
    return {**checkpoint['state_dict'], **{f'ema.{key}': value for key, value in ema.items()}}


def assert_equal(one: Path, other: Path) -> None:
    one_state, other_state = weights(one), weights(other)
    assert list(one_state) == list(other_state)
    assert all(torch.equal(one_state[key], other_state[key]) for key in one_state)


@pytest.mark.slow
@pytest.mark.parametrize('persistent', [False, True], ids=['workers', 'persistent workers'])
def test_with_workers(root, tmp_path, monkeypatch, persistent):
    # How long torch waits for each persistent worker of a run that an exception ended.
    monkeypatch.setattr(torch.utils.data._utils, 'MP_STATUS_CHECK_INTERVAL', 0.1)
    options = dict(num_workers=2, persistent_workers=persistent)
    train_localizer(make_config(root, tmp_path / 'whole', **options))
    stop(make_config(root, tmp_path / 'stopped', **options), 1)
    train_localizer(resume(make_config(root, tmp_path / 'stopped', **options)))
    gc.collect()  # ends the workers of all three
    assert_equal(tmp_path / 'whole' / LAST, tmp_path / 'stopped' / LAST)


def test_stopped_while_the_neck_is_trained_and_twice_in_the_head(root, tmp_path, monkeypatch):
    """Joint training with a pretrained neck, EMA, and validation after every epoch."""
    from sola_plugin.pretraining import hook as pretrain_hook

    options = dict(hooks=[dict(type='EMAHook'), PRETRAIN], validate=True)
    train_localizer(make_config(root, tmp_path / 'whole', **options))
    pretrain = pretrain_hook.pretrain

    def stopped_pretrain(cfg):
        cfg.custom_hooks.append(dict(type='StopHook', epochs=[1]))
        return pretrain(cfg)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(pretrain_hook, 'pretrain', stopped_pretrain)
        train_localizer(make_config(root, tmp_path / 'stopped', **options))
    assert (tmp_path / 'stopped/sola/epoch_1.pth').is_file()
    for epoch in (1, 2):
        stop(resume(make_config(root, tmp_path / 'stopped', **options)), epoch)
    train_localizer(resume(make_config(root, tmp_path / 'stopped', **options)))
    assert_equal(tmp_path / 'whole' / LAST, tmp_path / 'stopped' / LAST)


class _Draws(Dataset):
    """Each item is drawn."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(()).item()


def draws(persistent: bool, epochs: range) -> list[tuple]:
    """What two workers draw in some epochs of a run, by epoch."""
    loader = Runner.build_dataloader(
        dict(
            dataset=_Draws(),
            sampler=dict(type='DefaultSampler'),
            batch_size=1,
            num_workers=2,
            persistent_workers=persistent,
            collate_fn=dict(type='pseudo_collate'),
        ),
        seed=0,
    )
    seeds = seed_by_epoch(loader)
    assert (seeds is not None) == persistent
    drawn = []
    for epoch in epochs:
        if seeds is not None:
            seeds.start(epoch)
        drawn.append(tuple(str(batch) for batch in loader))
    return drawn


def test_persistent_workers_draw_by_epoch():
    whole = draws(True, range(3))
    assert len({batch for epoch in whole for batch in epoch}) == 12
    assert whole[0] == draws(False, range(1))[0]  # what mmengine alone would draw
    assert draws(True, range(1, 3)) == whole[1:]


def test_a_seed_that_was_drawn_is_that_of_the_resumed_run(root, tmp_path):
    def config(name: str, seed: int | None) -> Config:
        cfg = make_config(root, tmp_path / name)
        cfg.randomness = dict(seed=seed)
        return cfg

    stop(config('stopped', None), 1)
    train_localizer(resume(config('stopped', None)))
    seed = torch.load(tmp_path / 'stopped' / LAST)['meta']['seed']
    train_localizer(config('whole', seed))
    assert_equal(tmp_path / 'whole' / LAST, tmp_path / 'stopped' / LAST)


def test_another_seed_is_not_taken(tmp_path, monkeypatch):
    warnings: list[str] = []
    monkeypatch.setattr(resume_module, 'print_log', lambda text, *_: warnings.append(text))
    torch.save(dict(meta=dict(seed=3), state_dict={}), tmp_path / 'epoch_1.pth')
    cfg = Config(dict(work_dir=str(tmp_path), randomness=dict(seed=4, deterministic=True)))
    resume_from_newest(cfg)
    assert cfg.randomness == dict(seed=3, deterministic=True)
    assert warnings == ['the run is resumed with its own seed 3, not 4']


@pytest.mark.parametrize(
    ('written', 'expected'),
    [
        (['iter_500', 'epoch_9', 'epoch_10'], 'epoch_10'),
        (['epoch_10', 'iter_900', 'iter_1000'], 'iter_1000'),
        (['epoch_10', 'epoch_9'], 'epoch_10'),  # of one kind the number counts: folders are copied
        (['iter_7', 'torn epoch_8'], 'iter_7'),
        (['best_mAP_epoch_9', 'epoch_1'], 'epoch_1'),
    ],
    ids=['epochs last', 'iterations last', 'one kind', 'torn', 'best'],
)
def test_the_newest_checkpoint_of_two_runs_in_one_folder(tmp_path, written, expected):
    for number, name in enumerate(written):
        path = tmp_path / f'{name.split()[-1]}.pth'
        torch.save(dict(state_dict={}), path)
        if name.startswith('torn'):
            path.write_bytes(path.read_bytes()[:100])
        os.utime(path, (number, number))
    assert newest_checkpoint(tmp_path) == tmp_path / f'{expected}.pth'


def test_a_checkpoint_without_random_states_is_resumed_with_a_warning(root, tmp_path):
    stop(make_config(root, tmp_path), 1)
    checkpoint = torch.load(tmp_path / 'epoch_1.pth')
    assert len(checkpoint.pop('random_states')) == 1
    torch.save(checkpoint, tmp_path / 'epoch_1.pth')
    runner = train_localizer(resume(make_config(root, tmp_path)))
    assert runner.epoch == 3
    log = (Path(runner.log_dir) / f'{runner.timestamp}.log').read_text()
    assert 'random states of 0 ranks, the run has 1' in log


@pytest.mark.slow
def test_the_tool_killed(tmp_path):
    """``tools/train.py`` with SIGKILL, then ``--resume``; a config without hooks."""
    root = make_dataset(tmp_path / 'data')
    cfg = Config(localization_config(root, tmp_path / 'unused'))
    cfg.train_cfg.max_epochs = 20
    cfg.dump(tmp_path / 'config.py')

    def start(name: str, *extra: str) -> subprocess.Popen:
        command = ['tools/train.py', tmp_path / 'config.py', '--work-dir', tmp_path / name, *extra]
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=ROOT,
            env=dict(os.environ, OMP_NUM_THREADS='1'),
            stdout=subprocess.DEVNULL,
        )

    whole, killed = start('whole'), start('killed')
    deadline = time.monotonic() + 120
    while not (tmp_path / 'killed/epoch_3.pth').exists():
        assert killed.poll() is None and time.monotonic() < deadline, 'no checkpoint appeared'
        time.sleep(0.002)
    killed.kill()
    killed.wait()
    assert not (tmp_path / 'killed/epoch_20.pth').exists()
    assert start('killed', '--resume').wait() == 0 and whole.wait() == 0
    assert_equal(tmp_path / 'whole/epoch_20.pth', tmp_path / 'killed/epoch_20.pth')


def _rank(rank: int, root: Path, folder: Path, port: int) -> None:
    """One of two ranks: a whole run, one that is stopped, and its end."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        WORLD_SIZE='2',
        LOCAL_RANK=str(rank),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )

    def config(name: str) -> Config:
        cfg = make_config(root, folder / name)
        cfg.launcher = 'pytorch'
        cfg.train_dataloader.batch_size = 1
        # Two of the four videos are shorter: in some steps one rank has none to match.
        cfg.model.similarity_matching.window = 31
        prepare_cpu_ranks(cfg)
        return cfg

    train_localizer(config('whole'))
    stop(config('stopped'), 1)
    train_localizer(resume(config('stopped')))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_of_which_one_has_no_video_to_match(root, tmp_path):
    lengths = [len(np.load(path)) for path in sorted((root / 'features').glob('*.npy'))[:4]]
    assert min(lengths) < 31 <= max(lengths)
    with reserved_port() as port:
        torch.multiprocessing.start_processes(
            _rank, (root, tmp_path, port), nprocs=2, start_method=START_METHOD
        )
    assert_equal(tmp_path / 'whole' / LAST, tmp_path / 'stopped' / LAST)
    states = torch.load(tmp_path / 'whole' / LAST)['random_states']
    assert not torch.equal(states[0]['torch'], states[1]['torch'])
