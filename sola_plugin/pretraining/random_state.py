"""Random numbers of the run."""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import worker_init_fn
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader, get_worker_info


def random_state() -> dict[str, Any]:
    """State of the generators of Python, NumPy and torch, on the CPU and the current GPU.

    Returns:
        Plain values and tensors, so that a checkpoint that holds them can be read weights-only.
    """
    kind, keys, *rest = np.random.get_state()
    state = dict(
        python=random.getstate(),
        numpy=(kind, [int(key) for key in keys], *rest),
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put the generators back.

    Args:
        state: Result of :func:`random_state`; its tensors may be on any device.
    """
    random.setstate(state['python'])
    kind, keys, *rest = state['numpy']
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


@contextlib.contextmanager
def keep_random_state() -> Iterator[None]:
    """Let the generators go on as if nothing had been drawn or seeded inside.

    Those of Python, NumPy and torch. The state is put back after an error as well.
    """
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)


class EpochSeeds:
    """Lets workers that live on from epoch to epoch draw, in an epoch, what seed and epoch say.

    Otherwise their generators would go on from where the epoch before left them, and those of a
    resumed run, which are new, elsewhere. The first epoch is as it would be without this.

    Args:
        init: mmengine's ``worker_init_fn`` with its arguments.
    """

    def __init__(self, init: functools.partial) -> None:
        self.init = init
        self._epoch = multiprocessing.Value('q', 0)  # seen by the workers

    def start(self, epoch: int) -> None:
        """Begin an epoch; to be called before its first batch is asked for."""
        self._epoch.value = epoch  # type: ignore[attr-defined]

    def __call__(self, worker_id: int) -> None:
        """Seed a new worker, and let it look at the epoch before every batch."""
        self.init(worker_id)
        info = get_worker_info()
        assert info is not None
        dataset: Any = info.dataset  # the worker's own copy
        read = getattr(dataset, '__getitems__', None) or functools.partial(_read_each, dataset)
        seeded = 0

        def read_in_epoch(indices: Sequence) -> list:
            nonlocal seeded
            epoch = self._epoch.value  # type: ignore[attr-defined]
            if epoch != seeded:
                seeded = epoch
                workers = info.num_workers * get_world_size()
                self.init(worker_id, seed=self.init.keywords['seed'] + epoch * workers)
            return read(indices)

        dataset.__getitems__ = read_in_epoch  # torch reads a batch by it, where it is there


def _read_each(dataset: Any, indices: Sequence) -> list:
    return [dataset[index] for index in indices]


def seed_by_epoch(loader: DataLoader) -> EpochSeeds | None:
    """Seed persistent workers anew in every epoch.

    Args:
        loader: A data loader of mmengine's Runner; changed in place.

    Returns:
        What is to be told of every epoch; ``None`` where there is nothing to do: the workers are
        not persistent (mmengine seeds each epoch's new ones), or are seeded by the user's function.
    """
    init = loader.worker_init_fn
    if isinstance(init, EpochSeeds):
        return init
    if not (
        loader.persistent_workers
        and isinstance(init, functools.partial)
        and init.func is worker_init_fn
    ):
        return None
    seeds = EpochSeeds(init)
    loader.worker_init_fn = seeds
    return seeds


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
