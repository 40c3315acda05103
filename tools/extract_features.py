#!/usr/bin/env python
"""Extract frozen features: ``python tools/extract_features.py VIDEOS OUT --recognizer CONFIG
CHECKPOINT``."""

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__, 'the same command goes on')  # before the imports: they take seconds

import argparse
import contextlib
import sys

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.extraction.encoder_options import add_encoder_arguments, choose_encoder
from sola_plugin.commands.extraction.extract import extract_features, find_videos, passed_over
from sola_plugin.commands.extraction.folder import ExtractionResult
from sola_plugin.messages import printable
from sola_plugin.pretraining.ranks import divide_among_ranks
from sola_plugin.progress import show_progress

#: Exit code when some videos were skipped.
SKIPPED = 3


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Frozen features of videos, one OUT/<id>.npy a video. '
        'Started again, it goes on where it '
        'was; torchrun divides the videos among its ranks. Exit code 3: some videos were skipped.'
    )
    parser.add_argument(
        'videos', metavar='VIDEOS', help='folder, video, or .txt file with one path a line'
    )
    parser.add_argument('out', metavar='OUT', help='folder of the features')
    add_encoder_arguments(parser)
    parser.add_argument(
        '--dtype', choices=('float32', 'float16'), default='float32', help='of the files'
    )
    parser.add_argument(
        '--allow-short',
        action='store_true',
        help='take videos that end long before the end that their header gives',
    )
    return parser.parse_args()


def extract(args: argparse.Namespace, is_main: bool) -> ExtractionResult:
    videos = find_videos(args.videos)
    choice = choose_encoder(args)
    # Each rank has its share; the first one tells how far it is.
    with show_progress('extract') if is_main else contextlib.nullcontext() as show:
        return extract_features(
            videos,
            args.out,
            choice.encoder,
            choice.sampling,
            choice.settings,
            args.dtype,
            show,
            allow_short=args.allow_short,
            **choice.options,
        )


def main() -> None:
    """Run the command."""
    args = parse_args()
    is_main = divide_among_ranks()[0] == 0
    try:
        result = extract(args, is_main)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'error: {printable(error)}')
    if is_main:
        print(
            f'{args.out}: features of {len(result.finished)} videos, features.json, durations.txt'
        )
        if result.feature_stride is not None:
            print(
                f'for the dataset: feature_stride={result.feature_stride:.9g}, '
                f'feature_offset={result.feature_offset:.9g}'
            )
        elif result.finished:
            print('no one feature_stride fits all videos: see features.json, or take --fps')
        for message in result.failed.values():
            print(f'skipped {printable(message)}', file=sys.stderr)
        if note := passed_over(args.videos):
            print(f'note: {printable(note)}', file=sys.stderr)
    if result.failed:
        sys.exit(SKIPPED)


if __name__ == '__main__':
    run_tool(main)
