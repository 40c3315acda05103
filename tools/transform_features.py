#!/usr/bin/env python
"""Write SoLa's features: ``python tools/transform_features.py SOLA IN OUT``, for any toolkit."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__, 'the same command goes on')  # before the imports: they take seconds

import argparse
import contextlib
import sys

import sola_plugin  # noqa: F401  (mends the installed stack)
from sola_plugin.commands.arguments import FEATURE_OPTIONS, add_feature_options, in_options
from sola_plugin.commands.transformation.form import FORMATS
from sola_plugin.commands.transformation.transform import TransformationResult, transform_features
from sola_plugin.messages import printable
from sola_plugin.pretraining.ranks import divide_among_ranks
from sola_plugin.progress import show_progress

#: Exit code when some videos were skipped.
SKIPPED = 3

#: What messages about features name → the option.
OPTIONS = dict(**FEATURE_OPTIONS, max_stretch='--max-stretch', format='--format')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write the features that a trained SoLa makes of others, in the form of its '
        'input or another one. Started again, it goes on where it was; torchrun divides the videos '
        'among its ranks. Exit code 3: some videos were skipped.',
        usage='%(prog)s SOLA IN [IN ...] OUT [options]',
    )
    parser.add_argument(
        'sola', metavar='SOLA', help='sola.pth, or the checkpoint of a localizer with a neck'
    )
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='PATH',
        help='IN: folder, packed folder, .h5 or .npz file; several are fused. OUT: the new folder, '
        'or a file (.h5 .npz .pt .pkl) for all videos',
    )
    parser.add_argument(
        '--format', choices=FORMATS, help='a file of this kind for each video, or one packed folder'
    )
    parser.add_argument('--out-layout', choices=('TC', 'CT'), help='of OUT (default: as IN)')
    parser.add_argument(
        '--dtype', choices=('float32', 'float16'), help='of OUT (default: float16 where IN is)'
    )
    parser.add_argument(
        '--device', help='cpu, cuda, cuda:1, ... (default: a GPU, one for each rank)'
    )
    group = parser.add_argument_group('how IN is read')
    group.add_argument('--prefix', help='what the names of files begin with that is not the id')
    add_feature_options(group.add_argument)
    group.add_argument(
        '--max-stretch', type=float, help='of lengths that are fused (default: 1.05)'
    )
    args = parser.parse_args()
    if len(args.paths) < 2:
        parser.error('expected SOLA, IN and OUT')
    return args


def transform(args: argparse.Namespace, is_main: bool) -> TransformationResult:
    *sources, out = args.paths
    reading = {key: getattr(args, key) for key in (*FEATURE_OPTIONS, 'max_stretch', 'prefix')}
    if args.crops is None:
        del reading['crop_axis']
    # Each rank has its share; the first one tells how far it is.
    with show_progress('transform') if is_main else contextlib.nullcontext() as show:
        return transform_features(
            args.sola,
            sources if len(sources) > 1 else sources[0],
            out,
            args.format,
            args.out_layout,
            args.dtype,
            args.device,
            show,
            **{key: value for key, value in reading.items() if value is not None},
        )


def main() -> None:
    """Run the command."""
    args = parse_args()
    is_main = divide_among_ranks()[0] == 0
    try:
        result = transform(args, is_main)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'error: {printable(in_options(error, OPTIONS))}')
    if is_main:
        print(f'{args.paths[-1]}: SoLa features, videos: {len(result.finished)} ({result.kind})')
        for message in result.failed.values():
            print(f'skipped {printable(message)}', file=sys.stderr)
    if result.failed:
        sys.exit(SKIPPED)


if __name__ == '__main__':
    run_tool(main)
