#!/usr/bin/env python
"""Train a SoLa neck by similarity matching: ``python tools/pretrain_sola.py CONFIG``."""

from sola_plugin.commands.tool import data_errors, run_tool, stoppable

stoppable(__name__, '--resume goes on')  # before the imports: they take seconds

import argparse

from mmengine.dist import is_main_process

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.cli import add_runner_arguments, load_config
from sola_plugin.commands.training import GO_ON, add_training_arguments
from sola_plugin.pretraining.run import pretrain


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description='Train a SoLa neck by similarity matching.')
    add_runner_arguments(parser)
    add_training_arguments(parser)
    args = parser.parse_args()
    with data_errors(GO_ON):
        path = pretrain(load_config(args))
    if is_main_process():
        print(
            f"{path}: use it with neck=dict(type='SoLa', ..., reset_gate=True, "
            f"init_cfg=dict(type='Pretrained', checkpoint='{path}')); in the paper's way, with "
            'frozen=True instead of reset_gate=True'
        )


if __name__ == '__main__':
    run_tool(main)
