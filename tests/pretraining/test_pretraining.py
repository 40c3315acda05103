"""Similarity matching as a run: the tool, resuming, the hook."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger

from sola_plugin.commands import train_localizer
from sola_plugin.necks import build_sola, read_sola
from sola_plugin.pretraining.checkpoint_files import newest_checkpoint
from sola_plugin.pretraining.hook import SoLaPretrainHook
from sola_plugin.pretraining.run import SCHEDULE, pretrain, pretraining_config
from tests.conftest import (
    CHANNELS,
    ROOT,
    TINY_MATCHER,
    feature_dataset,
    hidden_gpu,
    localization_config,
    make_dataset,
)
from tests.processes import environment

NECK = dict(type='SoLa', hidden_channels=4, kernel_sizes=(3, 1))


def tiny_pretraining(root: Path, work_dir: Path, **options) -> Config:
    options = dict(batch_size=4, max_epochs=3, windows_per_video=2, lr=1e-2, seed=0, **options)
    features = dict(root=str(root / 'features'), layout='TC')
    return pretraining_config(
        dict(NECK, in_channels=CHANNELS), features, work_dir, pretext=TINY_MATCHER, **options
    )


def test_pretraining_lowers_the_loss_and_writes_a_small_file(data_root, tmp_path):
    path = pretrain(tiny_pretraining(data_root, tmp_path / 'work'))
    assert path == tmp_path / 'work' / 'sola.pth'
    checkpoint = read_sola(path)
    losses = checkpoint['meta']['losses']
    assert len(losses) == 3 and losses[-1] < losses[0] and np.isfinite(losses).all()
    assert checkpoint['meta']['pretext'].items() >= TINY_MATCHER.items()
    assert set(checkpoint['state_dict']) == set(build_sola(path).state_dict())
    assert build_sola(path).alpha != 0
    assert path.stat().st_size < 20_000


def test_no_annotations_are_needed(data_root, tmp_path):
    (data_root / 'annotations.json').unlink()
    assert pretrain(tiny_pretraining(data_root, tmp_path / 'work')).is_file()


def test_resume_continues_the_same_run(data_root, tmp_path):
    whole = read_sola(pretrain(tiny_pretraining(data_root, tmp_path / 'whole')))
    first = tiny_pretraining(data_root, tmp_path / 'parts')
    first.train_cfg.max_epochs = 2
    pretrain(first)
    second = tiny_pretraining(data_root, tmp_path / 'parts')
    second.resume = True
    parts = read_sola(pretrain(second))
    np.testing.assert_allclose(parts['meta']['losses'], whole['meta']['losses'], rtol=0, atol=1e-6)
    for key, value in whole['state_dict'].items():
        torch.testing.assert_close(parts['state_dict'][key], value)


def test_resuming_with_another_neck_is_refused(data_root, tmp_path):
    pretrain(tiny_pretraining(data_root, tmp_path))
    cfg = tiny_pretraining(data_root, tmp_path)
    cfg.resume, cfg.model.neck.dilations = True, (2, 1)
    with pytest.raises(ValueError, match=r'another SoLa: dilations=\(1, 1\), now \(2, 1\)'):
        pretrain(cfg)


def test_a_torn_checkpoint_is_passed_over(data_root, tmp_path):
    cfg = tiny_pretraining(data_root, tmp_path)
    pretrain(cfg)
    torn = tmp_path / 'epoch_3.pth'
    torn.write_bytes(torn.read_bytes()[:1000])
    assert newest_checkpoint(tmp_path) == tmp_path / 'epoch_2.pth'
    (tmp_path / 'epoch_2.pth').write_bytes(b'')
    assert newest_checkpoint(tmp_path) is None


def test_tensorboard_log(data_root, tmp_path):
    cfg = tiny_pretraining(data_root, tmp_path)
    cfg.visualizer = dict(type='Visualizer', vis_backends=[dict(type='TensorboardVisBackend')])
    cfg.default_hooks.logger.interval = 1
    pretrain(cfg)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = tmp_path.glob('*/vis_data/events.out.tfevents.*')
    log = EventAccumulator(str(events.parent)).Reload()
    logged = [event.value for event in log.Scalars('loss')]
    assert len(logged) == 9 and logged[0] > 0  # 3 epochs of 12 windows, 4 in a batch


def test_another_model_is_refused(data_root, tmp_path):
    cfg = Config(localization_config(data_root, tmp_path))
    with pytest.raises(
        TypeError, match='expected a pretext task such as SimilarityMatcher, got BMN'
    ):
        pretrain(cfg)


#: A module beside the config: a run that is told so stops in its fifth epoch.
STOPPING = """
import os, time
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class Stopping(Hook):
    def before_train_epoch(self, runner):
        if 'STOP_IN_EPOCH_5' in os.environ and runner.epoch == 4:
            time.sleep(600)
