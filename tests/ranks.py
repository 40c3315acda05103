"""Tools on several ranks; each is a fork of the tests' process, in a launcher's environment."""

from __future__ import annotations

import atexit
import gc
import importlib
import multiprocessing
import os
import runpy
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.processes import ROOT, START_METHOD, leave_garbage, reserved_port

#: What runs import, and forks of a process that has it need not.
_IMPORTED = (
    'matplotlib.pyplot',
    'mmaction.datasets',
    'mmaction.engine',
    'mmaction.evaluation',
    'mmaction.models',
    'sklearn.linear_model',
    'torch._dynamo',
)
_LAUNCHERS = ('TORCHELASTIC', 'SLURM_', 'OMPI_', 'MASTER_', 'RANK', 'LOCAL_RANK', 'WORLD_SIZE')


class Rank(NamedTuple):
    """How a rank ended."""

    code: int
    stdout: str
    stderr: str
    end: float


def torchrun(rank: int, world_size: int, port: int) -> dict[str, str]:
    """What torchrun sets."""
    return dict(
        TORCHELASTIC_RUN_ID='test',
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world_size),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )


def run_ranks(
    folder: Path,
    tool: str,
    *arguments: object,
    world_size: int = 2,
    prepare: Callable[[int], None] | None = None,
    variables: Callable[[int, int, int], Mapping[str, str]] = torchrun,
    patience: float = 120,
) -> list[Rank]:
    """Run a tool.

    Args:
        folder: The working directory.
        tool: Its name, without ``.py``.
        *arguments: Of the command line.
        world_size: Ranks.
        prepare: Called in each rank with its number, before the tool.
        variables: Environment of a rank, of how many, with a free port.
        patience: Seconds in which they must end.
    """
    for name in ('sola_plugin', *_IMPORTED):
        importlib.import_module(name)
    context = multiprocessing.get_context(START_METHOD)
    with reserved_port() as port:
        processes = [
            context.Process(
                target=_run,
                args=(folder, rank, variables(rank, world_size, port), prepare, tool, *arguments),
            )
            for rank in range(world_size)
        ]
        for process in processes:
            process.start()
        ends: dict[int, float] = {}
        latest = time.monotonic() + patience
        while len(ends) < world_size and time.monotonic() < latest:
            for rank, process in enumerate(processes):
                if process.exitcode is not None:
                    ends.setdefault(rank, time.monotonic())
            time.sleep(0.02)
        for process in processes:
            process.kill()
            process.join()
    return [
        Rank(
            process.exitcode,
            *((folder / f'{name}{rank}').read_text() for name in ('stdout', 'stderr')),
            ends.get(rank, float('inf')),
        )
        for rank, process in enumerate(processes)
    ]


def _run(
    folder: Path,
    rank: int,
    variables: Mapping[str, str],
    prepare: Callable[[int], None] | None,
    tool: str,
    *arguments: object,
) -> None:
    """One rank, from the beginning of its interpreter to the end."""
    leave_garbage()
    for number, name in ((1, 'stdout'), (2, 'stderr')):
        os.dup2(os.open(folder / f'{name}{rank}', os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(n), 'w', buffering=1) for n in (1, 2))
    atexit._clear()
    gc.freeze()  # to collect all that was imported takes longer than a tiny run
    for name in list(os.environ):
        if name.startswith(_LAUNCHERS):
            del os.environ[name]
    os.environ.update(variables)
    os.chdir(folder)
    warnings.simplefilter('ignore')
    sys.argv = [f'{tool}.py', *map(str, arguments)]
    code = 0
    try:
        if prepare is not None:
            prepare(rank)
        runpy.run_path(str(ROOT / f'tools/{tool}.py'), run_name='__main__')
    except SystemExit as end:
        code = 1 if isinstance(end.code, str) else end.code or 0
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        code = 1
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
