"""Resume from the newest checkpoint that can be read."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader


def newest_checkpoint(work_dir: str | os.PathLike) -> Path | None:
    """Newest complete ``epoch_N.pth`` or ``iter_N.pth`` of a folder.

    mmengine writes checkpoints in place, so that a kill or a full disk can leave a torn file. Such
    a file is passed over with a warning.

    Args:
        work_dir: Folder of a run.

    Returns:
        Its path, or ``None`` when there is none.
    """
    numbered = []
    for path in Path(work_dir).glob('*.pth'):
        match = re.fullmatch(r'(?:epoch|iter)_(\d+)', path.stem)
        if match:
            numbered.append((int(match[1]), path))
    for _, path in sorted(numbered, reverse=True):
        try:
            CheckpointLoader.load_checkpoint(os.fspath(path), map_location='cpu', logger='silent')
        except Exception as error:  # torch raises many kinds for a torn file
            print_log(
                f'{path} cannot be read ({error}); trying the checkpoint before it',
                'current',
                logging.WARNING,
            )
        else:
            return path
    return None


def resume_from_newest(cfg: Config) -> None:
    """Point a Runner config at the newest readable checkpoint of its ``work_dir``.

    Args:
        cfg: Changed in place: ``resume`` and ``load_from``. Without a checkpoint the run starts
            anew.
    """
    path = newest_checkpoint(cfg.work_dir)
    cfg.resume = path is not None
    cfg.load_from = None if path is None else os.fspath(path)
    if path is None:
        print_log(f'nothing to resume in {cfg.work_dir}: starting anew', 'current', logging.WARNING)
