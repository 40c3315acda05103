"""An annotation file and a detection file that belong together; no torch, no mmengine."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sola_plugin.datasets.annotations.exclusion import excluded_videos
from sola_plugin.datasets.annotations.model import (
    AnnotationError,
    Video,
    load_annotations,
    systematic_faults,
)
from sola_plugin.evaluation import Coverage, drop_duplicates, measure_coverage
from sola_plugin.evaluation.metrics.columns import Entries
from sola_plugin.io import read_json
from sola_plugin.messages import first_few

from ..arguments import ListAction
from .result_files import classify_proposals, read_results

#: ``{video: [{'segment', 'label', 'score'}]}``.
Results = Mapping[str, Sequence[dict]]


@dataclasses.dataclass(frozen=True)
class EvaluationInputs:
    """Result of :func:`read_pair`.

    Attributes:
        truth: True segments of the videos of the subsets.
        found: Detections.
        durations: Length of the videos of the subsets, seconds.
        coverage: What ground truth and detections have in common.
        subsets: The subsets of the ground truth; empty where the annotation file has none.
        warnings: What makes figures other than one may think, one sentence each.
        notes: What is good to know, one sentence each.
    """

    truth: Results
    found: Results
    durations: Mapping[str, float]
    coverage: Coverage
    subsets: tuple[str, ...]
    warnings: list[str]
    notes: list[str]


def read_pair(
    ground_truth: str | os.PathLike,
    detections: str | os.PathLike,
    needs_labels: bool = True,
    *,
    subsets: Sequence[str] = (),
    labels: str | os.PathLike | None = None,
    prefix: str = '',
    exclude: str | os.PathLike | None = None,
    without_duplicates: bool = False,
    scores: Mapping[str, Any] | None = None,
) -> EvaluationInputs:
    """Read an annotation file and a detection file.

    Args:
        ground_truth: Annotation file as :func:`.load_annotations` reads it.
        detections: Result file as :func:`.load_results` reads it.
        needs_labels: False also admits detections without label (class-agnostic proposals).
        subsets: Subsets of the annotation file; none: the one that has all detected videos.
        labels: File with the names of label numbers, one a line from number 0. Without one, they
            are taken from the annotations' ``label_id``.
        prefix: Put before the video ids of the detections.
        exclude: File with video ids that do not count on either side, one a line or a JSON list,
            such as the blocked videos of ActivityNet.
        without_duplicates: Drop repeated and empty annotations, see :func:`.drop_duplicates`.
        scores: Arguments of :class:`~sola_plugin.evaluation.score_files.ScoreFile`, which gives
            class-agnostic proposals their labels; ``prefix`` is put before its ids, too.

    Returns:
        True segments and detections, and what they have in common.

    Raises:
        OSError: A file does not exist or cannot be read.
        ValueError: A file has another form, an entry is malformed, there is no such subset, or
            ground truth and detections have no video or no label in common.
    """
    videos = _load_videos(ground_truth)
    found = read_results(detections, needs_labels and scores is None, ground_truth, labels)
    excluded, ignored = (
        (set(), '')
        if exclude is None
        else excluded_videos(exclude, videos, [prefix + video for video in found])
    )
    videos = {video: entry for video, entry in videos.items() if video not in excluded}
    found = {
        prefix + video: entries
        for video, entries in found.items()
        if prefix + video not in excluded
    }
    if scores is not None:
        found = classify_proposals(found, detections, **scores, prefix=prefix)
    chosen = _choose_subsets(videos, found, subsets, ground_truth)
    videos = {
        video: entry for video, entry in videos.items() if not chosen or entry.subset in chosen
    }
    truth: Results = {video: entry.annotations for video, entry in videos.items()}
    if without_duplicates:
        truth = drop_duplicates(truth)
    coverage = measure_coverage(truth, found)
    _refuse_strangers(truth, found, coverage, needs_labels)
    return EvaluationInputs(
        truth,
        found,
        {video: entry.duration for video, entry in videos.items()},
        coverage,
        chosen,
        warnings=[
            *_frames(videos, 'ground truth'),
            *_frames(_latest(found, videos), 'detections'),
            *coverage.warnings,
        ],
        notes=[*filter(None, [ignored]), *coverage.notes],
    )


def add_pair_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which files to read and how.

    Args:
        parser: Changed in place; :func:`pair_options` reads what it parsed.
    """
    parser.add_argument(
        'ground_truth',
        metavar='GROUND_TRUTH',
        help="annotations: ActivityNet's or mmaction2's JSON",
    )
    parser.add_argument(
        'detections',
        metavar='DETECTIONS',
        help="results: ActivityNet's or OpenTAD's JSON, or ActionFormer's eval_results.pkl",
    )
    parser.add_argument(
        '--subset',
        action=ListAction,
        default=[],
        metavar='NAMES',
        help='subset, or several (default: the one with all detected videos)',
    )
    parser.add_argument(
        '--labels',
        metavar='FILE',
        help='names of label numbers, one a line from number 0 '
        "(default: the annotations' label_id)",
    )
    parser.add_argument(
        '--prefix', default='', help='put before the video ids of the detections, e.g. v_'
    )
    parser.add_argument(
        '--exclude',
        metavar='FILE',
        help='video ids that do not count on either side, one a line or a JSON list',
    )
    parser.add_argument(
        '--drop-duplicates',
        action='store_true',
        help='drop repeated and empty annotations first, as ActionFormer and OpenTAD do',
    )
    group = parser.add_argument_group('labels of class-agnostic proposals')
    group.add_argument(
        '--scores',
        metavar='FILE',
        help='video classification scores, JSON {video: {label: score}} or CUHK style',
    )
    group.add_argument(
        '--score-transform',
        choices=('sigmoid', 'softmax'),
        help='what makes probabilities of the scores, where they are logits',
    )
    group.add_argument(
        '--score-top-k', type=int, default=2, metavar='K', help='classes of each proposal (2)'
    )


