#!/usr/bin/env python
"""Evaluate a detection file: ``python tools/evaluate.py GROUND_TRUTH DETECTIONS``."""

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__)  # before the imports: they take seconds

import argparse
import json
import sys

from sola_plugin.commands.arguments import ListAction, TextListAction
from sola_plugin.commands.detections.figures import evaluation_text
from sola_plugin.commands.detections.inputs import (
    add_pair_arguments,
    pair_options,
    read_pair,
)
from sola_plugin.evaluation import TALEvaluator
from sola_plugin.io import atomic_write
from sola_plugin.messages import printable


def parse_args() -> tuple[argparse.Namespace, TALEvaluator]:
    """Return the arguments, and the evaluator that they describe."""
    parser = argparse.ArgumentParser(
        description='Evaluate the detections of any project: mAP, AR@AN, '
        'Recall@kx, and what ground '
        'truth and detections have in common. Files may be gzipped.'
    )
    add_pair_arguments(parser)
    parser.add_argument(
        '--tiou',
        action=TextListAction,
        default='activitynet',
        metavar='LIST',
        help='thresholds of mAP and Recall@kx: activitynet or hacs (0.5:0.05:0.95), thumos14 '
        '(0.3:0.1:0.7), A:B:N (N from A to B), START:STEP:STOP, or numbers '
        '(default: activitynet)',
    )
    parser.add_argument(
        '--metric',
        action=ListAction,
        default=['mAP', 'AR'],
        metavar='NAMES',
        help='some of mAP, AR and Recall@kx (default: mAP,AR)',
    )
    parser.add_argument(
        '--per-class', action='store_true', help='also the average precision of every class'
    )
    parser.add_argument('--json', metavar='OUT', help='write the figures to a file, as fractions')
    parser.add_argument(
        '--max-proposals',
        type=int,
        default=100,
        metavar='N',
        help='end of the AR@AN curve, proposals per video on average (default: 100)',
    )
    parser.add_argument(
        '--recall-at',
        action=ListAction,
        type=int,
        default=[1, 5, 10, 100],
        metavar='LIST',
        help='the n of AR@n (default: 1,5,10,100)',
    )
    parser.add_argument(
        '--top-k',
        action=ListAction,
        type=int,
        default=[1, 5],
        metavar='LIST',
        help='the k of Recall@kx (default: 1,5)',
    )
    args = parser.parse_args()
    try:
        return args, TALEvaluator(
            args.metric, args.tiou, args.recall_at, args.max_proposals, args.top_k, args.per_class
        )
    except ValueError as error:
        parser.error(str(error))


def main() -> None:
    """Run the command."""
    args, evaluator = parse_args()
    try:
        pair = read_pair(needs_labels=evaluator.needs_labels, **pair_options(args))
        figures = evaluator(pair.truth, pair.found)
        if args.json:
            with atomic_write(args.json) as file:
                json.dump(figures, file, indent=2)
    except (ValueError, OSError) as error:
        sys.exit(f'error: {printable(error)}')
    print(printable(evaluation_text(pair, figures), lines=True), end='')


if __name__ == '__main__':
    run_tool(main)
