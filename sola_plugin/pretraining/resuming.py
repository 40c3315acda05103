"""Going on with a run: from which checkpoint, and with which seed."""

from __future__ import annotations

import logging
import os
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from sola_plugin.necks.checkpoint import read_checkpoint

from .agreement import check_agreement
from .checkpoint_files import readable_checkpoints
from .schedule import check_resumable


def resume_from_newest(cfg: Config) -> None:
    """Point a Runner config at the newest readable checkpoint of its ``work_dir``.

    Args:
        cfg: Changed in place: ``resume``, ``load_from``, and the seed, see :func:`resume_seed`.
            Without a checkpoint the run starts anew.
    """
    path, checkpoint = next(readable_checkpoints(cfg.work_dir), (None, None))
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
