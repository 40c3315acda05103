#!/usr/bin/env python
"""Convert a published checkpoint: ``python tools/convert_checkpoint.py SOURCE OUT``."""

from __future__ import annotations

from sola_plugin.commands.tool import data_errors, run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import sys

from mmengine.config import Config

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.published import KINDS, WEIGHTS, Conversion, convert_checkpoint
from sola_plugin.commands.shipped import config_path
from sola_plugin.messages import printable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Turn a checkpoint that others have published into one that tools/test.py and '
        'tools/localize.py take; docs/heads.md says which there are, and what differs.',
        epilog='kinds: ' + '; '.join(f'{name}: {kind.title}' for name, kind in KINDS.items()),
    )
    parser.add_argument('source', metavar='SOURCE', help='the published file')
    parser.add_argument('out', metavar='OUT', help='checkpoint to write')
    parser.add_argument(
        '--from', dest='kind', choices=KINDS, help='what it is (default: its weights tell)'
    )
    parser.add_argument(
        '--weights',
        choices=WEIGHTS,
        help='ema, averaged over the training, or last (default: ema where the file has them)',
    )
    parser.add_argument(
        '--config',
        type=config_path,
        metavar='CONFIG',
        help='config that the weights are for: nothing is written unless they fit it',
    )
    parser.add_argument('--force', action='store_true', help='write over OUT')
    return parser.parse_args()


def report(done: Conversion, out: str) -> None:
    print(f'{out}: {done.numbers} weights of {KINDS[done.kind].title}, {done.weights}')
    name = 'model' if KINDS[done.kind].convert else 'neck'
    print('what the weights tell of the config:')
    values = ', '.join(f'{key}={value!r}' for key, value in done.model.items())
    print(f'  {name} = dict({printable(values)})')
    print('what they do not tell, and has to be as it was in their training:')
    for line in done.unseen:
        print(f'  {printable(line)}')


def main() -> None:
    args = parse_args()
    with data_errors():
        config = None if args.config is None else Config.fromfile(args.config)
        try:
            done = convert_checkpoint(
                args.source, args.out, args.kind, args.weights, config, args.force
            )
        except FileExistsError as error:
            sys.exit(f'error: {printable(error)}')
    report(done, args.out)


if __name__ == '__main__':
    run_tool(main)
