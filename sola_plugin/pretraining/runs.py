"""Runs of mmengine's Runner: their names, ranks, random state and resuming."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import gc
import itertools
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import RUNNERS
from mmengine.config import Config
from mmengine.dist import get_dist_info, is_distributed, is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner

from sola_plugin.io import naming_file
from sola_plugin.locking import hold_lock
from sola_plugin.necks.checkpoint import CheckpointError, read_checkpoint
from sola_plugin.temporary_files import remove_abandoned

from .agreement import check_agreement
from .launchers import prepare_ranks
from .loader_workers import watching_workers
from .progress_bar import ProgressBarHook
from .schedule import check_resumable

_count = itertools.count(1)


def name_run(cfg: Config) -> None:
    """Give a Runner config an experiment name of its own in this process.

    mmengine finds loggers, message hubs and visualizers by the experiment's name, by default the
    time in seconds: of two runs within a second, the second one would write into the log of the
    first.

    Args:
        cfg: Changed in place; a name that is there is kept.
    """
    if cfg.get('experiment_name') is None:
        cfg.experiment_name = f'run{next(_count)}'


def prepare_determinism(cfg: Config) -> None:
    """Let cuBLAS give the same bits each time, where a config asks for deterministic algorithms.

    PyTorch refuses matrix products on a GPU then, unless this is said in the environment before the
    first of them.

    Args:
        cfg: Runner config.
    """
    if (cfg.get('randomness') or {}).get('deterministic'):
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')


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


#: Ranks that share no gradients wait for each other at the end, as long as the slowest one works.
_LONG_WAIT = datetime.timedelta(days=30)


def prepare_cpu_ranks(cfg: Config) -> None:
    """Let launchers work where there is no GPU.

    mmengine sets the CUDA device of a rank before anything else, and hands it to
    DistributedDataParallel; both fail there. With a GPU, or without a launcher, nothing is done but
    :func:`~.launchers.prepare_ranks`.

    Args:
        cfg: Runner config with ``launcher``; changed in place.

    Raises:
        LauncherError: It was not started by this launcher.
    """
    launcher = cfg.get('launcher') or 'none'
    prepare_ranks(launcher)
    if launcher == 'none' or torch.cuda.is_available():
        return
    if not is_distributed():
        _join_group()
    if cfg.get('model_wrapper_cfg') is None:
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
        )


def divide_among_ranks() -> tuple[int, int]:
    """Join the ranks that ``torchrun`` started, for work that is divided among them.

    Returns:
        Number of this rank, and of how many; ``(0, 1)`` without ``torchrun``.
    """
    if torch.distributed.is_torchelastic_launched() and not is_distributed():
        _join_group(timeout=_LONG_WAIT)
    return get_dist_info()


def own_device() -> str:
    """The device of this rank: a GPU, if there are any."""
    if not torch.cuda.is_available():
        return 'cpu'
    return f'cuda:{int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()}'


def _join_group(**options) -> None:
    torch.distributed.init_process_group('gloo', **options)
    leave_group_at_exit()


def leave_group_at_exit() -> None:
    """Let this process leave the ranks' group when it ends, whoever joined it.

    A group that is left to the interpreter makes NCCL warn that ``destroy_process_group`` was not
    called, and threads of gloo that still run would abort the process.
    """
    atexit.register(leave_group)


def leave_group() -> None:
    """Leave the group of ``torchrun``'s ranks, if this process is in one."""
    # a model wrapper in a reference cycle would keep the group, and its threads, alive
    gc.collect()
    if is_distributed():
        torch.distributed.destroy_process_group()


def abandon_group() -> None:
    """Let a rank that has failed end at once.

    To leave an NCCL group a rank may have to wait for the others, which wait for it: ``torchrun``
    ends them when it sees the failure.
    """
    if is_distributed() and torch.distributed.get_backend() == 'nccl':
        atexit.unregister(leave_group)


def checkpoint_path(name: str) -> str:
    """A checkpoint file; a ``type`` for arguments of argparse.

    Args:
        name: The file, or the ``last_checkpoint`` of a work dir, in which mmengine names it.
    """
    if os.path.basename(name) != 'last_checkpoint' or not os.path.isfile(name):
        return name
    with open(name, encoding='utf-8') as file:
        last = file.read().strip()
    # The work dir may have been moved, or the command is typed elsewhere.
    beside = os.path.join(os.path.dirname(name), os.path.basename(last))
    return last if os.path.isfile(last) or not os.path.isfile(beside) else beside


def newest_checkpoint(work_dir: str | os.PathLike) -> Path | None:
    """Newest complete ``epoch_N.pth`` or ``iter_N.pth`` of a folder.

    Of one kind, the one with the largest number; of two kinds (the run of one ended, and another
    began in the same folder), those of the kind that was written last. A file that cannot be read,
    such as one that another program left torn, is passed over with a warning.

    Args:
        work_dir: Folder of a run.

    Returns:
        Its path, or ``None`` when there is none.
    """
    return next((path for path, _ in _readable(work_dir)), None)


