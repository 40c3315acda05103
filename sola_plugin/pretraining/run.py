"""A pretext task as one mmengine run: used by ``tools/pretrain_sola.py`` and by the hook."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import numpy as np
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sola_plugin.io import naming_file
from sola_plugin.necks import save_sola

from .finiteness import FiniteHook
from .placement import settle_loader
from .provenance import features_of, schedule_of
from .random_state import RandomStateHook
from .rank_means import RankMeanHook
from .resuming import resume_run
from .runs import name_run, prepare_determinism, refuse_busy, run_training
from .tasks import Pretext

_RECORD = 'features of similarity matching'


def pretraining_config(
    neck: dict,
    features: dict,
    work_dir: str | os.PathLike,
    pretext: dict | None = None,
    batch_size: int = 256,
    max_epochs: int = 150,
    windows_per_video: int = 1,
    lr: float = 1e-4,
    num_workers: int = 0,
    in_memory: bool = False,
    features_on: str = 'auto',
    seed: int | None = None,
) -> Config:
    """Config of a run that trains a neck by a pretext task, with the authors' schedule as defaults.

    Args:
        neck: Config of the neck, with ``in_channels``.
        features: Where windows come from, see ``SoLaWindowDataset``.
        work_dir: Folder for logs, checkpoints and ``sola.pth``.
        pretext: The task, ``dict(type='SimilarityMatcher', ...)`` without the neck; ``type`` may be
            left out.
        batch_size: Windows in a batch, on each rank.
        max_epochs: Passes over the videos.
        windows_per_video: Windows of each video in a pass.
        lr: Learning rate of AdamW.
        num_workers: Worker processes that read features.
        in_memory: Keep all features in memory.
        features_on: ``'device'``, ``'host'`` or ``'auto'``, see ``SoLaWindowDataset``.
        seed: Random seed; ``None`` draws one.

    Returns:
        A config for :func:`pretrain`.
    """
    pretext = dict(type='SimilarityMatcher') | dict(pretext or {})
    task = task_of(pretext['type'])
    window = pretext.get('window', inspect.signature(task).parameters['window'].default)
    dataset = dict(
        type='SoLaWindowDataset',
        features=features,
        in_memory=in_memory,
        features_on=features_on,
        window=window,
        labels=task.uses_labels,
    )
    return Config(
        dict(
            default_scope='mmaction',
            model=dict(pretext, neck=neck),
            train_dataloader=dict(
                batch_size=batch_size,
                num_workers=num_workers,
                persistent_workers=num_workers > 0,
                sampler=dict(type='WindowSampler', windows_per_video=windows_per_video),
                collate_fn=dict(type='window_collate'),
                dataset=dataset,
            ),
            train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=lr, fused=True)),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=50),
                checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
                tf32=dict(type='TF32Hook'),
            ),
            custom_hooks=[dict(type='ProgressBarHook')],
            randomness=dict(seed=seed),
            work_dir=os.fspath(work_dir),
        )
    )


#: Arguments of :func:`pretraining_config` that say how long and how fast a neck learns, and how
#: features are read.
SCHEDULE = tuple(
    name
    for name in inspect.signature(pretraining_config).parameters
    if name not in ('neck', 'features', 'work_dir', 'pretext', 'seed')
)


def pretrain(cfg: Config) -> Path:
    """Train a neck by similarity matching, or another pretext task; write ``sola.pth``.

    Args:
        cfg: Runner config whose model is a pretext task. With ``resume=True`` the run goes on
            from its newest checkpoint that can be read.

    Returns:
        Path of ``sola.pth`` in the work dir; its ``meta`` holds the settings of the task, the
        schedule, the features
        (:func:`~sola_plugin.datasets.features.fingerprint.record_features`), the seed, and
        the mean loss of every epoch.

    Raises:
        TypeError: The model is not a pretext task.
        BusyError: Another process trains in this work dir.
    """
    task_of(cfg.model.type)
    path = Path(cfg.work_dir) / 'sola.pth'
    refuse_busy(cfg.work_dir)
    resume_run(cfg)
    name_run(cfg)
    prepare_determinism(cfg)
    settle_loader(cfg)
    with naming_file(cfg.work_dir):
        runner = Runner.from_cfg(cfg)
        runner.register_hook(RandomStateHook())
        runner.register_hook(FiniteHook())
        runner.register_hook(RankMeanHook())
        # Part of the checkpoints: a run that is resumed keeps the record of the features that it
        # began with.
        runner.message_hub.update_info(_RECORD, features_of(cfg))
        run_training(runner)
    task = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if is_main_process():
        losses = _epoch_losses(runner)
        save_sola(
            path,
            task.neck,
            meta=dict(
                pretext=task.settings,
                schedule=schedule_of(cfg),
                features=runner.message_hub.get_info(_RECORD),
                seed=runner.seed,
                epochs=runner.epoch,
                iterations=runner.iter,
                losses=losses,
            ),
        )
        runner.logger.info(f'{cfg.model.type} ended with loss {losses[-1]:.6f}: {path}')
    barrier()
    return path


def task_of(name: str) -> type[Pretext]:
    """The class of a pretext task.

    Args:
        name: Its registered name.

    Raises:
        TypeError: There is none of that name.
    """
    task = MODELS.get(name)
    if not (isinstance(task, type) and issubclass(task, Pretext)):
        raise TypeError(
            f'expected a pretext task such as SimilarityMatcher, got {name}: see configs/pretrain/'
        )
    return task


def _epoch_losses(runner: Runner) -> list[float]:
    """Mean loss of every epoch; the history is part of the checkpoints and survives a resume."""
    history, _ = runner.message_hub.get_scalar('train/loss').data
    per_epoch = len(runner.train_dataloader)
    return [float(np.mean(history[i : i + per_epoch])) for i in range(0, len(history), per_epoch)]
