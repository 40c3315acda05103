"""Stages of a longer job: each is done once, and a job that was stopped goes on where it was."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import shutil
import subprocess
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
        folder: Folder of the stage. What an earlier attempt with the same settings left there is
            kept, so that ``work`` can resume; with other settings it is removed.
        settings: Text that tells everything the result depends on.
        work: Does the stage and returns plain values.

    Returns:
        What ``work`` returned, ``seconds``, the wall time of the attempt that ended it, and
        ``code``, the :func:`code_version` that did.
    """
    done, begun = folder / 'stage.json', folder / 'settings.txt'
    if begun.is_file() and begun.read_text(encoding='utf-8') != settings:
        shutil.rmtree(folder)
    if (result := finished_stage(folder)) is not None:
        return result
    with atomic_write(begun) as file:
        file.write(settings)
    start = time.perf_counter()
    result = dict(work(), seconds=time.perf_counter() - start, code=code_version())
    with atomic_write(done) as file:
        json.dump(result, file)
    return result


@functools.cache
def code_version() -> str:
    """Commit of the code and the configs, with ``+`` if they were changed since.

    Outside of the project's git repository it is the version of the package.
    """
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ['git', *arguments], cwd=root, check=True, capture_output=True, text=True
        ).stdout.strip()

    try:
        if Path(git('rev-parse', '--show-toplevel')).resolve() == root:
            changed = git('status', '--porcelain', '--', 'sola_plugin', 'configs')
            return git('rev-parse', '--short=7', 'HEAD') + ('+' if changed else '')
    except (OSError, subprocess.CalledProcessError):
        pass  # no git, or no repository
    return importlib.metadata.version('sola_plugin')
