#!/usr/bin/env python
"""Cost table of pretext tasks and localizers: ``python tools/complexity.py CONFIG...``."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.arguments import command_line
from sola_plugin.commands.shipped import config_path
from sola_plugin.messages import printable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Parameters, multiply-accumulates, and time and memory of a '
        'training step, on random '
        'features (docs/studies.md).'
    )
    parser.add_argument(
        'configs',
        nargs='+',
        type=lambda name: Path(config_path(name)),
        metavar='CONFIG',
        help='config of a pretext task (configs/pretrain/) or of a localizer',
    )
    parser.add_argument('--snippets', type=int, default=100, help='length of a video (default 100)')
    parser.add_argument('--batch-size', type=int, help='default: that of the config')
    parser.add_argument(
        '--steps', type=int, default=20, help='training steps that are timed (default 20)'
    )
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--threads', type=int, default=1, help='on the CPU (default 1)')
    parser.add_argument(
        '--document',
        type=Path,
        metavar='FILE.md',
        help='put the table into this Markdown file too, between marks named complexity',
    )
    args = parser.parse_args()
    numbers = (
        args.snippets,
        args.steps,
        args.threads,
        1 if args.batch_size is None else args.batch_size,
    )
    if min(numbers) < 1:
        parser.error('--snippets, --batch-size, --steps and --threads expect at least 1')
    return args


def main() -> None:
    """Run the command."""
    args = parse_args()
    from sola_plugin.studies.complexity import complexity_table, measure_complexity, read_model
    from sola_plugin.studies.output import update_document
    from sola_plugin.studies.stages import code_version
    from sola_plugin.visualization import to_markdown, to_text

    torch.set_num_threads(args.threads)
    costs = {}
    try:
        if args.device == 'cuda' and not torch.cuda.is_available():
            raise ValueError('--device cuda: PyTorch finds no GPU')
        for config in track(
            args.configs,
            'measuring',
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        ):
            model, batch_size = read_model(config)
            costs[config] = measure_complexity(
                model.to(args.device), args.batch_size or batch_size, args.snippets, args.steps
            )
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f'error: {printable(error)}')
    stems = [config.stem for config in costs]  # the rows, unless two files have one name
    names = stems if len(set(stems)) == len(stems) else map(str, costs)
    table = complexity_table(dict(zip(names, costs.values())), args.snippets)
    print(to_text(table))
    if args.document:
        command = command_line()
        try:
            update_document(
                args.document,
                'complexity',
                f'## Costs\n\n`{command}`, measured at commit '
                f'{code_version()}.\n\n{to_markdown(table)}',
            )
        except (ValueError, OSError) as error:
            sys.exit(f'error: {printable(error)}')


if __name__ == '__main__':
    run_tool(main)
