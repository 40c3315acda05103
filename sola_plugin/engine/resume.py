"""Resume from the newest checkpoint that can be read."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader


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
    resume_seed(cfg, checkpoint)


def resume_run(cfg: Config) -> None:
    """Prepare a Runner config for going on with a run, where it asks for that.

    Args:
        cfg: With ``resume=True`` and no ``load_from``, see :func:`resume_from_newest`. With
            ``load_from``, that checkpoint is resumed. Changed in place.
    """
    if not cfg.get('resume'):
        return
    if cfg.get('load_from'):
        resume_seed(cfg, _load(cfg.load_from))
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
            checkpoint = _load(path)
        except Exception as error:  # torch raises many kinds for a torn file
            print_log(
                f'{path} cannot be read ({error}); trying the checkpoint before it',
                'current',
                logging.WARNING,
            )
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


def _load(path: str | os.PathLike) -> Any:
    return CheckpointLoader.load_checkpoint(os.fspath(path), map_location='cpu', logger='silent')
