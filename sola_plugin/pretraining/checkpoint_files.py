"""Which checkpoint of a run is the newest."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from sola_plugin.necks.checkpoint import CheckpointError, read_checkpoint


def checkpoint_path(name: str) -> str:
    """A checkpoint file; a ``type`` for arguments of argparse.

    Args:
        name: The file, or the ``last_checkpoint`` of a work dir, in which mmengine names it.
    """
    if os.path.basename(name) != 'last_checkpoint' or not os.path.isfile(name):
        return name
    with open(name, encoding='utf-8') as file:
        last = file.read().strip()
    # The work dir may have been moved, or the command is typed elsewhere.
    beside = os.path.join(os.path.dirname(name), os.path.basename(last))
    return last if os.path.isfile(last) or not os.path.isfile(beside) else beside


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
    return next((path for path, _ in readable_checkpoints(work_dir)), None)


def readable_checkpoints(work_dir: str | os.PathLike) -> Iterator[tuple[Path, Any]]:
    """Read the checkpoints of a folder, newest first, and pass over those that cannot be read.

    Args:
        work_dir: Folder of a run.

    Yields:
        Path of a checkpoint, and what it holds.
    """
    for path in _newest_first(work_dir):
        try:
            checkpoint = read_checkpoint(path)
        except (CheckpointError, OSError) as error:
            print_log(f'{error} Trying the checkpoint before it', 'current', logging.WARNING)
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
