"""Running a study: its stages in parallel processes, each stage once."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from .cells import Stage, cell_stages
from .stages import finished_stage
from .study import Cell, Study


@dataclass(frozen=True)
class Outcome:
    """One cell with one seed after it was run.

    Attributes:
        cell, seed: Which.
        stages: Its stages; the last one is the head.
        figures: What the head's stage gave, and ``pretrain_seconds`` where there was one; ``None``:
            it failed.
        error: Why, and where the log is; empty if it did not fail.
        code: Versions of the code that did the stages.
    """

    cell: Cell
    seed: int
    stages: tuple[Stage, ...]
    figures: dict[str, float] | None
    error: str = ''
    code: frozenset[str] = frozenset()


def run_study(
    study: Study,
    work_dir: Path,
    jobs: int = 1,
    report: Callable[[str, int, int], None] | None = None,
) -> list[Outcome]:
    """Run what is not done yet. A stage that fails stops the cells that need it, and no others.

    Args:
        study: The study.
        work_dir: Folder of the stages and of ``logs/<stage>.txt``. Studies may share one: equal
            stages are done once.
        jobs: Stages that run at the same time, in processes of one thread each.
        report: Called as ``report(what, done, total)`` after every stage.

    Returns:
        Every cell with every seed, in the order of the study.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    plan = [
        (cell, seed, cell_stages(cell, seed, work_dir))
        for cell in study.cells
        for seed in study.seeds
    ]
    errors: dict[Path, str] = {}
    total, done = len({stage.folder for _, _, stages in plan for stage in stages}), 0
    for layer in _layers(plan, errors):
        for name, error in _run_layer(layer, jobs):
            done += 1
            if error:
                errors[work_dir / name] = error
            if report is not None:
                report(name, done, total)
    return [_outcome(cell, seed, stages, errors) for cell, seed, stages in plan]


#: A stage by the cell and seed that need it, and its place among that cell's stages.
_Task = tuple[Cell, int, Path, int]


def _layers(
    plan: list[tuple[Cell, int, list[Stage]]], errors: dict[Path, str]
) -> Iterator[dict[Path, _Task]]:
    """Stages that need nothing, then those that need only these, ...; none that needs a failed
    one."""
    for place in range(max(len(stages) for _, _, stages in plan)):
        yield {
            stages[place].folder: (cell, seed, stages[place].folder.parent, place)
            for cell, seed, stages in plan
            if place < len(stages) and not any(stage.folder in errors for stage in stages[:place])
        }


def _run_layer(layer: dict[Path, _Task], jobs: int) -> Iterator[tuple[str, str]]:
    """Run stages side by side; yield name and error of each as it ends."""
    todo = {}
    for folder, task in layer.items():
        if finished_stage(folder) is None:
            todo[folder] = task
        else:
            yield folder.name, ''
    if not todo:
        return
    context = multiprocessing.get_context('spawn')
    with _single_threaded(), ProcessPoolExecutor(min(jobs, len(todo)), mp_context=context) as pool:
        names: dict[Future, str] = {
            pool.submit(_work, *task): folder.name for folder, task in todo.items()
        }
        waiting = set(names)
        while waiting:
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ended:
                error = future.exception()
                yield names[future], '' if error is None else f'{type(error).__name__}: {error}'


def _work(cell: Cell, seed: int, work_dir: Path, place: int) -> None:
    """Run one stage in a process of its own; its log goes to a file."""
    stage = cell_stages(cell, seed, work_dir)[place]
    log = work_dir / 'logs' / f'{stage.name}.txt'
    log.parent.mkdir(exist_ok=True)
    with open(log, 'a', encoding='utf-8') as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
    import torch

    torch.set_num_threads(1)
    try:
        stage.run()
    except Exception as error:
        traceback.print_exc()
        # The log has the whole of it; not every exception can be sent to another process.
        raise RuntimeError(f'{type(error).__name__}: {error} (log: {log})') from None


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    """A spawned process reads these variables before it imports torch."""
    names = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, '1'))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _outcome(cell: Cell, seed: int, stages: list[Stage], errors: dict[Path, str]) -> Outcome:
    for stage in stages:
        if stage.folder in errors:
            return Outcome(cell, seed, tuple(stages), None, errors[stage.folder])
    results = {stage.kind: finished_stage(stage.folder) or {} for stage in stages}
    figures = {
        key: value for key, value in results['head'].items() if key not in ('seconds', 'code')
    }
    if 'pretrain' in results:
        figures['pretrain_seconds'] = results['pretrain']['seconds']
    # Work dirs of earlier versions do not tell.
    code = frozenset(result.get('code', 'unknown') for result in results.values())
    return Outcome(cell, seed, tuple(stages), figures, code=code)
