#!/usr/bin/env python
"""Pack features into one memory-mapped file: ``python tools/pack_features.py SOURCE OUT``."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__, 'the same command goes on')  # before the imports: they take seconds

import argparse
import sys
from pathlib import Path

from sola_plugin.commands.arguments import (
    FEATURE_OPTIONS,
    ListAction,
    add_feature_options,
    in_options,
)
from sola_plugin.datasets.annotations.model import choose_subset, load_annotations
from sola_plugin.datasets.features.open import describe_source, open_features
from sola_plugin.datasets.features.packed import DTYPES, PackedIndex
from sola_plugin.datasets.features.packing import pack_features, verify_packed
from sola_plugin.messages import printable
from sola_plugin.progress import Show, show_progress

#: What messages about features name → the option.
OPTIONS = dict(
    **FEATURE_OPTIONS,
    max_stretch='--max-stretch',
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Pack features into one memory-mapped file: windows are read '
        'without opening files. '
        'After a kill the same command goes on. Names are kept: a config needs another '
        'data_prefix only.',
        usage='%(prog)s SOURCE [SOURCE ...] OUT [options]\n       %(prog)s --verify OUT',
    )
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='PATH',
        help='SOURCE: folder, .h5 or .npz file; several are fused. OUT: the new folder',
    )
    parser.add_argument('--dtype', choices=DTYPES, default='float32', help='of the file (float32)')
    add_feature_options(parser.add_argument)
    parser.add_argument(
        '--max-stretch', type=float, default=1.05, help='of lengths that are fused (1.05)'
    )
    parser.add_argument('--annotations', metavar='FILE', help='pack the videos of this file only')
    parser.add_argument(
        '--subset', action=ListAction, metavar='NAME', help='pack these of its subsets only'
    )
    parser.add_argument('--ids', metavar='FILE', help='pack these videos only, one id a line')
    parser.add_argument(
        '--prefix', default='', help='what the names begin with that those ids do not'
    )
    parser.add_argument(
        '--missing',
        choices=('error', 'skip'),
        default='error',
        help='what to do with those that have no features (error)',
    )
    parser.add_argument('--verify', action='store_true', help='compare the checksums of OUT')
    args = parser.parse_args()
    if (len(args.paths) == 1) != args.verify:
        parser.error('expected SOURCE and OUT, or --verify and one OUT')
    if args.ids and args.annotations or args.subset and not args.annotations:
        parser.error('expected --annotations with or without --subset, or --ids')
    return args


def chosen_ids(args: argparse.Namespace) -> list[str] | None:
    """The packed names of the videos that were asked for; ``None``: all."""
    if not (args.annotations or args.ids):
        return None
    ids = (
        choose_subset(load_annotations(args.annotations), args.subset)
        if args.annotations
        else filter(None, map(str.strip, Path(args.ids).read_text(encoding='utf-8').splitlines()))
    )
    return [args.prefix + video_id for video_id in ids]


def run(args: argparse.Namespace, show: Show) -> PackedIndex:
    """Pack, or compare checksums."""
    if args.verify:
        return verify_packed(args.paths[0], show)
    *sources, out = args.paths
    paths = sources if len(sources) > 1 else sources[0]
    source = open_features(
        paths,
        suffix=args.suffix,
        key=args.key,
        layout=args.layout,
        crops=args.crops,
        crop_axis=args.crop_axis,
        feat_dim=args.feat_dim,
        max_stretch=args.max_stretch,
    )
    return pack_features(
        source, out, chosen_ids(args), args.dtype, args.missing, show, describe_source(paths)
    )


def main() -> None:
    """Run the command."""
    args = parse_args()
    try:
        with show_progress('verify' if args.verify else 'pack') as show:
            index = run(args, show)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'error: {printable(in_options(error, OPTIONS))}')
    print(
        f'{args.paths[-1]}: {len(index.ids)} videos, {index.num_snippets} snippets x '
        f'{index.channels} '
        f'channels, {index.dtype}, {index.num_bytes / 1e6:.1f} MB'
        + args.verify
        * ', checksums right'
    )


if __name__ == '__main__':
    run_tool(main)
