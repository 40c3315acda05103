"""Similarity matching before a head is trained."""
from __future__ import annotations

import logging
import os
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sola_plugin.models.necks import SoLa, load_sola_weights, read_sola

from ..distributed import prepare_cpu_ranks
from ..pretraining import nested_run, pretrain, pretraining_config
from ..resume import newest_checkpoint


@HOOKS.register_module()
class SoLaPretrainHook(Hook):
    """Train the model's SoLa neck by similarity matching, then let the head's training begin.

    The windows are cut from the features of the run's own training set, or from ``features``. Nothing is
    done when ``checkpoint`` exists (its neck is loaded) or when the run was resumed (its neck is in the
    resumed checkpoint). A run killed during similarity matching goes on there when it is started again.

    Args:
        checkpoint: File of the trained neck. Default: ``<work_dir>/sola/sola.pth``.
        freeze: Keep the neck fixed while the head is trained ("separate"). ``False``: it goes on
            learning ("finetune").
        features: Source of windows, see ``SoLaWindowDataset``. Default: the training set.
        pretext: The task, without the neck: ``dict(type='SimilarityMatcher', ...)`` or one of its rivals;
            ``type`` may be left out.
        probe: Arguments of :class:`LinearProbeHook`, to follow similarity matching by a linear probe.
        **schedule: ``batch_size``, ``max_epochs``, ``windows_per_video``, ``lr``, ``num_workers``,
            ``in_memory`` of :func:`~sola_plugin.engine.pretraining.pretraining_config`.

    Raises:
        ValueError: The model has no SoLa neck, or the checkpoint is of another size.
    """

    # Before hooks that look at the model at the start of training, such as EMAHook.
    priority = 'VERY_HIGH'

    def __init__(self,
                 checkpoint: str | None = None,
                 freeze: bool = True,
                 features: dict | None = None,
                 pretext: dict | None = None,
                 probe: dict | None = None,
                 **schedule) -> None:
        self.checkpoint = checkpoint
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
        if not isinstance(neck, SoLa):
            raise ValueError('SoLaPretrainHook needs a model with a SoLa neck: add neck=dict(type=\'SoLa\') '
                             f'to model (the neck is {type(neck).__name__})')
        if runner.iter == 0:
            path = Path(self.checkpoint or os.path.join(runner.work_dir, 'sola', 'sola.pth'))
            if path.is_file():
                print_log(f'similarity matching is done already: {path}', 'current')
                self._check_settings(path)
            else:
                self._pretrain(runner, neck.settings, path)
            load_sola_weights(neck, path)
        if self.freeze and not neck.frozen:
            neck.freeze()
            if wrapped:
                # The wrapper waits for the gradients of what was trainable when it was made.
                runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)

    def _pretrain(self, runner: Runner, neck: dict, path: Path) -> None:
        features = self.features or self._training_features(runner)
        cfg = pretraining_config(neck, features, path.parent, pretext=self.pretext, seed=runner.seed,
                                 **self.schedule)
        if self.probe is not None:
            cfg.custom_hooks.append(dict(type='LinearProbeHook', **self.probe))
        # A run that was killed during similarity matching left checkpoints there.
        cfg.resume = newest_checkpoint(path.parent) is not None
        cfg.launcher = runner._launcher
        prepare_cpu_ranks(cfg)
        cfg.env_cfg = runner.cfg.get('env_cfg', {})
        print_log('similarity matching on the features of the training set; its log is in '
                  f'{path.parent}', 'current')
        with nested_run():
            written = pretrain(cfg)
        if written != path and is_main_process():
            written.replace(path)
        barrier()

    @staticmethod
    def _training_features(runner: Runner) -> dict:
        dataset = runner.cfg.get('train_dataloader', {}).get('dataset')
        if not isinstance(dataset, dict):
            raise ValueError('SoLaPretrainHook cannot see the features of a dataset that was built outside '
                             'the config: give the hook features=dict(root=...)')
        return dataset

    def _check_settings(self, path: Path) -> None:
        """Warn when the file was trained with other settings than these."""
        used = read_sola(path)['meta'].get('pretext', {})
        other = {key: used[key] for key, value in self.pretext.items()
                 if key in used and used[key] != value}
        if other:
            print_log(f'{path} was trained with {other}, the config says {self.pretext}: delete the file '
                      'to train it again', 'current', logging.WARNING)
