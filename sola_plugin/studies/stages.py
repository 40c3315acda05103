"""Stages of a longer job: each is done once, and a job that was stopped goes on where it was."""
from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from sola_plugin.utils import atomic_write


def finished_stage(folder: Path) -> dict | None:
    """What a stage gave; ``None`` if it is not done.

    Args:
        folder: Folder of the stage.
    """
    done = folder / 'stage.json'
    return json.loads(done.read_text(encoding='utf-8')) if done.is_file() else None


def run_stage(folder: Path, settings: str, work: Callable[[], dict]) -> dict:
    """Do a stage, or return what it gave when it was done with the same settings.

    Args:
        folder: Folder of the stage. What an earlier attempt with the same settings left there is kept,
            so that ``work`` can resume; with other settings it is removed.
        settings: Text that tells everything the result depends on.
        work: Does the stage and returns plain values.

    Returns:
        What ``work`` returned, and ``seconds``, the wall time of the attempt that ended it.
    """
    done, begun = folder / 'stage.json', folder / 'settings.txt'
    if begun.is_file() and begun.read_text(encoding='utf-8') != settings:
        shutil.rmtree(folder)
    if (result := finished_stage(folder)) is not None:
        return result
    with atomic_write(begun) as file:
        file.write(settings)
    start = time.perf_counter()
    result = dict(work(), seconds=time.perf_counter() - start)
    with atomic_write(done) as file:
        json.dump(result, file)
    return result
