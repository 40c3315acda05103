#!/usr/bin/env python
"""Run a study: every cell of a grid over seeds, with paired differences: ``python tools/ablate.py
STUDY``."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__, 'the same command goes on')  # before the imports: they take seconds

import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.arguments import ListAction, command_line
from sola_plugin.commands.shipped import config_path
from sola_plugin.messages import printable
from sola_plugin.studies.places import ClusterError, add_pool_arguments, open_pool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Run a study (docs/studies.md).')
    parser.add_argument(
        'study',
        type=config_path,
        metavar='STUDY',
        help='study file, or a name of `sola configs`, see configs/studies/',
    )
    work_dir = (
        'default: work_dirs/studies/STUDY. Studies in one folder share what they have in common'
    )
    parser.add_argument('--work-dir', type=Path, help=work_dir)
    seeds = 'these seeds instead of those of the study'
    parser.add_argument('--seeds', action=ListAction, type=int, metavar='SEED', help=seeds)
    add_pool_arguments(parser)
    parser.add_argument(
        '--embedded',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='options of the embedded data (docs/watch.md), e.g. split=subject labelled=56; '
        'validation=True cuts all streams from the training part',
    )
    parser.add_argument(
        '--data-root',
        type=Path,
        metavar='DIR',
        help='where the sets lie that the study calls data_root, e.g. those of real video',
    )
    parser.add_argument(
        '--only',
        nargs='+',
        default=[],
        metavar='FACTOR=LEVEL',
        help='a part of the study: the levels that match a shell pattern, e.g. "method=raw*"',
    )
    parser.add_argument(
        '--folds', action=ListAction, default=[], metavar='FOLD', help='instead of all folds'
    )
    parser.add_argument(
        '--own',
        type=config_path,
        nargs=2,
        metavar=('HEAD', 'PRETRAIN'),
        help='your localizer config and your config of label-free training, with your data, '
        "in place of the study's",
    )
    parser.add_argument(
        '--baseline',
        metavar='FACTOR=LEVEL',
        help='take differences to this level; what is done is not done again',
    )
    parser.add_argument(
        '--choose',
        type=Path,
        metavar='FILE.py',
        help="write what the study's rule chooses as a config (docs/studies.md)",
    )
    parser.add_argument(
        '--document',
        type=Path,
        metavar='FILE.md',
        help='put the tables into this Markdown file too, between marks named after the study',
    )
    parser.add_argument(
        '--overview', type=Path, metavar='FILE.md', help='the same with one small table'
    )
    args = parser.parse_args()
    if args.choose is not None and (args.only or args.folds):
        parser.error('--choose needs the whole study, as do those that read FILE.py')
    for option, values in (('--only', args.only), ('--baseline', [args.baseline or '='])):
        if any('=' not in value for value in values):
            parser.error(f'{option} expects FACTOR=LEVEL, got {" ".join(values)}')
    return args


def main() -> None:
    """Run the command."""
    args = parse_args()
    from sola_plugin.progress import show_progress
    from sola_plugin.studies.choice import choose, write_choices
    from sola_plugin.studies.output import update_document, write_study
    from sola_plugin.studies.overview import overview_markdown
    from sola_plugin.studies.runner import run_study
    from sola_plugin.studies.study import StudyError, load_study
    from sola_plugin.visualization import to_text

    try:
        own = dict(zip(('head', 'pretrain'), args.own or ()))
        baseline = dict([args.baseline.split('=', 1)]) if args.baseline else None
        study = load_study(args.study, args.seeds, args.embedded, own, args.data_root, baseline)
        study = study.only([part.split('=', 1) for part in args.only], args.folds)
    except (StudyError, FileNotFoundError) as error:
        sys.exit(f'error: {printable(error)}')
    work_dir = args.work_dir or Path('work_dirs/studies') / study.path.stem
    name = f'{len(study.cells)} cells, {study.num_runs} runs'
    try:
        with show_progress(name, transient=False) as show:
            outcomes = run_study(study, work_dir, report=show, pool=open_pool(args, work_dir))
    except ClusterError as error:
        sys.exit(f'error: {printable(error)}')
    options = {**(args.embedded or {}), **(baseline or {})}
    block = ' '.join([study.path.stem, *(f'{key}={value}' for key, value in options.items())])
    try:
        written = write_study(study, outcomes, work_dir, command_line())
        for group, table in [*written.summaries.items(), *written.tables.items()]:
            print(f'\n{printable(group)}\n' * bool(group) + to_text(table))
        print(f'{work_dir}: {", ".join(written.files)}')
        if args.choose:
            write_choices(args.choose, choose(study, outcomes), command_line())
        if args.document:
            update_document(args.document, block, written.markdown)
        if args.overview:
            text = overview_markdown(study, outcomes, command_line())
            update_document(args.overview, f'overview {block}', text)
    except (ValueError, OSError) as error:
        sys.exit(f'error: {printable(error)}')
    if written.failures:
        sys.exit('error: ' + '\n'.join(map(printable, written.failures)))


if __name__ == '__main__':
    run_tool(main)
