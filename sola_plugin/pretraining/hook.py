"""Similarity matching before a head is trained."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sola_plugin.necks import Neck, SoLa, load_sola_weights, read_sola
from sola_plugin.necks.checkpoint import read_checkpoint, weights_of
from sola_plugin.necks.record import constructor_arguments

from .checkpoint_files import newest_checkpoint
from .probe import LinearProbeHook
from .provenance import changes_since
from .ranks import prepare_cpu_ranks
from .run import SCHEDULE, pretrain, pretraining_config, task_of
from .run_instances import nested_run


class Recipe(NamedTuple):
    """How a head takes over the neck.

    Attributes:
        freeze: The neck is kept fixed.
        reset_gate: The head begins with what it would have without the neck.
    """

    freeze: bool
    reset_gate: bool


RECIPES = {
    'paper': Recipe(freeze=True, reset_gate=False),
    'finetune': Recipe(freeze=False, reset_gate=False),
    'reset_gate': Recipe(freeze=False, reset_gate=True),
}


@HOOKS.register_module()
class SoLaPretrainHook(Hook):
    """Train the model's SoLa neck by similarity matching, then let the head's training begin.

    The windows are cut from the features of the run's own training set, or from ``features``.
    Nothing is trained when the file of the neck exists (it is loaded) or when the run was resumed
    (its neck is in the resumed checkpoint). A run killed during similarity matching goes on there
    when it is started again.

    A neck that is found in the work dir must be the one that this config would train: on other
    features, of another neck, task or schedule it is an error that names what changed. The user did
    not choose that file, may not know of it, and nothing in the results would tell. A file given by
    ``checkpoint`` was chosen, perhaps to transfer a neck from other data: what differs is logged.

    Args:
        checkpoint: File of the trained neck; made if there is none. Default:
            ``<work_dir>/sola/sola.pth``.
        freeze: Keep the neck fixed while the head is trained ("separate"). ``False``: it goes on
            learning ("finetune"). Default: as the recipe says; without one, yes.
        recipe: ``'paper'``: frozen, the default; ``'finetune'``: not frozen; ``'reset_gate'``: not
            frozen, and the gate of SoLa is set to zero when the head's training begins, so that the
            head starts with the features as they are. Instead of ``freeze``.
        features: Source of windows, see ``SoLaWindowDataset``. Default: the training set.
        pretext: The task, without the neck: ``dict(type='SimilarityMatcher', ...)`` or one of its
            rivals; ``type`` may be left out.
        probe: Arguments of :class:`LinearProbeHook`, to follow similarity matching by a linear
            probe.
        **schedule: ``batch_size``, ``max_epochs``, ``windows_per_video``, ``lr``, ``num_workers``,
            ``in_memory``, ``features_on`` of
            :func:`~sola_plugin.pretraining.run.pretraining_config`.

    Raises:
        TypeError: ``pretext`` is no pretext task.
        ValueError: An argument, or a key of ``pretext`` or ``probe``, is not known. At the start of
            training: the model has no neck that can be trained, the checkpoint is of another neck,
            or the neck in the work dir was trained on other features or with other settings.
    """

    # Before hooks that look at the model at the start of training, such as EMAHook.
    priority = 'VERY_HIGH'

    def __init__(
        self,
        checkpoint: str | None = None,
        freeze: bool | None = None,
        features: dict | None = None,
        pretext: dict | None = None,
        probe: dict | None = None,
        recipe: str | None = None,
        **schedule,
    ) -> None:
        if recipe is not None and recipe not in RECIPES:
            raise ValueError(
                f'SoLaPretrainHook: unknown recipe {recipe!r}, expected one of {", ".join(RECIPES)}'
            )
        if recipe is not None and freeze is not None:
            raise ValueError(
                f'SoLaPretrainHook: recipe={recipe!r} says whether the neck is frozen: '
                f'leave freeze={freeze} out'
            )
        _check_keys(schedule, type(self), 'SoLaPretrainHook', SCHEDULE)
        task = task_of((pretext or {}).get('type', 'SimilarityMatcher'))
        _check_keys(pretext, task, 'pretext of SoLaPretrainHook', ('type',), ('neck',))
        _check_keys(probe, LinearProbeHook, 'probe of SoLaPretrainHook')
        self.checkpoint = checkpoint
        self.freeze, self.reset_gate = RECIPES[recipe or 'paper']
        if freeze is not None:
            self.freeze = freeze
        self.features = features
        self.pretext = dict(pretext or {})
        self.probe = probe
        self.schedule = schedule

    def before_train(self, runner: Runner) -> None:
        """Provide the trained neck.

        Args:
            runner: Runner of the head.
        """
        wrapped = is_model_wrapper(runner.model)
        model = runner.model.module if wrapped else runner.model
        neck = getattr(model, 'neck', None)
        if not isinstance(neck, Neck):
            raise ValueError(
                "SoLaPretrainHook needs a model with a SoLa neck: add neck=dict(type='SoLa') "
                f'to model (the neck is {type(neck).__name__})'
            )
        if self.reset_gate:
            _let_reset_gate(neck)
        if runner.iter == 0 and not self._came_with(runner):
            path = Path(self.checkpoint or os.path.join(runner.work_dir, 'sola', 'sola.pth'))
            cfg = self._config(runner, neck.settings, path)
            if path.is_file():
                print_log(f'similarity matching is done already: {path}', 'current')
            else:
                self._pretrain(runner, cfg, path)
            # Also after training: it may have gone on with what other features had left behind.
            self._compare(path, cfg)
            load_sola_weights(neck, path)
        if self.freeze and not neck.frozen:
            neck.freeze()
            if wrapped:
                # The wrapper waits for the gradients of what was trainable when it was made.
                runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)

    def _came_with(self, runner: Runner) -> bool:
        """Whether the neck came with the head, which was trained behind it and no other."""
        path = runner._load_from
        if path is None:
            return False
        weights = weights_of(read_checkpoint(path), path)
        if not any(key.removeprefix('module.').startswith('neck.') for key in weights):
            return False
        if self.checkpoint is None:
            print_log(f'the neck of {path} is kept, with which its head was trained', 'current')
            return True
        print_log(
            f'the neck of {path}, with which its head was trained, gives way to '
            f'{self.checkpoint}, as SoLaPretrainHook says',
            'current',
            logging.WARNING,
        )
        return False

    def _config(self, runner: Runner, neck: dict, path: Path) -> Config:
        features = self.features or runner.cfg.get('train_dataloader', {}).get('dataset')
        if not (self.features or isinstance(features, dict)):
            features = None  # a dataset that was built outside the config
        cfg = pretraining_config(
            neck, features, path.parent, pretext=self.pretext, seed=runner.seed, **self.schedule
        )
        if self.probe is not None:
            cfg.custom_hooks.append(dict(type='LinearProbeHook', **self.probe))
        return cfg

    def _pretrain(self, runner: Runner, cfg: Config, path: Path) -> None:
        if cfg.train_dataloader.dataset.features is None:
            raise ValueError(
                'SoLaPretrainHook cannot see the features of a dataset that was built outside '
                'the config: give the hook features=dict(root=...)'
            )
        # A run that was killed during similarity matching left checkpoints there.
        cfg.resume = newest_checkpoint(path.parent) is not None
        cfg.launcher = runner._launcher
        prepare_cpu_ranks(cfg)
        cfg.env_cfg = runner.cfg.get('env_cfg', {})
        print_log(
            f'similarity matching on the features of the training set; its log is in {path.parent}',
            'current',
        )
        with nested_run():
            written = pretrain(cfg)
        if written != path and is_main_process():
            written.replace(path)
        barrier()

    def _compare(self, path: Path, cfg: Config) -> None:
        """Compare a trained neck with the config that would train it."""
        changes = changes_since(read_sola(path), cfg)
        if not changes:
            return
        message = f'{path} was trained otherwise than the config says: {"; ".join(changes)}'
        if self.checkpoint is None:
            raise ValueError(
                f'{message}. Delete the folder {path.parent} to train it again, or choose this '
                f'neck: SoLaPretrainHook with checkpoint={str(path)!r}'
            )
        print_log(message, 'current', logging.WARNING)


def _let_reset_gate(neck: Neck) -> None:
    """Let a neck begin with a closed gate when it is given the weights of similarity matching."""
    if not isinstance(neck, SoLa) or neck.frozen:
        what = 'a frozen neck' if neck.frozen else f'{type(neck).__name__}, which has none'
        raise ValueError(
            "SoLaPretrainHook with recipe='reset_gate' sets the gate of a SoLa to zero, from where "
            f'it goes on learning with the head: not of {what}'
        )
    neck.reset_gate = True


def _check_keys(
    given: Mapping[str, Any] | None,
    taker: type,
    what: str,
    also: Collection[str] = (),
    but: Collection[str] = (),
) -> None:
    """Refuse keys that would fail only when the training begins.

    Args:
        given: What was given; ``None``: nothing.
        taker: The class whose arguments are known keys.
        what: Name for the message.
        also: Other known keys.
        but: Arguments that are not the user's to give.
    """
    known = [*also, *(name for name in constructor_arguments(taker) if name not in but)]
    unknown = [str(key) for key in given or {} if key not in known]
    if unknown:
        raise ValueError(
            f'{what}: unknown key {", ".join(unknown)}, expected some of {", ".join(known)}'
        )
