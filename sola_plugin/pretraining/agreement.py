"""What a checkpoint of a localizer says of its training, and a config may contradict."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from sola_plugin.messages import first_few
from sola_plugin.necks.checkpoint import CheckpointError

#: Where the ``meta`` of a checkpoint keeps :func:`training_record`.
RECORD_KEY = 'trained_with'

#: Where it keeps what a converted one was, and what of the config its weights need.
CONVERTED_KEY = 'converted'

#: What else than the classes is compared: of the model, and of the data.
_OF_MODEL = ('temporal_dim', 'max_duration')
_OF_DATA = ('feature_stride', 'feature_offset')


def training_record(cfg: Config) -> dict[str, Any]:
    """What the config of a localizer says of its model and its data, as plain values."""
    model = cfg.get('model') or {}
    record = {key: model.get(key) for key in _OF_MODEL}
    if model.get('classes') is not None:
        record['classes'] = [str(name) for name in model['classes']]
    for loader in ('train_dataloader', 'test_dataloader'):
        dataset = (cfg.get(loader) or {}).get('dataset')
        while isinstance(dataset, Mapping) and 'dataset' in dataset:  # of a wrapper
            dataset = dataset['dataset']
        if isinstance(dataset, Mapping):
            record.update((key, dataset.get(key)) for key in _OF_DATA)
            break
    return {
        key: value
        for key, value in record.items()
        if isinstance(value, (int, float, list)) and not isinstance(value, bool)
    }


class TrainingRecordHook(Hook):
    """Keeps :func:`training_record` in the checkpoints of a run."""

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the record."""
        checkpoint['meta'][RECORD_KEY] = training_record(runner.cfg)


