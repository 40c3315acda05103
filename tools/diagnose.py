#!/usr/bin/env python
"""Find out why detections are wrong: ``python tools/diagnose.py GROUND_TRUTH DETECTIONS``."""

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import json
import sys

from sola_plugin.commands.arguments import TextListAction, command_line
from sola_plugin.commands.detections.diagnosis_report import diagnosis_text, write_diagnosis_report
from sola_plugin.commands.detections.inputs import add_pair_arguments, pair_options, read_pair
from sola_plugin.evaluation.diagnosis.buckets import PRESETS
from sola_plugin.evaluation.diagnosis.diagnosis import diagnose
from sola_plugin.io import atomic_write
from sola_plugin.messages import printable
from sola_plugin.segments import resolve_thresholds


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Find out why detections are wrong, after DETAD: kinds of '
        'false positives and what each '
        'costs; mAP and missed segments by coverage, length and number of instances. Files '
        'may be gzipped.'
    )
    add_pair_arguments(parser)
    parser.add_argument(
        '--tiou',
        action=TextListAction,
        default='activitynet',
        metavar='LIST',
        help='thresholds as of tools/evaluate.py: activitynet, thumos14, 0.5 or 0.3:0.7:5 '
        '(default: activitynet)',
    )
    parser.add_argument(
        '--buckets',
        choices=[*PRESETS, 'quantiles'],
        help="ranges of the characteristics: DETAD's of a data set, or five of about as many "
        'true segments (default: those of the data set that --tiou names, or quantiles)',
    )
    parser.add_argument('--json', metavar='OUT', help='write all figures to a file, as fractions')
    parser.add_argument(
        '--report', metavar='OUT', help='write figures and pictures to an HTML file'
    )
    args = parser.parse_args()
    try:
        args.thresholds = resolve_thresholds(args.tiou)
    except ValueError as error:
        parser.error(str(error))
    args.buckets = args.buckets or (args.tiou if args.tiou in PRESETS else 'quantiles')
    return args


def run(args: argparse.Namespace) -> str:
    """Diagnose, write the files, and return the text to print."""
    pair = read_pair(**pair_options(args))
    diagnosis = diagnose(pair.truth, pair.found, pair.durations, args.thresholds, args.buckets)
    if args.json:
        with atomic_write(args.json) as file:
            json.dump(diagnosis.to_dict(), file, indent=2, allow_nan=False)
    if args.report:
        write_diagnosis_report(args.report, diagnosis, pair, command_line())
    return diagnosis_text(diagnosis, pair)


def main() -> None:
    """Run the command."""
    args = parse_args()
    try:
        text = run(args)
    except (ValueError, OSError) as error:
        sys.exit(f'error: {printable(error)}')
    print(printable(text, lines=True), end='')


if __name__ == '__main__':
    run_tool(main)
