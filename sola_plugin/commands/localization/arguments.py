"""Command-line options of ``tools/localize.py``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import nn

from sola_plugin.commands.arguments import add_checkpoint_classes
from sola_plugin.commands.cli import add_cfg_options
from sola_plugin.commands.extraction.encoder_options import EncoderChoice
from sola_plugin.commands.shipped import config_path
from sola_plugin.datasets.features.open import describe_source
from sola_plugin.evaluation.classifiers import StoredClassifier
from sola_plugin.evaluation.score_files import TRANSFORMS, ScoreFile
from sola_plugin.pretraining.checkpoint_files import checkpoint_path

from .localizing import class_names, find_classifier
from .video_features import dataset_options, features_of

#: What of ``features.json`` decides what features look like.
_ENCODING = ('weights_sha256', 'frames', 'snippet_length', 'snippet_stride', 'fps')


def add_localization_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tools/localize.py`` but for those of the encoder.

    Args:
        parser: Changed in place.
    """
    parser.add_argument(
        'config',
        type=config_path,
        metavar='CONFIG',
        help='config that the localizer was trained with',
    )
    parser.add_argument(
        'checkpoint', type=checkpoint_path, metavar='CHECKPOINT', help='its weights'
    )
    parser.add_argument(
        'inputs', metavar='INPUT', nargs='+', help='feature file, folder of feature files, or video'
    )
    parser.add_argument('--out', metavar='DIR', type=Path, required=True, help='folder to write to')
    add_cfg_options(parser, 'model.windows.length=4096')
    add_checkpoint_classes(parser)
    parser.add_argument(
        '--threshold', type=float, metavar='SCORE', help='leave out detections below it'
    )
    parser.add_argument(
        '--top-k', type=int, metavar='N', help='keep the best N detections of a video'
    )
    parser.add_argument('--classes', nargs='+', metavar='LABEL', help='keep these classes')
    parser.add_argument(
        '--videos',
        type=Path,
        metavar='DIR',
        help='videos of the feature files, <id>.mp4 or the like, to be shown with the results',
    )
    group = parser.add_argument_group('labels of class-agnostic proposals')
    labels = group.add_mutually_exclusive_group()
    labels.add_argument(
        '--scores', metavar='FILE', help='video classification scores, as for tools/test.py'
    )
    labels.add_argument(
        '--classifier',
        metavar='FILE',
        help='classifier.npz of tools/test.py (default: that '
        'beside the checkpoint, or one that is fitted on the training features)',
    )
    group.add_argument(
        '--score-transform',
        choices=TRANSFORMS,
        help='what makes probabilities of the scores, where they are logits',
    )
    reading = parser.add_argument_group('feature files (default: as in the config)')
    reading.add_argument('--feature-stride', type=_seconds, metavar='SECONDS', help='0.32, or 4/30')
    reading.add_argument(
        '--feature-offset', type=_seconds, metavar='SECONDS', help='of the first snippet'
    )
    reading.add_argument(
        '--duration', type=_seconds, metavar='SECONDS', help='length of the videos'
    )
    reading.add_argument('--layout', choices=('TC', 'CT'), help='order of the axes in the files')
    reading.add_argument(
        '--key', metavar='NAME', help='name of the array in files that hold several'
    )
    reading.add_argument(
        '--file-prefix', default='', metavar='TEXT', help='what stands before the ids'
    )


def _seconds(text: str) -> float:
    return float(Fraction(text))


def choose_classifier(args: argparse.Namespace, model: nn.Module) -> tuple[Any, str]:
    """What gives proposals their labels.

    Args:
        args: Parsed arguments of :func:`add_localization_arguments`.
        model: Result of :func:`~sola_plugin.commands.localization.localizing.load_localizer`.

    Returns:
        An object with ``classify``, or ``None``; and what the user should know of it, perhaps
        nothing.

    Raises:
        FileNotFoundError, ValueError: A file that was named cannot be used.
    """
    if args.scores is not None:
        return ScoreFile(args.scores, transform=args.score_transform), ''
    if args.classifier is not None:
        return StoredClassifier(args.classifier), ''
    try:
        return find_classifier(model, Path(args.checkpoint).parent), ''
    except (OSError, ValueError) as error:
        return None, (
            f'proposals get no labels, as nothing tells their classes ({error}): give --classifier '
            'or --scores'
        )


def check_choice(args: argparse.Namespace, model: nn.Module) -> None:
    """Refuse values that leave nothing.

    Args:
        args: Parsed arguments of :func:`add_localization_arguments`.
        model: Result of :func:`~sola_plugin.commands.localization.localizing.load_localizer`.

    Raises:
        ValueError: ``--top-k`` is below 1, or a label of ``--classes`` is none of the model's.
    """
    if args.top_k is not None and args.top_k < 1:
        raise ValueError(f'--top-k is {args.top_k}, expected at least 1')
    known: Sequence[str] = class_names(model)
    unknown = [label for label in args.classes or () if known and label not in known]
    if unknown:
        raise ValueError(f'--classes: {unknown} are none of the classes {list(known)}')


def encoding_note(choice: EncoderChoice, model: nn.Module) -> str:
    """Compare an encoder with the features of the config's dataset.

    Args:
        choice: What encodes the videos now.
        model: Result of :func:`~sola_plugin.commands.localization.localizing.load_localizer`.

    Returns:
        What differs from the ``features.json`` of ``tools/extract_features.py``; empty if nothing
        does, or if there is no such file.
    """
    options = dataset_options(model.cfg)
    if not options:
        return ''
    source = features_of(options)
    used = describe_source(source)
    sampling = choice.sampling
    now = dict(
        choice.settings,
        snippet_length=sampling.length,
        snippet_stride=sampling.stride,
        fps=sampling.fps,
    )
    others = [
        f'{key} {used[key]!r}, now {now[key]!r}'
        for key in _ENCODING
        if key in used and used[key] != json.loads(json.dumps(now[key]))
    ]
    return f'{source}: the training had other features: {"; ".join(others)}' if others else ''
