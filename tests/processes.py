"""Processes of the tests: what they find, and how they begin."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]

#: How to start a process that computes. A fork is quick, as it need not import torch again; but one
#: of a process that knows of a GPU can use neither it nor, on the CPU, autograd.
START_METHOD = 'spawn' if torch.cuda.is_available() else 'fork'


def leave_garbage() -> None:
    """In a fork: do not collect what the process before has left.

    It has threads and workers that a fork has not, so that their finalizers may fail; pytest then
    formats a traceback, for which Python 3.11 parses the line, and where it was parsing already (a
    config) that ends with ``SystemError: AST constructor recursion depth mismatch``.
    """
    gc.freeze()


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port of this machine that only who is told of it can have, while the context lasts.

    A port that is looked for and let go is the next that the system gives to another test. One that
    is bound, and not listened at, is given to nobody; who names it and sets ``SO_REUSEADDR``, as
    PyTorch's store does, can listen there.
    """
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(('127.0.0.1', 0))
        yield reservation.getsockname()[1]


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    """Environment of a process that finds the packages of this one, installed or on its path.

    Args:
        *folders: They come first on its path, before the project.
        **variables: More variables.
    """
    given = filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))
    path = os.pathsep.join([*map(str, folders), str(ROOT), *given])
    return {**os.environ, 'PYTHONPATH': path, **variables}
