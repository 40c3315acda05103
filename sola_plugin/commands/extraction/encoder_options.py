"""Command-line options of tools that encode videos."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any

from sola_plugin.encoders import FrameTransform, center_view
from sola_plugin.necks.checkpoint import weights_hash
from sola_plugin.pretraining.ranks import own_device

from .encoding import Encoder, SnippetSampling, build_encoder, build_recognizer_encoder

#: Frames of a snippet, for encoders that have no length of their own.
_USUAL_LENGTH = 16


@dataclass(frozen=True)
class EncoderChoice:
    """What the options of a command line ask for.

    Attributes:
        encoder: The frozen encoder.
        sampling: Which frames make a snippet.
        options: ``batch_size``, ``amp`` and ``prepare`` for
            :func:`~sola_plugin.commands.extraction.encoding.encode_video`.
        settings: What the features depend on beside the sampling, plain values.
    """

    encoder: Encoder
    sampling: SnippetSampling
    options: dict[str, Any]
    settings: dict[str, Any]


def add_encoder_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the options that choose and run an encoder.

    They are ``--recognizer --encoder --length --stride --fps --short-side --crop --batch-size
    --amp --device``.

    Args:
        parser: Changed in place.
        required: Whether an encoder must be given.
    """
    group = parser.add_argument_group('frozen encoder')
    which = group.add_mutually_exclusive_group(required=required)
    which.add_argument(
        '--recognizer',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='an mmaction2 recognizer; its own configs are mmaction::recognition/...',
    )
    which.add_argument(
        '--encoder',
        metavar='MODULE:FUNCTION',
        help='a function that returns an nn.Module from snippets to vectors',
    )
    group.add_argument(
        '--length',
        type=int,
        metavar='FRAMES',
        help='frames in a snippet (default: what the '
        f'recognizer was trained on, else {_USUAL_LENGTH})',
    )
    group.add_argument(
        '--stride',
        type=int,
        metavar='FRAMES',
        help='frames from one snippet to the next (default: a quarter of the length)',
    )
    group.add_argument(
        '--fps', type=float, help='frames per second to resample to (default: as each video)'
    )
    group.add_argument(
        '--short-side',
        type=int,
        metavar='PIXELS',
        help="resize the shorter side of frames, in place of the encoder's own view",
    )
    group.add_argument(
        '--crop', type=int, metavar='PIXELS', help='then cut a square out of the centre'
    )
    group.add_argument(
        '--batch-size', type=int, default=16, metavar='N', help='snippets at a time (16)'
    )
    group.add_argument('--amp', action='store_true', help='automatic mixed precision')
    group.add_argument(
        '--device', help='cpu, cuda, cuda:1, ... (default: a GPU, one for each rank)'
    )


def choose_encoder(args: argparse.Namespace) -> EncoderChoice:
    """Build what the command line asks for.

    Args:
        args: Parsed arguments of :func:`add_encoder_arguments`.

    Returns:
        The encoder and its settings.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ImportError: A package of the encoder is not installed.
        ValueError: The encoder cannot be built, or a number is out of its range.
    """
    if args.batch_size < 1:
        raise ValueError(f'--batch-size is {args.batch_size}, expected at least 1')
    device = args.device or own_device()
    if args.recognizer:
        config, checkpoint = args.recognizer
        encoder: Encoder = build_recognizer_encoder(config, checkpoint, device)
        name = dict(recognizer=config, checkpoint=os.path.basename(checkpoint))
    else:
        encoder = build_encoder(args.encoder, device)
        name = dict(encoder=args.encoder)
    if args.length is None:
        args.length = getattr(encoder, 'snippet_length', _USUAL_LENGTH)
    sampling = SnippetSampling(args.length, args.stride or max(1, args.length // 4), args.fps)
    prepare = getattr(encoder, 'prepare', None)
    if args.crop is not None and args.short_side is None:
        raise ValueError('--crop needs --short-side: frames are resized before they are cut')
    if args.short_side is not None:
        prepare = FrameTransform(center_view(args.short_side, args.crop))
    settings = dict(name, weights_sha256=weights_hash(encoder), frames=_describe(prepare))
    return EncoderChoice(
        encoder, sampling, dict(batch_size=args.batch_size, amp=args.amp, prepare=prepare), settings
    )


def _describe(prepare: Any) -> Any:
    return (
        prepare.transforms
        if isinstance(prepare, FrameTransform)
        else prepare and type(prepare).__name__
    )
