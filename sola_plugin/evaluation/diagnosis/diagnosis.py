"""Why detections are wrong, after DETAD.

Alwassel et al., "Diagnosing Error in Temporal Action Detectors", ECCV 2018; code:
https://github.com/HumamAlwassel/DETAD. On its terms the figures are equal to its figures. Three
terms differ: no true segment is removed (DETAD removes those without length and those longer than
their video), N is the exact mean (DETAD's division drops the fraction), and of two true segments
with the same tIoU, the one of the detection's class decides (in DETAD, the first in the file).
DETAD's other characteristics, context and agreement, need annotations that only it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sola_plugin.evaluation.metrics.average_precision import class_precision, match_detections
from sola_plugin.evaluation.metrics.columns import PerVideo, video_column
from sola_plugin.segments import ACTIVITYNET, resolve_thresholds

from .buckets import Buckets, resolve_buckets, segment_properties
from .errors import (
    KINDS,
    FalsePositives,
    analyse_false_positives,
    bucket_maps,
    bucket_misses,
    missed_segments,
    overall_map,
)


@dataclass(frozen=True, eq=False)
class BucketResults:
    """What the diagnosis finds for the true segments of one characteristic, bucket by bucket.

    Attributes:
        buckets: The ``b`` ranges.
        segments: Number of true segments ``(b,)``.
        mAP_N: Normalised mAP, mean over the thresholds ``(b,)``; NaN without segments.
        missed: Share of the true segments that are missed, mean over the thresholds ``(b,)``; NaN
            without segments.
    """

    buckets: Buckets
    segments: np.ndarray
    mAP_N: np.ndarray
    missed: np.ndarray


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Result of :func:`diagnose`; precisions and shares are fractions in ``[0, 1]``.

    Attributes:
        tiou_thresholds: ``(n_tiou,)``.
        num_segments: Number of true segments.
        num_detections: Number of detections that count.
        ignored: How many detections were left out, by label: labels that the ground truth does not
            have.
        unknown_videos: Number of detections in videos that the ground truth does not list.
        mAP: Mean over classes and thresholds, of all detections.
        mAP_N: Normalised mAP, of all detections.
        missed: Share of all true segments that are missed, mean over the thresholds.
        false_positives: Kinds of the best detections, and what each kind costs.
        by_characteristic: ``coverage``, ``length`` and ``instances``, where they have buckets.
    """

    tiou_thresholds: np.ndarray
    num_segments: int
    num_detections: int
    ignored: Mapping[str, int]
    unknown_videos: int
    mAP: float
    mAP_N: float
    missed: float
    false_positives: FalsePositives
    by_characteristic: Mapping[str, BucketResults]

    def to_dict(self) -> dict:
        """Return all figures, means over the thresholds, as plain values for JSON.

        A figure that does not exist (of a bucket without segments) is ``None``. The keys are the
        names of the attributes, with

        - ``false_positives``: ``{'mAP', 'mAP_N', 'recall', 'kinds', 'splits'}``, where ``kinds`` is
          ``{kind: {'count', 'share', 'gain', 'gain_N'}}`` (the true positives have no gain) and
          ``splits`` is ``[{'detections', 'shares': {kind: share}}]``;
        - ``by_characteristic``: ``{name: [{'bucket', 'above', 'up_to', 'segments', 'mAP_N',
          'missed'}]}``, where the open ends of the ranges are ``None``.
        """
        return {
            'tiou_thresholds': self.tiou_thresholds.tolist(),
            'num_segments': self.num_segments,
            'num_detections': self.num_detections,
            'ignored': dict(self.ignored),
            'unknown_videos': self.unknown_videos,
            'mAP': self.mAP,
            'mAP_N': self.mAP_N,
            'missed': self.missed,
            'false_positives': _false_positives_dict(self.false_positives),
            'by_characteristic': {
                name: _bucket_dicts(result) for name, result in self.by_characteristic.items()
            },
        }


