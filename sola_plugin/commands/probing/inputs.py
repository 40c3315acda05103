"""Which features the linear probe is fitted on and scored on: a config, or files."""

from __future__ import annotations

import argparse

from mmengine.config import DictAction

from sola_plugin.commands.cli import add_cfg_options
from sola_plugin.commands.shipped import config_path

from .methods import make_datasets, read_datasets


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``CONFIG``, its ``--cfg-options``, and the options that stand in for a config."""
    add = parser.add_argument
    add('config', nargs='?', type=config_path, metavar='CONFIG', help='with TALFeatureDatasets')
    add_cfg_options(parser, 'test_dataloader.dataset.subset=validation')
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


def check_data_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with the parser's error unless there is either a config or all that stands in for it."""
    files = [args.annotations, args.features, args.train_subset, args.test_subset]
    if any(files) if args.config else not all(files):
        parser.error(
            'expected either CONFIG or --annotations, --features, --train-subset and --test-subset'
        )


def data_of(args: argparse.Namespace) -> tuple[dict, dict]:
    """Configs of the training and the test dataset.

    Raises:
        FileNotFoundError, ValueError: See :func:`~.methods.read_datasets`.
    """
    if args.config:
        return read_datasets(args.config, args.cfg_options)
    return make_datasets(
        args.annotations, args.features, args.train_subset, args.test_subset, **args.dataset
    )
