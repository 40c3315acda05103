"""A run that is resumed at an epoch draws the random numbers that it would have drawn."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..random_state import random_state, set_random_state
from ..worker_seeds import EpochSeeds, seed_by_epoch


class RandomStateHook(Hook):
    """Keep the random state of every rank in the checkpoints, and put it back on resume.

    A checkpoint of mmengine has none, so that a resumed run would draw the numbers of its first
    epochs again (those of BMN's loss, dropout, random windows and crops). Here an epoch begins with
    the random state that the epoch before ended with, whatever was drawn in between (validation is
    not repeated on resume), and persistent workers are seeded by epoch.

    Only for runs by epochs: where a run by iterations goes on, mmengine reads all the batches
    before again.
    """

    # Before CheckpointHook, at the end of an epoch.
    priority = 'LOW'

    def __init__(self) -> None:
        self._states: list[dict[str, Any]] = []
        self._seeds: EpochSeeds | None = None
        self._resumed = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the random states of a run that is resumed."""
        if not runner._resume:
            return
        states = checkpoint.get('random_states') or []
        if len(states) == get_world_size():
            self._states, self._resumed = states, True
            return
        print_log(
            f'the checkpoint has random states of {len(states)} ranks, the run has '
            f'{get_world_size()}: it goes on with other random numbers than without the stop',
            'current',
            logging.WARNING,
        )

    def before_train(self, runner: Runner) -> None:
        """Let persistent workers know the epoch."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._seeds = seed_by_epoch(runner.train_dataloader)

    def before_train_epoch(self, runner: Runner) -> None:
        """Go on where the epoch before ended."""
        if self._seeds is not None:
            self._seeds.start(runner.epoch)
        self._restore()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Forget what starting persistent workers drew, which a run without a stop did before."""
        if self._resumed and runner.train_dataloader.persistent_workers:
            self._restore()
        self._resumed = False

    def after_train_epoch(self, runner: Runner) -> None:
        """Note the random state, for the next epoch and for the checkpoints until then."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._states = all_gather_object(random_state())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the random states of all ranks."""
        if self._states:
            checkpoint['random_states'] = self._states

    def _restore(self) -> None:
        if self._states:
            set_random_state(self._states[get_rank()])
