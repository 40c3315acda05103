#!/usr/bin/env python
"""Check a data set before training: ``python tools/check_dataset.py CONFIG``."""

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import json
import sys

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.arguments import (
    FEATURE_OPTIONS,
    ListAction,
    TextListAction,
    add_feature_options,
    in_options,
)
from sola_plugin.commands.checks.dataset import DatasetReport, check_config, check_files
from sola_plugin.commands.checks.proposal_space import map_proposal_space
from sola_plugin.commands.checks.summary import check_json, check_text
from sola_plugin.commands.cli import add_cfg_options, read_config
from sola_plugin.commands.shipped import config_path
from sola_plugin.io import atomic_write
from sola_plugin.messages import printable
from sola_plugin.progress import Show, show_progress

#: What messages about features name → the option, where there is no config.
OPTIONS = dict(
    **FEATURE_OPTIONS,
    prefix='--file-prefix',
    feature_stride='--stride',
    feature_offset='--offset',
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Find what makes results near zero, before training: faults '
        'of annotations and features, '
        'and what the grid of the localizer can reach at best. Exit code 1 if there are errors.'
    )
    add = parser.add_argument
    add('config', nargs='?', type=config_path, metavar='CONFIG', help='its data sets and model')
    add_cfg_options(parser)
    add('--quick', action='store_true', help='read a sample of the feature files only')
    add(
        '--timestamps',
        metavar='SUFFIX',
        help='compare with the times of the snippets in files ID + SUFFIX beside the features, '
        'such as _timestamps_ms.npy',
    )
    add('--json', metavar='OUT', help='write findings and figures to a file')
    add = parser.add_argument_group('without a config').add_argument
    add('--annotations', metavar='FILE', help="ActivityNet's or mmaction2's JSON")
    add('--features', metavar='DIR', help='folder of feature files')
    add(
        '--subset',
        action=ListAction,
        default=(),
        metavar='NAME',
        help='subsets to check (default: each)',
    )
    add('--classes', metavar='FILE', help='labels in the order of their numbers, one a line')
    add('--file-prefix', default='', help='start of these names that is not part of the id')
    add_feature_options(add)
    add('--stride', type=float, metavar='S', dest='feature_stride', help='seconds between snippets')
    add(
        '--offset',
        type=float,
        metavar='S',
        dest='feature_offset',
        help='second at which the first snippet starts',
    )
    add('--temporal-dim', type=int, metavar='T', help='oracle of videos resized to T cells')
    add('--window', type=int, metavar='W', help='oracle of windows of W snippets, instead')
    add('--window-stride', type=int, metavar='N', help='snippets between two windows (W / 2)')
    add('--max-duration', type=int, metavar='D', help='longest proposal, in cells (no limit)')
    add(
        '--tiou',
        action=TextListAction,
        default='activitynet',
        metavar='LIST',
        dest='tiou_thresholds',
        help='thresholds of the oracle, as in tools/evaluate.py (default: activitynet)',
    )
    args = parser.parse_args()
    if (args.config is None) == (args.annotations is None):
        parser.error('expected either CONFIG or --annotations FILE')
    return args


def run(
    config: str | None,
    cfg_options: dict | None,
    quick: bool,
    timestamps: str | None,
    show: Show,
    **options,
) -> DatasetReport:
    """Check the subsets of a config, or files."""
    if config is not None:
        return check_config(read_config(config, cfg_options), quick, show, timestamps)
    grid = (options.pop(key) for key in ('temporal_dim', 'max_duration', 'window', 'window_stride'))
    return check_files(
        options.pop('annotations'),
        options.pop('features'),
        options.pop('subset'),
        space=map_proposal_space(*grid),
        quick=quick,
        progress=show,
        timestamps=timestamps,
        **options,
    )


def main() -> None:
    """Run the command."""
    options = vars(parse_args())
    out = options.pop('json')
    names = OPTIONS if options['config'] is None else {}
    try:
        with show_progress('check') as show:
            report = run(**options, show=show)
        if out is not None:
            with atomic_write(out) as file:
                json.dump(check_json(report), file, indent=2)
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f'error: {printable(in_options(error, names))}')
    print(printable(in_options(check_text(report), names), lines=True), end='')
    sys.exit(1 if report.of_level('error') else 0)


if __name__ == '__main__':
    run_tool(main)
