#!/usr/bin/env python
"""Train a localizer: ``python tools/train.py CONFIG``."""

from sola_plugin.commands.tool import data_errors, run_tool, stoppable

stoppable(__name__, '--resume goes on')  # before the imports: they take seconds

import argparse

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.cli import add_runner_arguments, load_config
from sola_plugin.commands.training import GO_ON, add_training_arguments, train_localizer


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description='Train a localizer.')
    add_runner_arguments(parser)
    add_training_arguments(parser)
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate while training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the total batch size',
    )
    parser.add_argument(
        '--new-schedule',
        action='store_true',
        help='with --resume: go on in the schedule of the config, where it is another one',
    )
    args = parser.parse_args()
    if args.new_schedule and not args.resume:
        parser.error('--new-schedule goes with --resume')
    with data_errors(GO_ON):
        train(args)


def train(args: argparse.Namespace) -> None:
    """Train by the command line."""
    cfg = load_config(args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.auto_scale_lr:
        cfg.setdefault('auto_scale_lr', {})['enable'] = True
    train_localizer(cfg, args.new_schedule)


if __name__ == '__main__':
    run_tool(main)
