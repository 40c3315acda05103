#!/usr/bin/env python
"""Say what fits your data before anything is trained: ``python tools/recommend.py CONFIG``."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import json
import sys

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.arguments import command_line
from sola_plugin.commands.cli import add_cfg_options, read_config
from sola_plugin.commands.recommendation.recommendation import MAX_VIDEOS, recommend_for
from sola_plugin.commands.recommendation.summary import (
    advice_json,
    advice_text,
    write_advice_report,
)
from sola_plugin.commands.shipped import config_path
from sola_plugin.io import atomic_write
from sola_plugin.messages import printable
from sola_plugin.progress import show_progress


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Whether SoLa fits your features, or a baseline that costs nothing; which '
        'window, stride, K and grid, and why. Reads the training data of a config, trains nothing '
        '(docs/own_data.md).'
    )
    add = parser.add_argument
    add('config', type=config_path, metavar='CONFIG', help='of a localizer, with its data')
    add_cfg_options(parser)
    add(
        '--videos',
        type=int,
        default=MAX_VIDEOS,
        metavar='N',
        help='training videos that are read at most, evenly chosen (default %(default)s)',
    )
    add('--json', metavar='OUT', help='write measures and advice to a file')
    add('--report', metavar='OUT.html', help='write an HTML report with pictures')
    args = parser.parse_args()
    if args.videos < 1:
        parser.error(f'--videos expects at least 1, got {args.videos}')
    return args


def main() -> None:
    """Run the command."""
    args = parse_args()
    try:
        with show_progress('recommend') as show:
            found = recommend_for(read_config(args.config, args.cfg_options), args.videos, show)
        if args.json:
            with atomic_write(args.json) as file:
                json.dump(advice_json(found), file, indent=1, allow_nan=False)
        if args.report:
            write_advice_report(args.report, found, command_line())
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'error: {printable(error)}')
    print(printable(advice_text(found), lines=True), end='')


if __name__ == '__main__':
    run_tool(main)