def pair_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the parsed arguments of :func:`add_pair_arguments` as those of :func:`read_pair`."""
    return dict(
        ground_truth=args.ground_truth,
        detections=args.detections,
        subsets=args.subset,
        labels=args.labels,
        prefix=args.prefix,
        exclude=args.exclude,
        without_duplicates=args.drop_duplicates,
        scores=None
        if args.scores is None
        else dict(path=args.scores, transform=args.score_transform, top_k=args.score_top_k),
    )


def _load_videos(path: str | os.PathLike) -> dict[str, Video]:
    try:
        return load_annotations(path)
    except AnnotationError as error:
        if 'results' in _keys(path):
            raise ValueError(
                f"{path}: expected annotations, but this is a result file ('results'): "
                'the annotation file comes first, then the detections'
            ) from error
        raise


def _keys(path: str | os.PathLike) -> Collection[str]:
    try:
        content = read_json(path)
    except ValueError:
        return ()
    return content if isinstance(content, dict) else ()


def _choose_subsets(
    videos: Mapping[str, Video],
    found: Collection[str],
    wanted: Sequence[str],
    path: str | os.PathLike,
) -> tuple[str, ...]:
    """Return the subsets to evaluate; ``()`` for a file without subsets."""
    sizes = collections.Counter(entry.subset for entry in videos.values())
    known = ', '.join(f'{name!r} ({size:,} videos)' for name, size in sizes.items())
    for subset in wanted:
        if subset not in sizes and set(sizes) <= {None}:
            raise ValueError(f'{path}: the annotations have no subsets, leave --subset out')
        if subset not in sizes:
            raise ValueError(f'{path}: expected one of the subsets {known}, got {subset!r}')
    if wanted or len(sizes) < 2:
        return tuple(wanted or filter(None, sizes))
    used = {entry.subset for video, entry in videos.items() if video in found}
    if found and not used:
        return ()  # no video in common, which is refused later
    if len(used) != 1 or None in used:
        raise ValueError(
            f'{path}: the detected videos lie in {len(used)} of the subsets {known}: say '
            'which to evaluate with --subset'
        )
    return tuple(filter(None, used))


def _refuse_strangers(
    truth: Results, found: Results, coverage: Coverage, needs_labels: bool
) -> None:
    """Raise if ground truth and detections have nothing in common."""
    if not coverage.num_detections or not coverage.num_segments:
        return  # the evaluators say what is wrong with a ground truth without segments
    if len(coverage.unknown_videos) == coverage.num_detected_videos:
        raise ValueError(
            f'no detected video is in the ground truth: detections are of {_examples(found)}, the '
            f'ground truth has {_examples(truth)}. Is this the right subset? If the ids '
            'differ by a '
            'prefix, give it with --prefix'
        )
    if needs_labels and sum(coverage.unknown_labels.values()) == coverage.num_detections:
        labels = {entry['label'] for entries in truth.values() for entry in entries}
        raise ValueError(
            'no detection has a label of the ground truth: detections have '
            f'{_examples(coverage.unknown_labels)}, the ground truth has {_examples(labels)}'
        )


def _examples(names: Collection[str]) -> str:
    return first_few(map(repr, sorted(names)))


def _latest(found: Mapping[str, Entries], videos: Mapping[str, Video]) -> dict[str, Video]:
    """The videos with the detection of each that ends last."""
    latest = {
        video: entries[int(entries.segments[:, 1].argmax())]
        for video, entries in found.items()
        if video in videos and len(entries)
    }
    return {
        video: dataclasses.replace(videos[video], annotations=(entry,))
        for video, entry in latest.items()
    }


def _frames(videos: Mapping[str, Video], what: str) -> list[str]:
    """Warn of segments that are not in seconds."""
    return [
        f'{what}: {fault.message}'
        for fault in systematic_faults(videos)
        if fault.kind == 'segments-in-frames'
    ]