"""


@pytest.mark.slow
def test_tool_killed_and_resumed_ends_with_the_same_loss(tmp_path, monkeypatch, run_script):
    """``tools/pretrain_sola.py`` with SIGKILL in the middle, then ``--resume``."""
    root = make_dataset(tmp_path / 'data')
    cfg = tiny_pretraining(root, tmp_path / 'unused')
    cfg.train_cfg.max_epochs = 8
    cfg.custom_imports = dict(imports=['sola_plugin', 'stopping_hook'], allow_failed_imports=False)
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='Stopping')]
    cfg.dump(tmp_path / 'config.py')
    (tmp_path / 'stopping_hook.py').write_text(STOPPING)
    monkeypatch.syspath_prepend(tmp_path)
    tool = 'tools/pretrain_sola.py'

    def arguments(work_dir: str) -> list[str]:
        return [str(tmp_path / 'config.py'), '--work-dir', str(tmp_path / work_dir), '--seed', '3']

    killed = subprocess.Popen(
        [sys.executable, ROOT / tool, *arguments('killed')],
        env=environment(tmp_path, STOP_IN_EPOCH_5='1'),
        stdout=subprocess.DEVNULL,
    )
    assert run_script(tool, *arguments('whole')).returncode == 0
    deadline = time.monotonic() + 120
    while not (tmp_path / 'killed' / 'epoch_4.pth').exists():
        assert killed.poll() is None and time.monotonic() < deadline, 'no checkpoint appeared'
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / 'killed' / 'sola.pth').exists()
    resumed = run_script(tool, *arguments('killed'), '--resume')
    epoch = int(re.search(r'resumed epoch: (\d+)', resumed.stdout)[1])
    assert resumed.returncode == 0 and 3 <= epoch <= 4
    a, b = (read_sola(tmp_path / name / 'sola.pth')['meta'] for name in ('whole', 'killed'))
    assert len(b['losses']) == 8 and a['iterations'] == b['iterations']
    np.testing.assert_allclose(b['losses'], a['losses'], rtol=0, atol=1e-4)


def hook_config(root: Path, work_dir: Path, **hook) -> Config:
    cfg = Config(localization_config(root, work_dir))
    cfg.model.neck = dict(NECK)
    cfg.custom_hooks = [
        dict(
            type='SoLaPretrainHook',
            pretext=TINY_MATCHER,
            batch_size=4,
            max_epochs=2,
            lr=1e-2,
            **hook,
        )
    ]
    return cfg


def trained(cfg: Config):
    return train_localizer(cfg).model


@pytest.fixture(scope='module')
def first_run(tmp_path_factory):
    """Work dir and model of a run with the hook, on data like ``data_root``; not to be changed."""
    folder = tmp_path_factory.mktemp('first_run')
    root = make_dataset(folder / 'data')
    with hidden_gpu():  # compared to the bit
        return folder / 'work', trained(hook_config(root, folder / 'work'))


class TestHook:
    """``SoLaPretrainHook`` in a head-training config."""

    def test_separate_keeps_the_neck_of_similarity_matching(self, first_run):
        work, model = first_run
        matched = read_sola(work / 'sola/sola.pth')
        for key, value in matched['state_dict'].items():
            assert torch.equal(model.neck.state_dict()[key].cpu(), value)
        assert model.neck.frozen and model.neck.alpha != 0
        # The training set's own features: 4 of 6 videos.
        assert matched['meta']['iterations'] == 2

    def test_finetune_goes_on_learning(self, data_root, tmp_path):
        model = trained(hook_config(data_root, tmp_path / 'work', freeze=False))
        matched = read_sola(tmp_path / 'work/sola/sola.pth')['state_dict']
        assert model.neck.alpha.item() != matched['alpha'].item()

    def test_existing_checkpoint_is_used_and_the_head_does_not_notice(
        self, first_run, data_root, tmp_path, on_cpu
    ):
        work, first = first_run
        checkpoint = work / 'sola/sola.pth'
        written = checkpoint.stat().st_mtime_ns
        second = trained(hook_config(data_root, tmp_path / 'b', checkpoint=str(checkpoint)))
        assert checkpoint.stat().st_mtime_ns == written and not (tmp_path / 'b/sola').exists()
        # Same random state for the head whether similarity matching ran before it or not.
        for a, b in zip(first.state_dict().values(), second.state_dict().values()):
            assert torch.equal(a, b)

    def test_checkpoint_path_is_made(self, data_root, tmp_path):
        trained(hook_config(data_root, tmp_path / 'a', checkpoint=str(tmp_path / 'necks/my.pth')))
        assert (tmp_path / 'necks/my.pth').is_file()

    def test_resume_takes_the_neck_of_the_run(self, data_root, tmp_path):
        cfg = hook_config(data_root, tmp_path / 'work', freeze=False)
        cfg.train_cfg.max_epochs = 1
        before = trained(cfg).neck.alpha.item()
        (tmp_path / 'work/sola/sola.pth').unlink()
        cfg = hook_config(data_root, tmp_path / 'work', freeze=False)
        cfg.resume = True
        after = trained(cfg).neck.alpha.item()
        assert not (tmp_path / 'work/sola/sola.pth').exists()  # not trained again
        assert after != before and abs(after - before) < 0.02  # one epoch further

    @pytest.mark.slow
    def test_killed_during_similarity_matching(self, data_root, tmp_path, monkeypatch):
        from sola_plugin.pretraining import run as pretraining

        def killed(*_args, **_kwargs):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(pretraining, 'save_sola', killed)
            with pytest.raises(KeyboardInterrupt):
                trained(hook_config(data_root, tmp_path / 'work'))
        model = trained(hook_config(data_root, tmp_path / 'work'))
        losses = read_sola(tmp_path / 'work/sola/sola.pth')['meta']['losses']
        assert len(losses) == 2 and model.neck.frozen

    def test_outer_run_keeps_its_log_and_hub(self, data_root, tmp_path):
        runner = train_localizer(hook_config(data_root, tmp_path / 'work'))
        assert MMLogger.get_current_instance() is runner.logger
        assert MessageHub.get_current_instance() is runner.message_hub
        log = next((tmp_path / 'work').glob('2*/*.log')).read_text()
        assert re.search(r'Epoch\(train\) +\[2\]', log)

    def test_source_may_be_other_data(self, data_root, tmp_path):
        cfg = hook_config(data_root, tmp_path / 'work', features=feature_dataset(data_root))
        trained(cfg)
        assert (
            read_sola(tmp_path / 'work/sola/sola.pth')['meta']['iterations'] == 4
        )  # 6 of 6 videos

    def test_needs_a_neck(self, data_root, tmp_path):
        cfg = hook_config(data_root, tmp_path / 'work')
        del cfg.model['neck']
        with pytest.raises(
            ValueError, match=r"needs a model with a SoLa neck: add neck=dict\(type='SoLa'\)"
        ):
            trained(cfg)

    def test_checkpoint_of_another_size(self, first_run, data_root, tmp_path):
        cfg = hook_config(data_root, tmp_path, checkpoint=str(first_run[0] / 'sola/sola.pth'))
        cfg.model.neck.hidden_channels = 8
        with pytest.raises(ValueError, match='does not fit the neck .*hidden_channels=4'):
            trained(cfg)

    def test_a_chosen_neck_may_be_another_one(self, first_run, data_root, tmp_path):
        """Transfer from other data: what differs is logged."""
        change_features(data_root)
        cfg = hook_config(data_root, tmp_path, checkpoint=str(first_run[0] / 'sola/sola.pth'))
        cfg.custom_hooks[0].pretext.step = 1
        runner = train_localizer(cfg)
        log = Path(runner._log_dir, f'{runner.timestamp}.log').read_text()
        assert (
            'was trained otherwise than the config says: step=2, now 1; other features in 4 of 4'
            in log
        )

    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            (
                dict(max_epoch=3),
                r'SoLaPretrainHook: unknown key max_epoch, .* batch_size, max_epochs',
            ),
            (
                dict(pretext=dict(K=4)),
                r'pretext of SoLaPretrainHook: unknown key K, .*type, window',
            ),
            (dict(pretext=dict(neck=NECK)), 'unknown key neck, expected some of type, window'),
            (dict(probe=dict(every=4)), 'probe of SoLaPretrainHook: unknown key every, .*interval'),
        ],
        ids=['schedule', 'pretext', 'neck', 'probe'],
    )
    def test_unknown_keys_are_refused_when_it_is_built(self, options, message):
        with pytest.raises(ValueError, match=message):
            HOOKS.build(dict(type='SoLaPretrainHook', **options))

    def test_every_known_key_is_taken(self):
        pretext = dict(type='BoundarySensitive', window=24, margin=3)
        probe = dict(train={}, test={}, interval=2, C=1.0)
        schedule = dict.fromkeys(SCHEDULE, 1)
        hook = SoLaPretrainHook(None, True, None, pretext, probe, **schedule)
        assert hook.schedule == schedule and 'lr' in schedule and 'neck' not in schedule

    def test_a_task_that_is_none(self):
        with pytest.raises(TypeError, match='expected a pretext task .* got BMN'):
            SoLaPretrainHook(pretext=dict(type='BMN'))

    def test_a_neck_without_weights(self, data_root, tmp_path):
        cfg = hook_config(data_root, tmp_path / 'work')
        cfg.model.neck = dict(type='Standardization')
        with pytest.raises(ValueError, match='weights of the neck, and Standardization has none'):
            trained(cfg)


class TestPretrainedNeck:
    """``init_cfg=dict(type='Pretrained', ...)``: a neck that was chosen."""

    @pytest.fixture
    def sola(self, data_root, tmp_path) -> Path:
        return pretrain(tiny_pretraining(data_root, tmp_path / 'pretraining'))

    @staticmethod
    def config(root: Path, work_dir: Path, sola: Path, **neck) -> Config:
        cfg = Config(localization_config(root, work_dir))
        cfg.model.neck = dict(
            NECK, frozen=True, init_cfg=dict(type='Pretrained', checkpoint=str(sola)), **neck
        )
        cfg.train_cfg.max_epochs = 1
        return cfg

    @staticmethod
    def log_of(cfg: Config) -> str:
        runner = train_localizer(cfg)
        return Path(runner._log_dir, f'{runner.timestamp}.log').read_text()

    def test_some_of_the_same_videos_are_fine(self, data_root, tmp_path, sola):
        log = self.log_of(self.config(data_root, tmp_path / 'work', sola))
        assert 'was trained otherwise' not in log

    def test_other_features_are_logged(self, data_root, tmp_path, sola):
        change_features(data_root)
        log = self.log_of(self.config(data_root, tmp_path / 'work', sola))
        message = 'sola.pth was trained otherwise than it is used now: other features in 4 of 4 vid'
        assert message in log

    def test_other_settings_are_refused(self, data_root, tmp_path, sola):
        cfg = self.config(data_root, tmp_path / 'work', sola, dilations=(2, 1))
        with pytest.raises(ValueError, match=r'dilations=\(1, 1\), now \(2, 1\)'):
            train_localizer(cfg)

    @pytest.mark.parametrize(
        'record', [[1], dict(channels=3), dict(channels=3, videos=1, ids='', samples=dict(v=[1]))]
    )
    def test_a_damaged_record(self, data_root, tmp_path, sola, record):
        content = torch.load(sola)
        content['meta']['features'] = record
        torch.save(content, sola)
        with pytest.raises(ValueError, match='train it again'):
            train_localizer(self.config(data_root, tmp_path / 'work', sola))


def change_features(root: Path) -> None:
    """Put features of the same shapes in the place of those that are there."""
    for path in (root / 'features').iterdir():
        np.save(path, 2 * np.load(path))


class TestFoundNeck:
    """A neck in the work dir, which nobody chose, must be that of the config."""

    @pytest.fixture
    def work(self, first_run, tmp_path) -> Path:
        return shutil.copytree(first_run[0], tmp_path / 'work')

    def test_of_other_features_is_refused_until_it_is_deleted(self, data_root, work):
        change_features(data_root)
        with pytest.raises(
            ValueError,
            match=(
                r'sola.pth was trained otherwise than the config says: other features in 4 '
                r'of 4 videos that '
                r"were looked at: 'v_00', .* Delete the folder .*sola to train it again, or "
                r'choose this '
                r"neck: SoLaPretrainHook with checkpoint='.*sola.pth'"
            ),
        ):
            trained(hook_config(data_root, work))
        # The checkpoints beside the file would bring the old neck back.
        (work / 'sola/sola.pth').unlink()
        with pytest.raises(ValueError, match='other features in 4 of 4'):
            trained(hook_config(data_root, work))
        shutil.rmtree(work / 'sola')
        assert trained(hook_config(data_root, work)).neck.frozen

    @pytest.mark.slow
    def test_of_other_settings_is_refused(self, data_root, work):
        for change, message in (
            (dict(max_epochs=3), 'max_epochs=2, now 3'),
            (dict(lr=0.1), 'lr=0.01, now 0.1'),
            (dict(pretext=dict(TINY_MATCHER, k=4.0)), 'k=16.0, now 4.0'),
            (dict(features=feature_dataset(data_root)), '4 videos, now 6'),
        ):
            cfg = hook_config(data_root, work)
            cfg.custom_hooks[0].update(change)
            with pytest.raises(ValueError, match=f'than the config says: {message}. Delete'):
                trained(cfg)
        cfg = hook_config(data_root, work)
        cfg.model.neck.dilations = (2, 1)  # does not show in the weights
        with pytest.raises(ValueError, match=r'dilations=\(1, 1\), now \(2, 1\)'):
            trained(cfg)

    def test_of_moved_features_is_used(self, data_root, work, tmp_path):
        written = (work / 'sola/sola.pth').stat().st_mtime_ns
        shutil.copytree(data_root, tmp_path / 'moved/far', copy_function=shutil.copyfile)
        shutil.rmtree(data_root)
        shutil.move(work, tmp_path / 'other')
        trained(hook_config(tmp_path / 'moved/far', tmp_path / 'other'))
        assert (tmp_path / 'other/sola/sola.pth').stat().st_mtime_ns == written

    def test_without_a_record_is_used(self, data_root, work):
        """Written before there was one."""
        checkpoint = torch.load(work / 'sola/sola.pth')
        for key in ('features', 'schedule'):
            assert checkpoint['meta'].pop(key)
        torch.save(checkpoint, work / 'sola/sola.pth')
        change_features(data_root)
        assert trained(hook_config(data_root, work)).neck.frozen


@pytest.mark.slow
def test_hook_on_two_processes(tmp_path, on_cpu):
    """Frozen after it was wrapped: DistributedDataParallel must not wait for the neck's
    gradients."""
    root = make_dataset(tmp_path / 'data')
    cfg = hook_config(root, tmp_path / 'work')
    cfg.env_cfg = dict(dist_cfg=dict(backend='gloo'))
    cfg.custom_hooks[0].max_epochs = 1
    cfg.dump(tmp_path / 'config.py')
    process = subprocess.run(
        [
            sys.executable,
            '-m',
            'torch.distributed.run',
            '--standalone',
            '--nproc-per-node=2',
            str(ROOT / 'tools/train.py'),
            str(tmp_path / 'config.py'),
            '--launcher',
            'pytorch',
        ],
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The group was left: neither a warning nor an abort.
    assert 'process_group' not in process.stderr and 'terminate called' not in process.stderr
    state = torch.load(tmp_path / 'work/epoch_2.pth')['state_dict']
    matched = read_sola(tmp_path / 'work/sola/sola.pth')['state_dict']
    assert torch.equal(state['neck.alpha'], matched['alpha'])