def diagnose(
    ground_truth: PerVideo,
    detections: PerVideo,
    durations: Mapping[str, float],
    tiou_thresholds: str | Sequence[float] | np.ndarray = ACTIVITYNET,
    buckets: str | Mapping[str, Buckets] = 'activitynet',
    num_splits: int = 10,
) -> Diagnosis:
    """Find out why detections are wrong.

    The true segments are those that the evaluator counts, and ``mAP`` is its mAP: nothing is
    removed. A segment without length is in the lowest bucket of length and coverage, one that is
    longer than its video in the highest of coverage.

    Args:
        ground_truth: ``{video: [{'segment': [start, end], 'label': str}]}``, seconds. Videos
            without segments may be listed.
        detections: ``{video: [{'segment', 'label', 'score'}]}``, in the same unit.
        durations: Length of the videos with true segments, seconds.
        tiou_thresholds: Numbers in ``(0, 1]``, or a text as :func:`.segments.resolve_thresholds`
            takes.
        buckets: ``'activitynet'`` or ``'thumos14'`` (DETAD's), ``'quantiles'`` (five buckets of
            about as many of these segments), or :class:`~.buckets.Buckets` by
            characteristic (``coverage``, ``length``, ``instances``).
        num_splits: The kinds of false positives are those among the best ``num_splits`` · G
            detections of each class, G being the number of its true segments.

    Returns:
        The diagnosis.

    Raises:
        ValueError: The ground truth has no segments, an entry lacks a key, a number is not finite,
            a segment is reversed, or a video has no duration; the message names the video. Or the
            thresholds or buckets are not as above.

    Example:
        >>> truth = {'a': [{'segment': [0, 10], 'label': 'run'}]}
        >>> found = {'a': [{'segment': [0, 4], 'label': 'run', 'score': .9},
        ...                {'segment': [0, 8], 'label': 'run', 'score': .8}]}
        >>> result = diagnose(truth, found, {'a': 60.}, [.5])
        >>> result.mAP, result.to_dict()['false_positives']['kinds']['localization']['gain']
        (0.5, 0.5)
    """
    matches = match_detections(ground_truth, detections, resolve_thresholds(tiou_thresholds))
    duration = np.array([_duration(durations, video) for video in video_column(ground_truth)])
    values = segment_properties(matches.true, matches.true_class, matches.true_video, duration)
    missed = missed_segments(matches)
    results = {}
    for name, ranges in resolve_buckets(buckets, values).items():
        place = ranges.place(values[name])
        results[name] = BucketResults(
            ranges,
            np.bincount(place, minlength=len(ranges)),
            bucket_maps(matches, place, len(ranges)),
            bucket_misses(missed, place, len(ranges)),
        )
    by_class = class_precision(matches.is_true, matches.found_class, matches.positives)
    return Diagnosis(
        tiou_thresholds=matches.tiou_thresholds,
        num_segments=len(matches.true),
        num_detections=len(matches.found),
        ignored=matches.ignored,
        unknown_videos=matches.unknown_videos,
        mAP=float(by_class.mean(axis=0).mean()),
        mAP_N=overall_map(matches),
        missed=float(missed.mean()),
        false_positives=analyse_false_positives(matches, num_splits),
        by_characteristic=results,
    )


def _duration(durations: Mapping[str, float], video: str) -> float:
    value = durations.get(video)
    if value is None or not 0 < value < float('inf'):
        raise ValueError(
            f'video {video!r}: expected a duration in seconds above 0, got {value}; '
            'coverage needs that of every video with true segments'
        )
    return value


def _false_positives_dict(result: FalsePositives) -> dict:
    counts = result.counts.mean(axis=1)
    total = counts.sum(axis=0)
    kinds = {
        kind: {'count': count, 'share': count / max(counts.sum(), 1)}
        for kind, count in zip(KINDS, total.tolist())
    }
    for kind, gain, gain_N in zip(KINDS[1:], result.gain.mean(axis=1), result.gain_N.mean(axis=1)):
        kinds[kind].update(gain=float(gain), gain_N=float(gain_N))
    return {
        'mAP': float(result.mAP.mean()),
        'mAP_N': float(result.mAP_N.mean()),
        'recall': float(result.recall.mean()),
        'kinds': kinds,
        'splits': [
            {'detections': int(number), 'shares': dict(zip(KINDS, map(_plain, shares)))}
            for number, shares in zip(counts.sum(axis=1), result.shares)
        ],
    }


def _bucket_dicts(result: BucketResults) -> list[dict]:
    edges = result.buckets.edges
    rows = zip(
        result.buckets.names,
        (None, *edges),
        (*edges, None),
        result.segments.tolist(),
        map(_plain, result.mAP_N),
        map(_plain, result.missed),
    )
    keys = ('bucket', 'above', 'up_to', 'segments', 'mAP_N', 'missed')
    return [dict(zip(keys, row)) for row in rows]


def _plain(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if np.isnan(value) else float(value)
