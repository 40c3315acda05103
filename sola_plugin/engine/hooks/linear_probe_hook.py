"""Linear probe of the neck's output while it is trained."""

from __future__ import annotations

import time
from collections.abc import Mapping

from mmaction.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from sola_plugin.evaluation.probe_data import DEFAULT_C

from ..probing import build_probe_dataset, check_channels, read_probe_data
from ..random_state import keep_random_state


@HOOKS.register_module()
class LinearProbeHook(Hook):
    """Follow by a linear probe how well snippets of action and background can be told apart.

    The probe is fitted and scored before training (epoch 0, where a new SoLa is the identity: these
    are the raw features), every ``interval`` epochs, and after the last one. Its figures go to the
    log and, as ``probe/accuracy``, ``probe/balanced_accuracy`` and ``probe/average_precision`` at
    the number of the epoch, to the message hub and the visualizer. Training does not notice: the
    labels train nothing but the probe, and the random state is kept.

    The main rank works alone, the others wait for it at their next collective operation.

    Args:
        train: Config of the ``TALFeatureDataset`` that the probe is fitted on.
        test: Config of the one that it is scored on.
        interval: Epochs between two probes.
        C: Inverse of the probe's regularisation, scikit-learn's.

    Raises:
        ValueError: ``interval`` is below 1. At the start of training: the model has no neck, a
            dataset is of another type, its features have other channels than the neck, or it has
            only foreground or only background.
    """

    def __init__(
        self, train: Mapping, test: Mapping, interval: int = 5, C: float = DEFAULT_C
    ) -> None:
        if interval < 1:
            raise ValueError(f'LinearProbeHook: expected interval >= 1 epoch, got {interval}')
        self.configs = dict(train=train, test=test)
        self.interval = interval
        self.C = C

    def before_train(self, runner: Runner) -> None:
        """Build the datasets, and probe the neck as it is before the first epoch.

        Args:
            runner: Runner whose model has a neck.
        """
        if not is_main_process():
            return
        neck = self._neck(runner)
        with keep_random_state():
            self.datasets = [build_probe_dataset(cfg, part) for part, cfg in self.configs.items()]
        for dataset in self.datasets:
            check_channels(dataset, neck)
        if runner.iter == 0:
            self._probe(runner, epoch=0)

    def after_train_epoch(self, runner: Runner) -> None:
        """Probe the neck after every ``interval`` epochs and after the last one.

        Args:
            runner: The runner.
        """
        due = self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)
        if due and is_main_process():
            self._probe(runner, epoch=runner.epoch + 1)

    def _probe(self, runner: Runner, epoch: int) -> None:
        # scikit-learn takes most of a second to import, and most runs have no probe.
        from sola_plugin.evaluation.linear_probe import linear_probe

        begin, neck = time.perf_counter(), self._neck(runner)
        with keep_random_state():
            train, test = (read_probe_data(dataset, neck) for dataset in self.datasets)
            scores = linear_probe(
                train.features, train.labels, test.features, test.labels, C=self.C
            )
        scalars = {f'probe/{metric}': value for metric, value in scores.items()}
        runner.message_hub.update_scalars(scalars)
        runner.visualizer.add_scalars(scalars, step=epoch)
        figures = ', '.join(
            f'{metric.replace("_", " ")} {value:.4f}' for metric, value in scores.items()
        )
        runner.logger.info(
            f'linear probe at epoch {epoch}: {figures} ({time.perf_counter() - begin:.1f} s)'
        )

    @staticmethod
    def _neck(runner: Runner) -> nn.Module:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        neck = getattr(model, 'neck', None)
        if neck is None:
            raise ValueError(
                'LinearProbeHook probes the output of the neck, and '
                f"{type(model).__name__} has none: add neck=dict(type='SoLa') to the model"
            )
        return neck
