"""The linear probe during training, and the data that it reads."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from mmaction.registry import DATASETS, HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from sola_plugin.datasets.tal_dataset import TALFeatureDataset
from sola_plugin.datasets.transforms import LoadFeatures
from sola_plugin.evaluation.probe.linear_probe import (
    DEFAULT_C,
    METRICS,
    ProbeData,
    VideoFeatures,
)

from .random_state import keep_random_state
from .tasks import Pretext


def build_probe_dataset(cfg: Mapping, part: str) -> TALFeatureDataset:
    """Build a dataset that the probe can read.

    Args:
        cfg: Config of a ``TALFeatureDataset``. Its pipeline is not used: the probe reads whole
            videos without augmentation.
        part: ``'train'`` or ``'test'``, for the message.

    Returns:
        The dataset.

    Raises:
        ValueError: It is another kind of dataset, or has an unknown option.
    """
    name = cfg.get('type')
    if str(name).rpartition('.')[2] != 'TALFeatureDataset':
        raise ValueError(
            f"{part} data of the linear probe: expected dict(type='TALFeatureDataset', ...), "
            f'got type={name!r}'
        )
    try:
        # Serialised data are for worker processes, of which there are none.
        return DATASETS.build({**cfg, 'pipeline': None, 'serialize_data': False})
    except TypeError as error:
        raise ValueError(f'{part} data of the linear probe: {error}') from error


def check_channels(
    dataset: TALFeatureDataset, neck: nn.Module | None, what: str = 'the neck'
) -> None:
    """Refuse features that a neck cannot take.

    Args:
        dataset: Features.
        neck: ``None``, or one whose ``in_channels`` are ``None``, takes any.
        what: Name of the neck in the message.

    Raises:
        ValueError: The numbers of channels differ.
    """
    channels = dataset.feature_store.channels
    expected = getattr(neck, 'in_channels', None)
    if expected not in (None, channels):
        raise ValueError(
            f'the features in {dataset.feature_store.name} have {channels} channels, {what} '
            f'expects {expected}: the linear probe needs the features that it was trained on'
        )


def read_probe_data(
    dataset: TALFeatureDataset, neck: nn.Module | None = None, unit: str = 'snippets'
) -> ProbeData:
    """Read all videos of a dataset through a neck, each at its own length.

    The neck works in evaluation mode, without gradient and in full precision; afterwards its
    modules are in the modes that they were in.

    Args:
        dataset: Annotated videos. Segments are those that training uses: clipped to the video.
        neck: ``(N, C, T)`` → ``(N, C, T)``; ``None``: the features as they are.
        unit: Of the distance to the nearest boundary, see
            :class:`~sola_plugin.evaluation.probe.linear_probe.ProbeData`.

    Returns:
        Labelled snippets.

    Raises:
        FeatureError: Features cannot be read.
        ValueError: The neck has other channels.
    """
    check_channels(dataset, neck)
    if neck is None:
        return ProbeData.of(_videos(dataset), unit)
    with _evaluating(neck):
        return ProbeData.of(
            (video._replace(features=_apply(neck, video.features)) for video in _videos(dataset)),
            unit,
        )


def _videos(dataset: TALFeatureDataset) -> Iterator[VideoFeatures]:
    load = LoadFeatures()
    for index in range(len(dataset)):
        info = load.transform(
            {**dataset.get_data_info(index), 'feature_store': dataset.feature_store}
        )
        yield VideoFeatures(info['raw_feature'], info['feature_span'], info['gt_segments'])


def _apply(neck: nn.Module, features: np.ndarray) -> np.ndarray:
    parameter = next(neck.parameters(), None)
    device = torch.device('cpu') if parameter is None else parameter.device
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        return neck(torch.from_numpy(features)[None].to(device))[0].cpu().numpy()


@contextlib.contextmanager
def _evaluating(neck: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in neck.modules()}
    neck.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


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
        balanced: Whether action and background weigh the same in the fit. Where one of them is
            rare, a fit without it may call everything the other.
        keep_best: One of :data:`~sola_plugin.evaluation.probe.linear_probe.METRICS`: a pretext task
            ends with the weights that the neck had where this figure was highest first, epoch 0
            included (early stopping, for which ``test`` must not be what a result is scored on).
            Labels then choose the epoch. Default: the last weights.

    Raises:
        ValueError: ``interval`` is below 1, or ``keep_best`` no figure of the probe. At the start
            of training: the model has no neck, or with ``keep_best`` is no pretext task, a dataset
            is of another type, its features have other channels than the neck, or it has only
            foreground or only background.
    """

    def __init__(
        self,
        train: Mapping,
        test: Mapping,
        interval: int = 5,
        C: float = DEFAULT_C,
        balanced: bool = False,
        keep_best: str | None = None,
    ) -> None:
        if interval < 1:
            raise ValueError(f'LinearProbeHook: expected interval >= 1 epoch, got {interval}')
        if keep_best not in (None, *METRICS):
            raise ValueError(
                f'LinearProbeHook: keep_best={keep_best!r}, expected one of {", ".join(METRICS)}'
            )
        self.configs = dict(train=train, test=test)
        self.interval = interval
        self.C = C
        self.balanced = balanced
        self.keep_best = keep_best
        self._best: dict[str, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Build the datasets, and probe the neck as it is before the first epoch.

        Args:
            runner: Runner whose model has a neck.
        """
        if self.keep_best is not None and not isinstance(self._model(runner), Pretext):
            raise ValueError(
                f'LinearProbeHook(keep_best={self.keep_best!r}) chooses the epoch of a pretext '
                'task: a head has been trained behind the last weights of its neck'
            )
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

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the best weights so far, so that a resumed run knows them.

        Args:
            runner: The runner.
            checkpoint: What is written.
        """
        if self._best:
            checkpoint['probe_best'] = self._best

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the best weights of the run that is resumed.

        Args:
            runner: The runner.
            checkpoint: What was read.
        """
        best = checkpoint.get('probe_best', {})
        chosen_by = best.get('metric'), best.get('balanced', False)
        self._best = best if chosen_by == (self.keep_best, self.balanced) else {}

    def after_train(self, runner: Runner) -> None:
        """Give the neck its best weights.

        Args:
            runner: The runner.
        """
        if self.keep_best is not None and self._best:
            self._neck(runner).load_state_dict(self._best['weights'])
            runner.logger.info(
                f'the neck ends with its weights of epoch {self._best["epoch"]}, the best by the '
                f'linear probe: {self.keep_best.replace("_", " ")} {self._best["value"]:.4f}'
            )

    def _probe(self, runner: Runner, epoch: int) -> None:
        # scikit-learn takes most of a second to import, and most runs have no probe.
        from sola_plugin.evaluation.probe.linear_probe import linear_probe

        begin, neck = time.perf_counter(), self._neck(runner)
        with keep_random_state():
            train, test = (read_probe_data(dataset, neck) for dataset in self.datasets)
            scores = linear_probe(
                train.features,
                train.labels,
                test.features,
                test.labels,
                C=self.C,
                balanced=self.balanced,
            )
        if self.keep_best is not None and scores[self.keep_best] > self._best.get('value', -1.0):
            self._best = dict(
                metric=self.keep_best,
                balanced=self.balanced,
                value=float(scores[self.keep_best]),
                epoch=epoch,
                weights=copy.deepcopy(neck.state_dict()),
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
    def _model(runner: Runner) -> nn.Module:
        return runner.model.module if is_model_wrapper(runner.model) else runner.model

    @classmethod
    def _neck(cls, runner: Runner) -> nn.Module:
        model = cls._model(runner)
        neck = getattr(model, 'neck', None)
        if neck is None:
            raise ValueError(
                'LinearProbeHook probes the output of the neck, and '
                f"{type(model).__name__} has none: add neck=dict(type='SoLa') to the model"
            )
        return neck