def resume_from_newest(cfg: Config) -> None:
    """Point a Runner config at the newest readable checkpoint of its ``work_dir``.

    Args:
        cfg: Changed in place: ``resume``, ``load_from``, and the seed, see :func:`resume_seed`.
            Without a checkpoint the run starts anew.
    """
    path, checkpoint = next(_readable(cfg.work_dir), (None, None))
    cfg.resume = path is not None
    cfg.load_from = None if path is None else os.fspath(path)
    if path is None:
        print_log(f'nothing to resume in {cfg.work_dir}: starting anew', 'current', logging.WARNING)
    else:
        check_agreement(checkpoint, cfg, path)
    resume_seed(cfg, checkpoint)


def resume_run(cfg: Config) -> None:
    """Prepare a Runner config for going on with a run, where it asks for that.

    Args:
        cfg: With ``resume=True`` and no ``load_from``, see :func:`resume_from_newest`. With
            ``load_from``, that checkpoint is resumed. Changed in place.

    Raises:
        CheckpointError: ``load_from`` cannot be read.
        FileNotFoundError: There is no such file.
    """
    if not cfg.get('resume'):
        if cfg.get('load_from'):
            check_agreement(read_checkpoint(cfg.load_from), cfg, cfg.load_from, only_order=True)
        return
    if cfg.get('load_from'):
        checkpoint = read_checkpoint(cfg.load_from)
        check_resumable(checkpoint, cfg.load_from)
        check_agreement(checkpoint, cfg, cfg.load_from)
        resume_seed(cfg, checkpoint)
    else:
        resume_from_newest(cfg)


def resume_seed(cfg: Config, checkpoint: Any) -> None:
    """Give a Runner config the seed of the run that it goes on with.

    mmengine takes it over only after samplers and workers were seeded: without this, a run whose
    seed was drawn would go on with the videos in another order.

    Args:
        cfg: Changed in place: ``randomness``.
        checkpoint: What the file holds.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    seed = meta.get('seed') if isinstance(meta, dict) else None
    if not isinstance(seed, int):
        return
    randomness = dict(cfg.get('randomness') or {})
    if randomness.get('seed') not in (None, seed):
        print_log(
            f'the run is resumed with its own seed {seed}, not {randomness["seed"]}',
            'current',
            logging.WARNING,
        )
    cfg.randomness = {**randomness, 'seed': seed}


def _readable(work_dir: str | os.PathLike) -> Iterator[tuple[Path, Any]]:
    """Checkpoints of a folder that can be read, newest first, and what they hold."""
    for path in _newest_first(work_dir):
        try:
            checkpoint = read_checkpoint(path)
        except (CheckpointError, OSError) as error:
            print_log(f'{error} Trying the checkpoint before it', 'current', logging.WARNING)
        else:
            yield path, checkpoint


def _newest_first(work_dir: str | os.PathLike) -> list[Path]:
    kinds: dict[str, list[tuple[int, Path]]] = {}
    for path in Path(work_dir).glob('*.pth'):
        match = re.fullmatch(r'(epoch|iter)_(\d+)', path.stem)
        if match:
            kinds.setdefault(match[1], []).append((int(match[2]), path))
    # Numbers of epochs and of iterations cannot be compared; times of files can.
    newest_kind = sorted(
        (sorted(found, reverse=True) for found in kinds.values()),
        key=lambda found: max(path.stat().st_mtime_ns for _, path in found),
        reverse=True,
    )
    return [path for found in newest_kind for _, path in found]


def refuse_busy(work_dir: str | os.PathLike) -> None:
    """See whether a training may write to a work dir, before a Runner puts its config there.

    Raises:
        BusyError: Another process trains there. Of several ranks the first raises it.
    """
    # Ranks that have not met yet would all be the main process.
    is_first = is_main_process() if is_distributed() else os.environ.get('RANK', '0') == '0'
    if is_first:
        with naming_file(work_dir), hold_lock(work_dir, inside=True):
            pass


def run_training(runner: Runner) -> None:
    """Train; no other training may write to the same work dir meanwhile.

    Args:
        runner: After it was built.

    Raises:
        BusyError: Another process trains there. Of several ranks the first raises it.
        WorkerError: A worker that reads data has died, or gives nothing.
    """
    lock = (
        hold_lock(runner.work_dir, inside=True) if is_main_process() else contextlib.nullcontext()
    )
    with lock, removing_bars(runner), watching_workers(runner):
        if is_main_process():
            remove_abandoned(runner.work_dir)
        runner.train()


def run_test(runner: Runner) -> dict[str, float]:
    """Test.

    Args:
        runner: After it was built.

    Returns:
        Figures by name.

    Raises:
        WorkerError: A worker that reads data has died, or gives nothing.
    """
    with removing_bars(runner), watching_workers(runner):
        return runner.test()


@contextlib.contextmanager
def removing_bars(runner: Runner) -> Iterator[None]:
    """Remove the bars of a run where an exception leaves it: mmengine does not tell its hooks."""
    try:
        yield
    finally:
        for hook in runner.hooks:
            if isinstance(hook, ProgressBarHook):
                hook.stop()
