"""What the commands share: arguments, configs, errors, and training."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from mmaction.registry import RUNNERS
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from sola_plugin.datasets.annotations.model import AnnotationError
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.evaluation.metrics.columns import no_segments, segment_column
from sola_plugin.evaluation.score_files import ScoreError
from sola_plugin.evaluation.tal_metric import TALMetric
from sola_plugin.io import DISK_ERRORS, naming_file
from sola_plugin.locking import BusyError
from sola_plugin.messages import printable
from sola_plugin.necks.checkpoint import CheckpointError
from sola_plugin.pretraining.agreement import (
    FiniteHook,
    SameScheduleHook,
    TrainingRecordHook,
)
from sola_plugin.pretraining.provenance import warn_of_pretrained_neck
from sola_plugin.pretraining.random_state import RandomStateHook
from sola_plugin.pretraining.runs import (
    abandon_group,
    leave_group_at_exit,
    name_run,
    prepare_cpu_ranks,
    prepare_determinism,
    resume_run,
    run_training,
)

from .config_options import ConfigError, read_config
from .shipped import config_path

#: Errors whose text tells the user all.
_ONE_LINE = (
    AnnotationError,
    BusyError,
    CheckpointError,
    FeatureError,
    FileNotFoundError,
    ConfigError,
    ScoreError,
)

#: Of a training that ended because the disk takes no more.
GO_ON = 'make room, then the same command with --resume goes on'


def add_runner_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``CONFIG --work-dir --cfg-options --launcher``.

    Args:
        parser: Changed in place.
    """
    parser.add_argument(
        'config', type=config_path, metavar='CONFIG', help='file, or a name of `sola configs`'
    )
    parser.add_argument(
        '--work-dir',
        help='folder for logs and results '
        '(default: work_dir of the config, or work_dirs/<config name>)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. model.max_duration=16',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher; torchrun is pytorch',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


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


def load_config(args: argparse.Namespace) -> Config:
    """Read the config file and apply the command line to it.

    Args:
        args: Parsed arguments of :func:`add_runner_arguments`, and of
            :func:`add_training_arguments` where the tool has them.

    Returns:
        A Runner config with ``work_dir`` and ``launcher`` set.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if cfg.launcher != 'none':
        leave_group_at_exit()
    prepare_cpu_ranks(cfg)
    # The command line comes first, then the config, then the name of the config.
    cfg.work_dir = (
        args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    )
    if getattr(args, 'amp', False):
        if not torch.cuda.is_available():
            raise ConfigError('--amp needs a GPU, and PyTorch sees none: leave it out')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
    randomness = dict(cfg.get('randomness') or {})
    if getattr(args, 'seed', None) is not None:
        randomness['seed'] = args.seed
    if getattr(args, 'deterministic', False):
        randomness['deterministic'] = True
    if randomness:
        cfg.randomness = {'seed': None, **randomness}
    resume = getattr(args, 'resume', None)
    if resume is not None:
        cfg.resume = True
        cfg.load_from = None if resume == 'auto' else resume
    return cfg


@contextlib.contextmanager
def data_errors(advice: str = '') -> Iterator[None]:
    """End with ``error: ...`` and exit code 1 where the user's data or files are at fault.

    Other errors keep their traceback: they may be ours.

    Args:
        advice: What the user can do when the disk takes no more.
    """
    try:
        yield
    except BaseException as error:
        abandon_group()
        if isinstance(error, _ONE_LINE):
            sys.exit(f'error: {printable(error)}')
        # An error of the system without a file is, say, a connection that another rank has closed.
        if isinstance(error, OSError) and error.filename is not None:
            sys.exit(f'error: {printable(explain_os_error(error, advice))}')
        raise


def explain_os_error(error: OSError, advice: str = '') -> str:
    """One line about a file that cannot be read or written.

    Args:
        error: It names the file.
        advice: Added when the disk is full or read-only.

    Returns:
        The line.
    """
    return f'{error}; {advice}' if advice and error.errno in DISK_ERRORS else str(error)


def build_runner(cfg: Config) -> Runner:
    """Build the Runner of a config, of the class that ``runner_type`` names.

    Args:
        cfg: Runner config.

    Returns:
        The Runner.
    """
    name_run(cfg)
    prepare_determinism(cfg)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def train_localizer(cfg: Config) -> Runner:
    """Train a localizer by its config.

    Args:
        cfg: Runner config. With ``resume=True`` and no ``load_from``, the run goes on from the
            newest checkpoint of its ``work_dir`` that can be read. A run by epochs that is resumed
            ends with the weights that it would have had without the stop.

    Returns:
        The Runner after training.

    Raises:
        BusyError: Another process trains in this work dir.
    """
    resume_run(cfg)
    with naming_file(cfg.work_dir):
        runner = build_runner(cfg)
        for hook in (RandomStateHook(), TrainingRecordHook(), SameScheduleHook(), FiniteHook()):
            runner.register_hook(hook)
        warn_of_pretrained_neck(cfg)
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
