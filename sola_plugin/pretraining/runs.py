"""Runs of mmengine's Runner: their names, and what surrounds them."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator

from mmaction.registry import RUNNERS
from mmengine.config import Config
from mmengine.dist import is_distributed, is_main_process
from mmengine.runner import Runner

from sola_plugin.io import naming_file
from sola_plugin.locking import hold_lock
from sola_plugin.temporary_files import remove_abandoned

from .loader_workers import watching_workers
from .progress_bar import ProgressBarHook

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
