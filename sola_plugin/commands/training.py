"""Train a localizer."""

from __future__ import annotations

import argparse

from mmengine.config import Config
from mmengine.runner import Runner

from sola_plugin.datasets.annotations.model import AnnotationError
from sola_plugin.evaluation.metrics.columns import no_segments, segment_column
from sola_plugin.evaluation.tal_metric import TALMetric
from sola_plugin.heads.actionformer.dead_distances import DeadDistanceHook
from sola_plugin.io import naming_file
from sola_plugin.pretraining.agreement import TrainingRecordHook
from sola_plugin.pretraining.finiteness import FiniteHook
from sola_plugin.pretraining.one_cycle import warn_of_lost_multipliers
from sola_plugin.pretraining.provenance import warn_of_pretrained_neck
from sola_plugin.pretraining.random_state import RandomStateHook
from sola_plugin.pretraining.rank_means import RankMeanHook
from sola_plugin.pretraining.resuming import resume_run
from sola_plugin.pretraining.runs import build_runner, refuse_busy, run_training
from sola_plugin.pretraining.schedule import ScheduleHook

#: Of a training that ended because the disk takes no more.
GO_ON = 'make room, then the same command with --resume goes on'


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--resume --amp --seed --deterministic``.

    Args:
        parser: Changed in place.
    """
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint; without a name, from the newest in the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument('--seed', type=int, help='random seed (default: that of the config)')
    parser.add_argument(
        '--deterministic', action='store_true', help='deterministic CUDA algorithms'
    )


def train_localizer(cfg: Config, new_schedule: bool = False) -> Runner:
    """Train a localizer by its config.

    Args:
        cfg: Runner config. With ``resume=True`` and no ``load_from``, the run goes on from the
            newest checkpoint of its ``work_dir`` that can be read. A run by epochs that is resumed
            ends with the weights that it would have had without the stop.
        new_schedule: Whether a run that is resumed goes on in the schedule of ``cfg``, see
            :class:`~sola_plugin.pretraining.schedule.ScheduleHook`.

    Returns:
        The Runner after training.

    Raises:
        BusyError: Another process trains in this work dir.
    """
    refuse_busy(cfg.work_dir)
    resume_run(cfg)
    with naming_file(cfg.work_dir):
        runner = build_runner(cfg)
        hooks = (
            RandomStateHook(),
            TrainingRecordHook(),
            ScheduleHook(new_schedule),
            FiniteHook(),
            RankMeanHook(),
            DeadDistanceHook(),
        )
        for hook in hooks:
            runner.register_hook(hook)
        warn_of_pretrained_neck(cfg)
        warn_of_lost_multipliers(cfg)
        _check_validation(runner)
        run_training(runner)
    return runner


def _check_validation(runner: Runner) -> None:
    """See before the training whether the validation set can be evaluated.

    Raises:
        AnnotationError: It cannot.
    """
    loop = runner.val_loop
    metrics = loop.evaluator.metrics if loop is not None else ()
    if not any(isinstance(metric, TALMetric) for metric in metrics):
        return
    dataset = loop.dataloader.dataset
    truth = {
        info['video_name']: info['annotations']
        for info in map(dataset.get_data_info, range(len(dataset)))
        if 'annotations' in info
    }
    try:
        if truth and not len(segment_column(truth, 'ground truth')):
            raise no_segments(truth)
    except ValueError as error:
        raise AnnotationError(f'the validation set cannot be evaluated: {error}') from error
