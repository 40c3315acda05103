#!/usr/bin/env python
"""Convert annotations: ``python tools/convert_annotations.py INPUT... OUT --to FORMAT``."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import collections
import sys
from pathlib import Path

from sola_plugin.commands.arguments import ListAction
from sola_plugin.datasets.annotations.conversion import Changes, Conversion, convert_annotations
from sola_plugin.datasets.annotations.formats import FORMATS, WRITABLE, Options
from sola_plugin.messages import printable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Convert annotations from one format to another; '
        'docs/own_data.md describes the formats.',
        epilog='formats: '
        + '; '.join(
            f'{name}: {form.title}' + ('' if form.write else ' (read only)')
            for name, form in FORMATS.items()
        ),
    )
    parser.add_argument(
        'inputs',
        nargs='+',
        type=Path,
        metavar='INPUT',
        help='files of one data set; a folder for thumos14, frame_labels and elan',
    )
    parser.add_argument(
        'out',
        type=Path,
        metavar='OUT',
        help='file to write; a folder for thumos14 and epic; .gz is compressed',
    )
    parser.add_argument('--to', required=True, choices=WRITABLE, help='format to write')
    parser.add_argument(
        '--from', dest='source', choices=FORMATS, help='format to read (default: the contents tell)'
    )
    parser.add_argument(
        '--durations',
        type=Path,
        metavar='FILE',
        help='CSV with the columns video,duration (and fps), for formats without durations',
    )
    parser.add_argument(
        '--subset', action=ListAction, metavar='NAME', help='keep only videos of these subsets'
    )
    parser.add_argument(
        '--rename-subset',
        action=ListAction,
        default=[],
        metavar='OLD=NEW',
        help='rename subsets; =NEW names that of videos without one',
    )
    parser.add_argument(
        '--drop-label',
        nargs='+',
        default=[],
        metavar='LABEL',
        help='leave out actions with these labels',
    )
    parser.add_argument(
        '--fps', type=float, help='frames per second of videos without a rate of their own'
    )
    parser.add_argument(
        '--background',
        nargs='*',
        metavar='LABEL',
        help='frame labels that are no action (default: SIL, background, action_start and '
        'action_end; none if nothing is given)',
    )
    parser.add_argument(
        '--tier', nargs='+', metavar='NAME', help='tiers of ELAN to read, where there are several'
    )
    parser.add_argument(
        '--annotator',
        metavar='WHO',
        help='whose annotations of Label Studio to read, where there are several: id or e-mail',
    )
    parser.add_argument(
        '--in-frames',
        action='store_true',
        help='times of INPUT are frames: divide them by the frame rate',
    )
    parser.add_argument(
        '--labels',
        metavar='verb|noun|action|FILE',
        help='labels of EPIC-Kitchens; for charades and frame_labels a file with the names of the '
        'classes, lines "CODE NAME"',
    )
    parser.add_argument('--force', action='store_true', help='write over OUT')
    args = parser.parse_args()
    if not all('=' in pair for pair in args.rename_subset):
        parser.error('--rename-subset expects OLD=NEW')
    if args.fps is not None and not args.fps > 0:
        parser.error('--fps expects a number above 0')
    return args


def convert(args: argparse.Namespace) -> Conversion:
    names = dict(pair.split('=', 1) for pair in args.rename_subset)
    changes = Changes(args.subset, names, args.drop_label, args.fps, args.in_frames)
    return convert_annotations(
        args.inputs,
        args.out,
        args.to,
        args.source,
        args.durations,
        args.labels,
        changes,
        args.force,
        Options(background=args.background, tiers=args.tier, annotator=args.annotator),
    )


def main() -> None:
    args = parse_args()
    try:
        done = convert(args)
    except (ValueError, OSError) as error:
        sys.exit(f'error: {printable(error)}')
    actions = [action for video in done.videos.values() for action in video.annotations]
    subsets = collections.Counter(video.subset or 'no subset' for video in done.videos.values())
    print(
        f'{args.out}: {len(done.videos)} videos, {len(actions)} segments, '
        f'{len({action["label"] for action in actions})} labels, from {done.form} to {args.to}'
    )
    print('subsets: ' + ', '.join(f'{printable(name)} {count}' for name, count in subsets.items()))
    for note in done.notes:
        print(f'note: {printable(note)}')
    for warning in done.warnings:
        print(f'warning: {printable(warning)}')


if __name__ == '__main__':
    run_tool(main)
