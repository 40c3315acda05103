"""Running a study: its stages in parallel processes, each stage once."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sola_plugin.locking import hold_lock
from sola_plugin.progress import Show

from .stages import Stage, cell_stages, finished_stage
from .study import Condition, Study
from .workers import Pool, WorkerPool


@dataclass(frozen=True)
class Outcome:
    """One cell with one seed after it was run.

    Attributes:
        cell, seed: Which; ``cell.fold`` is its fold.
        stages: Its stages; the last one is the head.
        figures: What the head's stage gave, and ``pretrain_seconds`` where there was one; ``None``:
            it failed.
        error: Why, and where the log is; empty if it did not fail.
        code: Versions of the code that did the stages.
    """

    cell: Condition
    seed: int
    stages: tuple[Stage, ...]
    figures: dict[str, float] | None
    error: str = ''
    code: frozenset[str] = frozenset()

    @property
    def where(self) -> str:
        """Fold, if it has one, and seed."""
        return f'fold {self.cell.fold}, ' * bool(self.cell.fold) + f'seed {self.seed}'


def run_study(
    study: Study,
    work_dir: Path,
    jobs: int = 1,
    report: Show | None = None,
    pool: Pool | None = None,
) -> list[Outcome]:
    """Run what is not done yet. A stage that fails stops the cells that need it, and no others.

    That holds for a stage whose process dies, too. The processes end with this one, however it
    ends. A stage that another run in the same folder is doing is waited for.

    Args:
        study: The study.
        work_dir: Folder of the stages and of ``logs/<stage>.txt``. Studies may share one: equal
            stages are done once.
        jobs: Stages that run at the same time, in processes of one thread each.
        report: Called as ``report(what, done, total)`` after every stage, and for those that
            cannot be done.
        pool: Where stages run instead of in ``jobs`` processes of this machine; entered here.

    Returns:
        Every cell with every fold and seed, in the order of the study.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    plan = [
        (run, seed, cell_stages(run, seed, work_dir))
        for cell in study.cells
        for run in cell.runs()
        for seed in cell.seeds
    ]
    errors: dict[Path, str] = {}
    left = {stage.folder for _, _, stages in plan for stage in stages}
    total = len(left)

    def tell(folder: Path) -> None:
        left.discard(folder)
        if report is not None:
            report(folder.name, total - len(left), total)

    with pool or WorkerPool(jobs) as pool:
        for layer in _layers(plan, errors):
            for folder, error in _run_layer(layer, pool):
                if error:
                    errors[folder] = f'{error} (log: {_log_file(folder)})'
                tell(folder)
    for folder in sorted(left):  # they need one that failed
        tell(folder)
    return [_outcome(cell, seed, stages, errors) for cell, seed, stages in plan]


#: Seconds after which what another machine has written is seen, also through NFS's memory of what
#: was not there.
_DELAY = 90

#: A stage by the cell and seed that need it, and its place among that cell's stages.
_Task = tuple[Condition, int, int]


def _layers(
    plan: list[tuple[Condition, int, list[Stage]]], errors: dict[Path, str]
) -> Iterator[dict[Path, _Task]]:
    """Stages that need nothing, then those that need only these, ...; none after a failed one."""
    for place in range(max(len(stages) for _, _, stages in plan)):
        yield {
            stages[place].folder: (cell, seed, place)
            for cell, seed, stages in plan
            if place < len(stages) and not any(stage.folder in errors for stage in stages[:place])
        }


def _run_layer(layer: dict[Path, _Task], pool: Pool) -> Iterator[tuple[Path, str]]:
    """Run stages side by side; yield folder and error of each as it ends."""
    todo = {}
    for folder, task in layer.items():
        if finished_stage(folder) is None:
            todo[folder] = functools.partial(_work, folder, *task)
        else:
            yield folder, ''
    for folder, error in pool.run(todo):
        yield folder, error or _unseen(folder)


def _unseen(folder: Path) -> str:
    """Wait until a stage that another machine has done is seen here; what is wrong if it is not."""
    end = time.monotonic() + _DELAY
    while finished_stage(folder) is None:
        if time.monotonic() > end:
            return f'it was done, but {folder}/stage.json is not there: is the folder shared?'
        time.sleep(0.1)
    return ''


def _work(folder: Path, cell: Condition, seed: int, place: int) -> None:
    """Run one stage in a process of its own; its log goes to a file.

    Raises:
        RuntimeError: It is another stage than it was when the study was read.
    """
    import torch

    torch.set_num_threads(1)
    stage = cell_stages(cell, seed, folder.parent)[place]
    if stage.folder != folder:
        configs = ' or '.join(str(path) for path in (cell.head, cell.pretrain) if path)
        raise RuntimeError(
            f'{configs}, or a config that it inherits, was changed while the study ran: run the '
            'same command again, which begins with the changes'
        )

    def say(holder: str) -> None:
        print(f'{stage.name}: {holder} is doing it; waiting', file=sys.stderr, flush=True)

    with hold_lock(stage.folder, say), _output_to(_log_file(stage.folder)):
        stage.run()


def _log_file(stage_folder: Path) -> Path:
    return stage_folder.parent / 'logs' / f'{stage_folder.name}.txt'


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Append what this process writes, and the traceback of an error, to a file."""
    log.parent.mkdir(exist_ok=True)
    streams = (sys.stdout, sys.stderr)
    with open(log, 'a', encoding='utf-8') as file:
        before = [os.dup(stream.fileno()) for stream in streams]
        _redirect(streams, [file.fileno()] * len(streams))
        try:
            yield
        except Exception:
            traceback.print_exc()
            raise
        finally:
            _redirect(streams, before)
            for descriptor in before:
                os.close(descriptor)


def _redirect(streams: Iterable[TextIO], descriptors: Iterable[int]) -> None:
    for stream, descriptor in zip(streams, descriptors):
        stream.flush()
        os.dup2(descriptor, stream.fileno())


def _outcome(cell: Condition, seed: int, stages: list[Stage], errors: dict[Path, str]) -> Outcome:
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
