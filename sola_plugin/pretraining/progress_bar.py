"""A progress bar for training and testing."""

from __future__ import annotations

import atexit
import logging

import torch
from mmaction.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show progress, loss and remaining time on a terminal.

    Elsewhere (a log file, another rank) nothing is drawn, and the log lines of mmengine tell the
    progress. While the bar is drawn those lines go to the log file only.

    Args:
        description: Text before the bar. Default: ``training`` or ``testing``.
    """

    priority = 'VERY_LOW'

    def __init__(self, description: str | None = None) -> None:
        self.description = description
        self._progress: Progress | None = None
        self._silenced: list[tuple[logging.Handler, int]] = []

    def before_train(self, runner: Runner) -> None:
        """Start the bar at the iteration that training starts from."""
        self._start(runner, 'training', runner.max_iters, runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Advance the bar and show the loss."""
        if self._progress is not None:
            loss = (outputs or {}).get('loss')
            text = '' if loss is None else f'loss {torch.as_tensor(loss).item():.4f}'
            self._progress.update(self._task, advance=1, loss=text)

    def after_train(self, runner: Runner) -> None:
        """Remove the bar."""
        self.stop()

    def before_test(self, runner: Runner) -> None:
        """Start the bar."""
        self._start(runner, 'testing', len(runner.test_dataloader), 0)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Advance the bar."""
        if self._progress is not None:
            self._progress.update(self._task, advance=1)

    def after_test(self, runner: Runner) -> None:
        """Remove the bar."""
        self.stop()

    def _start(self, runner: Runner, description: str, total: int, completed: int) -> None:
        console = Console(stderr=True)
        if not (is_main_process() and console.is_terminal):
            return
        self.stop()  # of a run that was left by an exception
        atexit.register(self.stop)
        for handler in runner.logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(
                handler, logging.FileHandler
            ):
                self._silenced.append((handler, handler.level))
                handler.setLevel(logging.WARNING)
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn('{task.fields[loss]}'),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(
            self.description or description, total=total, completed=completed, loss=''
        )
        self._progress.start()

    def stop(self) -> None:
        """Remove the bar, if there is one, and let the log be seen again."""
        atexit.unregister(self.stop)
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        for handler, level in self._silenced:
            handler.setLevel(level)
        self._silenced.clear()
