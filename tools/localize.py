#!/usr/bin/env python
"""Localize actions in own videos: ``python tools/localize.py CONFIG CHECKPOINT INPUT... --out
DIR``."""

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import functools
import sys

import torch

import sola_plugin  # noqa: F401  (mends the installed stack before a config is read)
from sola_plugin.commands.arguments import in_options
from sola_plugin.commands.cli import read_config
from sola_plugin.commands.extraction.encoder_options import add_encoder_arguments, choose_encoder
from sola_plugin.commands.extraction.encoding import encode_video
from sola_plugin.commands.extraction.extract import passed_over
from sola_plugin.commands.localization import arguments as options
from sola_plugin.commands.localization.export import select_detections
from sola_plugin.commands.localization.inputs import (
    check_outputs,
    find_inputs,
    localize_input,
    refuse_folder_of_inputs,
    write_localized,
)
from sola_plugin.commands.localization.localizing import load_localizer, reading_options
from sola_plugin.messages import printable
from sola_plugin.progress import counted, show_progress

#: What messages about features name → the option.
OPTIONS = dict(
    layout='--layout',
    key='--key',
    prefix='--file-prefix',
    feature_stride='--feature-stride',
    feature_offset='--feature-offset',
    duration='--duration',
)
#: Exit code when some inputs were skipped.
SKIPPED = 3


def run(args: argparse.Namespace) -> dict[str, str]:
    """Localize all inputs; returns why others were skipped, by name."""
    cfg = read_config(args.config, args.cfg_options)
    refuse_folder_of_inputs(args.inputs, args.out)
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    model = load_localizer(cfg, args.checkpoint, device, args.checkpoint_classes)
    options.check_choice(args, model)
    encode, notes = None, []
    if args.recognizer or args.encoder:
        choice = choose_encoder(args)
        encode = functools.partial(
            encode_video, encoder=choice.encoder, sampling=choice.sampling, **choice.options
        )
        notes.append(options.encoding_note(choice, model))
        notes += map(passed_over, args.inputs)
    reading = dict(reading_options(model, args.layout, args.key), prefix=args.file_prefix)
    items, skipped = find_inputs(args.inputs, reading, encode, args.videos)
    classifier, doubt = options.choose_classifier(args, model)
    for note in filter(None, [*notes, doubt]):
        print(f'note: {printable(note)}', file=sys.stderr)
    done = 0
    with show_progress('localize') as show:
        for item in counted(items, show, 'videos'):
            try:
                check_outputs(args.out, item)
                found, duration = localize_input(
                    model,
                    item,
                    classifier,
                    stride=args.feature_stride,
                    offset=args.feature_offset,
                    duration=args.duration,
                )
            except (ValueError, OSError) as error:
                skipped[item.name] = str(error)
                continue
            found = select_detections(found, args.threshold, args.top_k, args.classes)
            write_localized(args.out, item, found, duration, model, args.threshold)
            print(f'{printable(item.name)}: {len(found)} detections')
            done += 1
    print(f'{args.out}: .json, .csv, .srt and .html of {done} videos')
    return skipped


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description='Localize actions in own videos: JSON, CSV, subtitles and a '
        'page for each. Exit code 3: '
        'some inputs were skipped.'
    )
    options.add_localization_arguments(parser)
    add_encoder_arguments(parser, required=False)
    args = parser.parse_args()
    try:
        skipped = run(args)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'error: {printable(in_options(error, OPTIONS))}')
    for message in skipped.values():
        print(f'skipped {printable(in_options(message, OPTIONS))}', file=sys.stderr)
    if skipped:
        sys.exit(SKIPPED)


if __name__ == '__main__':
    run_tool(main)
