"""What a neck was trained on, and with: kept in its checkpoint and compared with a config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mmaction.registry import MODELS
from mmengine.config import Config

from sola_plugin.datasets.feature_record import feature_changes, record_features

from .random_state import keep_random_state


def features_of(cfg: Config) -> dict[str, Any]:
    """Describe the features that a pretraining config reads.

    Args:
        cfg: Config for :func:`~sola_plugin.engine.pretraining.pretrain`.

    Returns:
        See :func:`~sola_plugin.datasets.feature_record.record_features`; empty for another dataset
        than ``SoLaWindowDataset``.
    """
    features = cfg.train_dataloader.dataset.get('features')
    if features is None:
        return {}
    with keep_random_state():
        return record_features(features)


def schedule_of(cfg: Config) -> dict[str, Any]:
    """The numbers of a pretraining config that decide how long and how fast a neck learns."""
    loader = cfg.train_dataloader
    return dict(
        batch_size=loader.get('batch_size'),
        max_epochs=cfg.train_cfg.get('max_epochs'),
        windows_per_video=loader.get('sampler', {}).get('windows_per_video', 1),
        lr=cfg.optim_wrapper.get('optimizer', {}).get('lr'),
    )


def changes_since(checkpoint: Mapping[str, Any], cfg: Config) -> list[str]:
    """Compare a trained neck with a config that would train it now.

    What the checkpoint does not tell (it was written before there was a record) is not compared.

    Args:
        checkpoint: Result of :func:`~sola_plugin.models.necks.read_sola`.
        cfg: Config for :func:`~sola_plugin.engine.pretraining.pretrain`.

    Returns:
        What differs, in words; empty if nothing does.
    """
    with keep_random_state():
        task = MODELS.build(cfg.model)
    meta = checkpoint['meta']
    changes = []
    for before, now in (
        (checkpoint['neck'], task.neck.settings),
        (meta.get('pretext', {}), task.settings),
        (meta.get('schedule', {}), schedule_of(cfg)),
    ):
        changes += [
            f'{key}={before[key]!r}, now {value!r}'
            for key, value in now.items()
            if key in before and json.dumps(before[key]) != json.dumps(value)
        ]
    if meta.get('features') and (now := features_of(cfg)):
        changes += feature_changes(meta['features'], now)
    return changes
