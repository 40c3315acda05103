"""What a neck was trained on, and with: kept in its checkpoint and compared with a config."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log

from sola_plugin.datasets.features.fingerprint import (
    feature_changes,
    other_features,
    record_features,
)
from sola_plugin.necks import read_sola

from .random_state import keep_random_state


def features_of(cfg: Config) -> dict[str, Any]:
    """Describe the features that a pretraining config reads.

    Args:
        cfg: Config for :func:`~sola_plugin.pretraining.run.pretrain`.

    Returns:
        See :func:`~sola_plugin.datasets.features.fingerprint.record_features`; empty for another
        dataset than ``SoLaWindowDataset``.
    """
    features = cfg.train_dataloader.dataset.get('features')
    if features is None:
        return {}
    with keep_random_state():
        return record_features(features)


def schedule_of(cfg: Config) -> dict[str, Any]:
    """What decides in a pretraining config how long and how fast a neck learns."""
    loader = cfg.train_dataloader
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if isinstance(hook, dict)]
    return dict(
        batch_size=loader.get('batch_size'),
        max_epochs=cfg.train_cfg.get('max_epochs'),
        windows_per_video=loader.get('sampler', {}).get('windows_per_video', 1),
        lr=cfg.optim_wrapper.get('optimizer', {}).get('lr'),
        keep_best=next(filter(None, (hook.get('keep_best') for hook in hooks)), None),
    )


def changes_since(checkpoint: Mapping[str, Any], cfg: Config) -> list[str]:
    """Compare a trained neck with a config that would train it now.

    What the checkpoint does not tell (it was written before there was a record) is not compared.

    Args:
        checkpoint: Result of :func:`~sola_plugin.necks.read_sola`.
        cfg: Config for :func:`~sola_plugin.pretraining.run.pretrain`.

    Returns:
        What differs, in words; empty if nothing does.
    """
    with keep_random_state():
        task = MODELS.build(cfg.model)
    meta = checkpoint['meta']
    changes = task.neck.changes_since(checkpoint['neck'])
    for before, now in (
        (_plain(meta, 'pretext'), task.settings),
        (_plain(meta, 'schedule'), schedule_of(cfg)),
    ):
        changes += [
            f'{key}={before[key]!r}, now {value!r}'
            for key, value in now.items()
            if key in before and json.dumps(before[key]) != json.dumps(value)
        ]
    if (before := _plain(meta, 'features')) and (now := features_of(cfg)):
        changes += feature_changes(before, now)
    return changes


def warn_of_other_features(path: str | os.PathLike, features: Any) -> None:
    """Log it when a neck that the user chose was trained on other features of the same videos.

    The neck may be used on other videos than it was trained on, or on some of them.

    Args:
        path: File of the neck, see :func:`~sola_plugin.necks.read_sola`.
        features: What it is used on: a ``TALFeatureDataset`` or its config.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read.
    """
    before = _plain(read_sola(path)['meta'], 'features')
    if not before:
        return
    with keep_random_state():
        changes = other_features(before, features)
    if changes:
        print_log(
            f'{os.fspath(path)} was trained otherwise than it is used now: {"; ".join(changes)}',
            'current',
            logging.WARNING,
        )


def warn_of_pretrained_neck(cfg: Config) -> None:
    """:func:`warn_of_other_features` for the neck that a localizer starts from.

    Args:
        cfg: Runner config. Nothing is compared without ``init_cfg=dict(type='Pretrained', ...)`` of
            the neck, with another dataset than ``TALFeatureDataset``, or when the run is resumed.
    """
    neck = cfg.model.get('neck') or {}
    init = neck.get('init_cfg') or {}
    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    known = isinstance(dataset, dict) and dataset.get('type') == 'TALFeatureDataset'
    if known and not cfg.get('resume') and init.get('type') == 'Pretrained':
        warn_of_other_features(init['checkpoint'], dataset)


def _plain(meta: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A dict in what a file says; empty if there is none."""
    content = meta.get(key) or {}
    if not isinstance(content, Mapping):
        raise ValueError(
            f'the file of the neck holds a {type(content).__name__} as {key}, expected a dict: '
            'train it again'
        )
    return content
