"""Where the stages of a study run: in processes of this machine, or on a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cluster import ClusterError, ClusterPool
from .workers import Pool, WorkerPool

__all__ = ['ClusterError', 'add_pool_arguments', 'open_pool']


def add_pool_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--jobs`` and ``--scheduler --resources``.

    Args:
        parser: Changed in place.
    """
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        '--jobs',
        type=_count,
        default=1,
        metavar='N',
        help='stages at the same time, one thread each (1)',
    )
    where.add_argument(
        '--scheduler',
        metavar='ADDRESS',
        help='run the stages on the workers of a dask cluster that see the same folders: '
        'tcp://HOST:PORT of its scheduler, or its file (docs/clusters.md)',
    )
    parser.add_argument(
        '--resources',
        nargs='+',
        action=_Resources,
        default={},
        metavar='NAME=NUMBER',
        help='with --scheduler: what a stage takes of that which workers declare, e.g. GPU=1',
    )


def open_pool(args: argparse.Namespace, folder: Path) -> Pool:
    """Where the command line wants the stages to run.

    Args:
        args: Parsed arguments of :func:`add_pool_arguments`.
        folder: Of the study.

    Raises:
        ClusterError: There are resources, and no cluster.
    """
    if args.scheduler is None and args.resources:
        raise ClusterError('--resources goes with --scheduler')
    if args.scheduler is None:
        return WorkerPool(args.jobs)
    return ClusterPool(args.scheduler, folder, args.resources)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'expects at least 1, got {text}')
    return number


class _Resources(argparse.Action):
    """Numbers by name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        found = {}
        for part in values or ():
            name, _, number = part.partition('=')
            try:
                found[name] = float(number)
            except ValueError:
                parser.error(f'{option_string} expects NAME=NUMBER such as GPU=1, got {part}')
        setattr(namespace, self.dest, found)
