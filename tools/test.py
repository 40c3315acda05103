#!/usr/bin/env python
"""Test a localizer: ``python tools/test.py CONFIG CHECKPOINT``."""

from sola_plugin.commands.tool import data_errors, run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse

from mmengine.dist import is_main_process
from rich.console import Console
from rich.table import Table

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.arguments import add_checkpoint_classes
from sola_plugin.commands.cli import add_runner_arguments, load_config
from sola_plugin.commands.testing import test_localizer
from sola_plugin.evaluation.score_files import TRANSFORMS
from sola_plugin.pretraining.checkpoint_files import checkpoint_path


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description='Test a localizer: mAP, AR@AN, detections.json and metrics.json.'
    )
    add_runner_arguments(parser)
    parser.add_argument(
        'checkpoint',
        type=checkpoint_path,
        metavar='CHECKPOINT',
        help='weights of the localizer; last_checkpoint of a work dir names the newest',
    )
    parser.add_argument(
        '--scores',
        metavar='FILE',
        help='video classification scores, JSON {video: {label: score}} or CUHK style; '
        'without it a linear classifier is fitted on the training features',
    )
    parser.add_argument(
        '--score-transform',
        choices=TRANSFORMS,
        help='what makes probabilities of the scores, where they are logits',
    )
    add_checkpoint_classes(parser)
    parser.add_argument('--dump', metavar='FILE', help='write the raw predictions to a .pkl file')
    args = parser.parse_args()
    if args.dump is not None and not args.dump.endswith(('.pkl', '.pickle')):
        parser.error(f'--dump expects a .pkl file, got {args.dump}')
    with data_errors():
        cfg = load_config(args)
        metrics = test_localizer(
            cfg,
            args.checkpoint,
            args.scores,
            args.dump,
            args.score_transform,
            args.checkpoint_classes,
        )
    if not is_main_process():
        return
    table = Table('metric', 'percent')
    for name, value in metrics.items():
        table.add_row(name, f'{100 * value:.2f}')
    Console().print(table)
    print(f'{cfg.work_dir}: detections.json, metrics.json')


if __name__ == '__main__':
    run_tool(main)