def take_classes(
    checkpoint: Any, cfg: Config, path: str | os.PathLike, renames: Mapping[str, str]
) -> None:
    """Give the model and the data sets of a config the classes of a checkpoint.

    Args:
        checkpoint: What the file holds.
        cfg: Config of the localizer; changed in place.
        path: The file, for messages.
        renames: New names of some of them.

    Raises:
        CheckpointError: The localizer or the checkpoint knows no classes, or a class to be renamed
            is none of its.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, Mapping) else None
    before = _classes(meta if isinstance(meta, Mapping) else {})
    if not before or not training_record(cfg).get('classes'):
        who = f'the {cfg.model.get("type")} of the config' if before else os.fspath(path)
        raise CheckpointError(f'{who} knows no classes: leave --checkpoint-classes out')
    strangers = [name for name in renames if name not in before]
    if strangers:
        raise CheckpointError(
            f'{os.fspath(path)} has no class {first_few(map(repr, strangers))}, but '
            f'{first_few(before, 10)}: correct --checkpoint-classes OLD=NEW'
        )
    classes = [renames.get(name, name) for name in before]
    if len(set(classes)) < len(classes):
        raise CheckpointError(
            f'--checkpoint-classes gives two classes one name: {first_few(classes, 10)}'
        )
    cfg.model.classes = classes
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = (cfg.get(loader) or {}).get('dataset')
        while isinstance(dataset, Mapping):
            if dataset.get('type') == 'TALFeatureDataset':
                dataset['classes'] = classes  # type: ignore[index]
            dataset = dataset.get('dataset')


def _classes(meta: Mapping[str, Any]) -> list[str]:
    """The classes that a checkpoint was trained with, in the order of their numbers."""
    record, data = meta.get(RECORD_KEY), meta.get('dataset_meta')
    known = record.get('classes') if isinstance(record, Mapping) else None
    known = known or (data.get('classes') if isinstance(data, Mapping) else None)
    return list(map(str, known or ()))


def _meta_of(checkpoint: Any, path: str | os.PathLike) -> Mapping[str, Any] | None:
    """What a checkpoint says of itself; ``None``: nothing.

    Raises:
        CheckpointError: It is of another form than mmengine writes.
    """
    if not isinstance(checkpoint, Mapping) or 'meta' not in checkpoint:
        return None
    meta: Any = checkpoint['meta']
    data = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    classes = data.get('classes') if isinstance(data, Mapping) else None
    for name, part, kinds in (
        ('meta', meta, Mapping),
        ('dataset_meta', data, (Mapping, type(None))),
        ('classes', classes, (list, tuple, type(None))),
    ):
        if not isinstance(part, kinds):
            raise CheckpointError(
                f'the checkpoint {os.fspath(path)} holds a {type(part).__name__} under {name!r}, '
                f'expected a {"list" if name == "classes" else "dict"}: write it again'
            )
    return meta


def check_agreement(
    checkpoint: Any,
    cfg: Config,
    path: str | os.PathLike,
    only_order: bool = False,
    renames: Mapping[str, str] | None = None,
) -> None:
    """Compare a checkpoint with the config that it is used with.

    Class numbers mean nothing without the list that they count in: other lists are refused. What
    may be wanted, such as features of another stride, is a warning.

    Args:
        checkpoint: What the file holds.
        cfg: Config of the localizer.
        path: The file, for messages.
        only_order: Another set of classes is wanted: a head is fine-tuned to it.
        renames: Classes that have other names now, see :func:`take_classes`.

    Raises:
        CheckpointError: The localizer knows its classes, and the checkpoint has others, or these in
            another order; or it was converted, and its weights need other arguments of the model;
            or what it says of itself is of another form than mmengine writes.
    """
    meta = _meta_of(checkpoint, path)
    if meta is None:
        return
    _check_needs(meta.get(CONVERTED_KEY), cfg, os.fspath(path))
    before = meta.get(RECORD_KEY)
    before = dict(before) if isinstance(before, Mapping) else {}
    now = training_record(cfg)
    classes = [(renames or {}).get(name, name) for name in _classes(meta)]
    if classes and now.get('classes'):
        _compare_classes(classes, now['classes'], os.fspath(path), only_order)
    changes = [
        f'{key} {before[key]}, now {now[key]}'
        for key in (*_OF_MODEL, *_OF_DATA)
        if key in before and key in now and before[key] != now[key]
    ]
    if changes:
        print_log(
            f'{os.fspath(path)} was trained with other settings than those of the config: '
            f'{"; ".join(changes)}. Its figures may be other ones than you think',
            'current',
            logging.WARNING,
        )


def _check_needs(converted: Any, cfg: Config, path: str) -> None:
    """Refuse other arguments of the model than converted weights need: shapes do not show them."""
    needs = converted.get('needs') if isinstance(converted, Mapping) else None
    model = cfg.get('model') or {}
    kind = MODELS.get(model['type']) if isinstance(model.get('type'), str) else model.get('type')
    if not isinstance(needs, Mapping) or kind is None:
        return
    defaults = inspect.signature(kind).parameters
    for name, value in needs.items():
        if name not in defaults or not isinstance(value, (bool, int, float)):
            continue  # of another model, whose weights do not fit
        now = model.get(name, defaults[name].default)
        if now != value:
            raise CheckpointError(
                f'{path} was converted from weights that need model.{name}={value}; the config '
                f'has {now}. Give --cfg-options model.{name}={value}, or set it in the config'
            )


def _compare_classes(
    before: Sequence[str], now: Sequence[str], path: str, only_order: bool
) -> None:
    if list(before) == list(now):
        return
    permuted = sorted(before) == sorted(now)
    if only_order and not permuted:
        return
    how = 'these in another order' if permuted else 'others'
    raise CheckpointError(
        f'{path} was trained with the classes {first_few(before, 10)}; the config has {how}: '
        f'{first_few(now, 10)}. Give model.classes and classes of the datasets as they were then, '
        'or let test and localize take them: --checkpoint-classes [OLD=NEW ...]'
    )
