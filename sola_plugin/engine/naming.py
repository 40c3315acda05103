"""Names of runs."""

from __future__ import annotations

import itertools

from mmengine.config import Config

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
