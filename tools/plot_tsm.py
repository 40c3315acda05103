#!/usr/bin/env python
"""Draw TSMs of videos, raw and behind SoLa: ``python tools/plot_tsm.py CONFIG --sola FILE``."""

from __future__ import annotations

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import sys
from pathlib import Path

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.cli import add_cfg_options, read_config
from sola_plugin.commands.shipped import config_path
from sola_plugin.messages import printable

#: Exit code when some videos were skipped.
SKIPPED = 3


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Temporal similarity matrices of videos: raw features, SoLa, '
        'target of its training '
        '(docs/studies.md). Exit code 3: some videos were skipped.'
    )
    parser.add_argument(
        'config',
        type=config_path,
        metavar='CONFIG',
        help='localizer config; its test videos are drawn',
    )
    parser.add_argument(
        '--sola',
        type=Path,
        nargs='+',
        default=(),
        metavar='FILE',
        help='SoLa checkpoints; the target is that of the first which tells it',
    )
    parser.add_argument(
        '--titles',
        nargs='+',
        metavar='TITLE',
        help='one for each checkpoint (default: SoLa; of several, the names of their folders)',
    )
    parser.add_argument(
        '--epochs',
        type=Path,
        metavar='FOLDER',
        help='work dir of tools/pretrain_sola.py: an animated GIF of its epoch_<n>.pth',
    )
    parser.add_argument('--videos', nargs='+', metavar='ID', help='default: the first three')
    parser.add_argument(
        '--snippets',
        type=int,
        nargs=2,
        metavar=('FIRST', 'END'),
        help='draw this stretch only (long videos)',
    )
    parser.add_argument('--format', choices=('png', 'svg'), default='png', help='of the pictures')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/tsm'), metavar='FOLDER')
    add_cfg_options(parser)
    args = parser.parse_args()
    if not args.sola and args.epochs is None:
        parser.error('give --sola FILE or --epochs FOLDER')
    names = [path.parent.name if path.name == 'sola.pth' else path.stem for path in args.sola]
    default = ['SoLa'] if len(names) == 1 else names
    args.titles = args.titles or default
    if len(set(args.titles)) != len(args.sola):
        parser.error(f'--titles expects {len(args.sola)} different ones, got {args.titles}')
    return args


def main() -> None:
    """Run the command."""
    args = parse_args()
    from sola_plugin.commands.tsm_gallery import epoch_frames, has_target, read_videos, tsm_figure
    from sola_plugin.file_names import FileNameError, check_file_names, file_name
    from sola_plugin.io import atomic_write
    from sola_plugin.visualization import encode_figure, write_gif

    necks, skipped = dict(zip(args.titles, args.sola)), []
    try:
        cfg = read_config(args.config, args.cfg_options)
        target_of = next((path for path in args.sola if has_target(path)), None)
        if necks and target_of is None:
            print(
                'none of the checkpoints tells the target of its training: none is drawn',
                file=sys.stderr,
            )
        for features, meta in read_videos(cfg, args.videos):
            try:
                check_file_names(args.out, meta['video_name'], (f'.{args.format}', '.gif'))
            except FileNameError as error:
                skipped.append(error)
                continue
            path = args.out / file_name(meta['video_name'])
            if necks:
                figure = tsm_figure(features, meta, necks, target_of, args.snippets)
                with atomic_write(f'{path}.{args.format}', 'wb') as file:
                    file.write(encode_figure(figure, args.format).data)
                print(printable(f'{path}.{args.format}'))
            if args.epochs:
                write_gif(f'{path}.gif', epoch_frames(features, meta, args.epochs, args.snippets))
                print(printable(f'{path}.gif'))
    except (ValueError, OSError) as error:
        sys.exit(f'error: {printable(error)}')
    for error in skipped:
        print(f'skipped {printable(error)}', file=sys.stderr)
    if skipped:
        sys.exit(SKIPPED)


if __name__ == '__main__':
    run_tool(main)
