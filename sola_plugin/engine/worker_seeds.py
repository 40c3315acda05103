"""Random numbers of the worker processes that read data."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Sequence
from typing import Any

from mmengine.dataset import worker_init_fn
from mmengine.dist import get_world_size
from torch.utils.data import DataLoader, get_worker_info


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
