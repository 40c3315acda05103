#!/usr/bin/env python
"""Write an ONNX file: ``python tools/export.py SOLA OUT``, or ``CONFIG CHECKPOINT OUT``."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import sys

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.onnx_export import PARTS, export_onnx, load_network
from sola_plugin.commands.shipped import config_path
from sola_plugin.messages import printable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write a SoLa, or a localizer up to its maps or points, as an ONNX file, and '
        'compare it with PyTorch at several lengths.',
        usage='%(prog)s SOLA OUT [options]\n       %(prog)s CONFIG CHECKPOINT OUT [options]',
    )
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='PATH',
        help='SOLA: sola.pth, or the checkpoint of a localizer with a neck. CONFIG: of a BMN, '
        'G-TAD or ActionFormer; a file, or a name of `sola configs`. OUT: the .onnx file',
    )
    parser.add_argument(
        '--part',
        choices=PARTS,
        default='all',
        help='of a localizer with windows: its neck and its head are two files (all)',
    )
    args = parser.parse_args()
    if len(args.paths) not in (2, 3):
        parser.error('expected SOLA and OUT, or CONFIG, CHECKPOINT and OUT')
    if len(args.paths) == 2 and args.part == 'head':
        parser.error('--part head needs CONFIG, CHECKPOINT and OUT')
    if len(args.paths) == 3:
        try:
            args.paths[0] = config_path(args.paths[0])
        except argparse.ArgumentTypeError as error:
            parser.error(f'argument CONFIG: {error}')
    return args


def main() -> None:
    """Run the command."""
    args = parse_args()
    *sources, out = args.paths
    try:
        done = export_onnx(load_network(*sources), out, args.part)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'error: {printable(error)}')
    shape = ', '.join(map(str, done['inputs']['features']))
    print(f'{out}: features ({shape}) to {", ".join(done["outputs"])}')
    if done['difference']:
        length, worst = max(done['difference'].items(), key=lambda item: item[1])
        lengths = ', '.join(map(str, done['difference']))
        print(
            f'as PyTorch at {lengths} snippets: the largest relative difference is {worst:.1e}, '
            f'at {length}'
        )


if __name__ == '__main__':
    run_tool(main)
