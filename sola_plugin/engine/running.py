"""Running a Runner so that it leaves everything in order, however it ends."""

from __future__ import annotations

import contextlib

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from sola_plugin.locking import hold_lock

from .hooks.progress_bar import removing_bars


def run_training(runner: Runner) -> None:
    """Train; no other training may write to the same work dir meanwhile.

    Args:
        runner: After it was built.

    Raises:
        BusyError: Another process trains there. Of several ranks the first raises it.
    """
    lock = (
        hold_lock(runner.work_dir, inside=True) if is_main_process() else contextlib.nullcontext()
    )
    with lock, removing_bars(runner):
        runner.train()


def run_test(runner: Runner) -> dict[str, float]:
    """Test.

    Args:
        runner: After it was built.

    Returns:
        Figures by name.
    """
    with removing_bars(runner):
        return runner.test()
