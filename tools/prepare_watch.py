"""Write the embedded data, features and annotations: ``python tools/prepare_watch.py OUT``."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import sys

from sola_plugin.commands.arguments import ListAction
from sola_plugin.commands.shipped import typed
from sola_plugin.datasets.watch.data import VALIDATION, WatchSettings, WatchSummary, prepare_watch
from sola_plugin.datasets.watch.streams import EXERCISES
from sola_plugin.messages import printable
from sola_plugin.progress import show_progress


def parse_args() -> argparse.Namespace:
    defaults = WatchSettings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('out', metavar='OUT', help='folder to write to')
    parser.add_argument(
        '--seed', type=int, default=defaults.seed, help='fixes subjects, cuts and encoder'
    )
    parser.add_argument(
        '--split',
        choices=('time', 'subject'),
        default=defaults.split,
        help='test on later parts of the same subjects, or on other subjects',
    )
    parser.add_argument(
        '--labelled',
        type=int,
        default=defaults.labelled,
        metavar='N',
        help=f'training streams with labels, of {defaults.num_train}',
    )
    parser.add_argument(
        '--encoder-classes',
        action=ListAction,
        default=defaults.encoder_classes,
        metavar='EXERCISE',
        help=f'what the encoder learns: {" ".join(EXERCISES)}',
    )
    parser.add_argument(
        '--two-stream',
        action='store_true',
        help='also features_accelerometer/ and features_gyroscope/, one encoder each',
    )
    parser.add_argument(
        '--foreign',
        type=int,
        default=defaults.foreign,
        metavar='N',
        help='streams of another data set: other people, other exercises',
    )
    parser.add_argument(
        '--validation',
        action='store_true',
        help='cut everything from the training part, to choose settings with',
    )
    parser.add_argument('--force', action='store_true', help='write over a complete folder')
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> WatchSummary:
    with show_progress('prepare') as show:
        return prepare_watch(
            args.out,
            args.seed,
            split=args.split,
            labelled=args.labelled,
            encoder_classes=args.encoder_classes,
            two_stream=args.two_stream,
            foreign=args.foreign,
            force=args.force,
            progress=show,
            **(VALIDATION if args.validation else {}),
        )


def main() -> None:
    args = parse_args()
    try:
        summary = prepare(args)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f'error: {printable(error)}')
    sizes, encoder = summary.sizes, summary.encoder
    print(f'{summary.out_dir}:', 'written' if summary.written else 'complete, left as it is')
    print(
        f'streams: {sizes["training"]} labelled, {sizes["unlabelled"]} unlabelled, '
        f'{sizes["testing"]} for testing, {sizes["foreign"]} foreign; '
        f'each {sizes["snippets"]} x {sizes["channels"]}'
    )
    print(
        f'encoder: {", ".join(encoder["classes"])}; {encoder["held_out_accuracy"]:.1%} of '
        f'{encoder["held_out_windows"]} held-out windows right'
    )
    for folder, accuracy in encoder['held_out_accuracy_of_sensors'].items():
        print(f'{folder}: {accuracy:.1%} right')
    print(
        f'next: {typed("pretrain")} configs/pretrain/sola_watch.py\n'
        f'      {typed("train")} configs/localization/bmn_watch.py'
    )


if __name__ == '__main__':
    run_tool(main)
