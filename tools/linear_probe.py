#!/usr/bin/env python
"""Measure with a linear probe what features know of actions: ``python
tools/linear_probe.py CONFIG --sola CHECKPOINT``."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import json
import sys

from mmengine.config import DictAction

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.arguments import ListAction, command_line
from sola_plugin.commands.probing.methods import (
    EDGES,
    NECKS,
    compare_methods,
    comparison_to_json,
    make_datasets,
    read_datasets,
)
from sola_plugin.commands.probing.summary import probe_table, write_probe_figure, write_probe_report
from sola_plugin.commands.shipped import config_path
from sola_plugin.evaluation.probe.linear_probe import DEFAULT_C, UNITS
from sola_plugin.io import atomic_write
from sola_plugin.messages import printable
from sola_plugin.progress import show_progress
from sola_plugin.visualization import to_text


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='How well a linear classifier tells action snippets from '
        'background, on raw features '
        'and behind SoLa; also by the distance to the nearest boundary.'
    )
    add = parser.add_argument
    add('config', nargs='?', type=config_path, metavar='CONFIG', help='with TALFeatureDatasets')
    add(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. test_dataloader.dataset.subset=validation',
    )
    add('--sola', nargs='+', default=[], metavar='CHECKPOINT', help='trained SoLa necks')
    add(
        '--neck',
        action=ListAction,
        default=[],
        choices=tuple(NECKS),
        metavar='NECK',
        help='necks without training',
    )
    samples = 'number of bootstrap samples of the training videos (default 5)'
    add('--seeds', type=int, default=5, metavar='N', help=samples)
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
    add = parser.add_argument_group('without a config').add_argument
    add('--annotations', metavar='FILE', help="ActivityNet's or mmaction2's JSON")
    add('--features', metavar='DIR', help='folder of feature files')
    add('--train-subset', metavar='NAME', help='subset that the probe is fitted on')
    add('--test-subset', metavar='NAME', help='subset that it is scored on')
    add(
        '--dataset',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='further options of TALFeatureDataset, e.g. layout=TC feature_stride=0.32',
    )
    args = parser.parse_args()
    files = [args.annotations, args.features, args.train_subset, args.test_subset]
    if any(files) if args.config else not all(files):
        parser.error(
            'expected either CONFIG or --annotations, --features, --train-subset and --test-subset'
        )
    if args.seeds < 1:
        parser.error(f'--seeds expects at least 1, got {args.seeds}')
    if args.plot and not args.plot.lower().endswith(('.png', '.svg')):
        parser.error(f'--plot expects a .png or .svg file, got {args.plot}')
    return args


def run(args: argparse.Namespace) -> None:
    train, test = (
        read_datasets(args.config, args.cfg_options)
        if args.config
        else make_datasets(
            args.annotations, args.features, args.train_subset, args.test_subset, **args.dataset
        )
    )
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
    for part, sizes in comparison.data.items():
        print(
            f'{part}: {sizes["videos"]} videos, {sizes["snippets"]} snippets, '
            f'{sizes["foreground"] / sizes["snippets"]:.1%} action'
        )
    print(to_text(probe_table(comparison)))
    if args.json:
        with atomic_write(args.json) as file:
            json.dump(comparison_to_json(comparison), file, indent=1, allow_nan=False)
    if args.plot:
        write_probe_figure(args.plot, comparison)
    if args.report:
        write_probe_report(args.report, comparison, command_line())


def main() -> None:
    """Run the command."""
    args = parse_args()
    try:
        run(args)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'error: {printable(error)}')


if __name__ == '__main__':
    run_tool(main)
