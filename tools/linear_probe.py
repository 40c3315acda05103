#!/usr/bin/env python
"""Measure with a linear probe what features know of actions: ``python
tools/linear_probe.py CONFIG --sola CHECKPOINT``."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import sys
from pathlib import Path

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.arguments import ListAction, command_line
from sola_plugin.commands.probing.inputs import (
    add_data_arguments,
    check_data_arguments,
    data_of,
)
from sola_plugin.commands.probing.methods import (
    EDGES,
    NECKS,
    Comparison,
    compare_methods,
)
from sola_plugin.commands.probing.summary import (
    probe_markdown,
    probe_table,
    sizes_text,
    write_probe_figure,
    write_probe_json,
    write_probe_report,
)
from sola_plugin.evaluation.probe.linear_probe import DEFAULT_C, UNITS
from sola_plugin.messages import printable
from sola_plugin.progress import show_progress
from sola_plugin.visualization import to_text


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='How well a linear classifier tells action snippets from background, on raw '
        'features and behind SoLa; also by the distance to the nearest boundary.'
    )
    add = parser.add_argument
    add_data_arguments(parser)
    add('--sola', nargs='+', default=[], metavar='CHECKPOINT', help='trained SoLa necks')
    add(
        '--neck',
        action=ListAction,
        default=[],
        choices=tuple(NECKS),
        metavar='NECK',
        help='necks without training',
    )
    add('--seeds', type=int, default=5, metavar='N', help='bootstraps of the training videos (5)')
    add('--C', type=float, default=DEFAULT_C, help='inverse of the regularisation (%(default)g)')
    add('--balanced', action='store_true', help='action and background weigh the same in the fit')
    add(
        '--edges',
        action=ListAction,
        type=float,
        default=EDGES,
        metavar='DISTANCE',
        help='bin edges of the distance, negative before a boundary (default -8 -7 ... 8)',
    )
    add('--unit', choices=UNITS, default='snippets', help='of --edges (default snippets)')
    add('--json', metavar='OUT', help='write all figures, fractions')
    add('--plot', metavar='OUT', help='draw accuracy over distance (.png or .svg)')
    add('--report', metavar='OUT', help='write an HTML report')
    document = 'put the tables into this Markdown file, between marks named linear_probe and CONFIG'
    add('--document', type=Path, metavar='FILE.md', help=document)
    args = parser.parse_args()
    check_data_arguments(parser, args)
    if args.seeds < 1:
        parser.error(f'--seeds expects at least 1, got {args.seeds}')
    if args.plot and not args.plot.lower().endswith(('.png', '.svg')):
        parser.error(f'--plot expects a .png or .svg file, got {args.plot}')
    return args


def run(args: argparse.Namespace) -> None:
    train, test = data_of(args)
    with show_progress('linear probe') as show:
        comparison = compare_methods(
            train,
            test,
            args.sola,
            args.neck,
            range(args.seeds),
            args.edges,
            args.unit,
            args.C,
            args.balanced,
            show,
        )
    print(f'{sizes_text(comparison)}\n{to_text(probe_table(comparison))}')
    if args.json:
        write_probe_json(args.json, comparison)
    if args.plot:
        write_probe_figure(args.plot, comparison)
    if args.report:
        write_probe_report(args.report, comparison, command_line())
    if args.document:
        write_document(args.document, Path(args.config or args.annotations).stem, comparison)


def write_document(path: Path, name: str, comparison: Comparison) -> None:
    from sola_plugin.studies.output import update_document
    from sola_plugin.studies.stages import code_version

    text = probe_markdown(comparison, name, command_line(), code_version())
    update_document(path, f'linear_probe {name}', text)


def main() -> None:
    """Run the command."""
    args = parse_args()
    try:
        run(args)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'error: {printable(error)}')


if __name__ == '__main__':
    run_tool(main)
