"""All figures of a set of detections, and what they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sola_plugin.evaluation.metrics.average_precision import average_precision
from sola_plugin.evaluation.metrics.columns import Entries, PerVideo
from sola_plugin.evaluation.metrics.recall import average_recall, check_top_k
from sola_plugin.evaluation.metrics.topk_recall import topk_recall
from sola_plugin.messages import first_few
from sola_plugin.segments import resolve_thresholds


@dataclass(frozen=True)
class Coverage:
    """Result of :func:`measure_coverage`.

    Attributes:
        num_videos: Videos of the ground truth.
        num_annotated: Those of them that have segments.
        num_segments: True segments.
        num_classes: Classes of the ground truth.
        num_detections: Detections, the ignored ones included.
        num_detected_videos: Videos with detections.
        missing_videos: Videos with segments but without detections.
        unknown_videos: Number of detections in each video that the ground truth does not list.
        missing_classes: Classes with segments but without detections; empty if the detections have
            no labels.
        unknown_labels: Number of detections of each label that the ground truth does not have.
    """

    num_videos: int
    num_annotated: int
    num_segments: int
    num_classes: int
    num_detections: int
    num_detected_videos: int
    missing_videos: tuple[str, ...]
    unknown_videos: Mapping[str, int]
    missing_classes: tuple[str, ...]
    unknown_labels: Mapping[str, int]

    @property
    def warnings(self) -> list[str]:
        """A sentence on each thing that makes the figures lower, or other, than one may think."""
        sentences = []
        if self.unknown_labels:
            sentences.append(
                f'{_share(self.unknown_labels, self.num_detections)} have one of '
                f'{len(self.unknown_labels)} labels without ground truth, which mAP and '
                f'Recall@kx ignore: {first_few(map(repr, self.unknown_labels))}'
            )
        if self.unknown_videos:
            sentences.append(
                f'{_share(self.unknown_videos, self.num_detections)} lie in '
                f'{len(self.unknown_videos)} videos that the ground truth does not have and count '
                f'as false positives: {first_few(map(repr, self.unknown_videos))}'
            )
        if self.missing_videos:
            sentences.append(
                f'{len(self.missing_videos):,} of {self.num_annotated:,} annotated videos have no '
                f'detections: {first_few(map(repr, self.missing_videos))}'
            )
        return sentences

    @property
    def notes(self) -> list[str]:
        """A sentence on each thing that is usual, but good to know."""
        if not self.missing_classes:
            return []
        return [
            f'{len(self.missing_classes)} of {self.num_classes} classes have no detections, so '
            f'their average precision is 0: {first_few(map(repr, self.missing_classes))}'
        ]


def measure_coverage(ground_truth: PerVideo, detections: PerVideo) -> Coverage:
    """Compare the videos and classes of ground truth and detections.

    Args:
        ground_truth: ``{video: [{'segment', 'label'}]}``.
        detections: ``{video: [{'segment', 'score', 'label'}]}``; without labels, classes are not
            compared.

    Returns:
        Counts, and names in sorted order.

    Example:
        >>> coverage = measure_coverage({'a': [{'label': 'run'}], 'b': [{'label': 'run'}]},
        ...                             {'a': [{'label': 'run'}, {'label': 'fly'}]})
        >>> coverage.missing_videos, coverage.unknown_labels
        (('b',), {'fly': 1})
    """
    classes = {
        entry['label'] for entries in ground_truth.values() for entry in entries if 'label' in entry
    }
    found = Counter(label for entries in detections.values() for label in _labels(entries))
    return Coverage(
        num_videos=len(ground_truth),
        num_annotated=sum(len(entries) > 0 for entries in ground_truth.values()),
        num_segments=sum(map(len, ground_truth.values())),
        num_classes=len(classes),
        num_detections=sum(map(len, detections.values())),
        num_detected_videos=sum(len(entries) > 0 for entries in detections.values()),
        missing_videos=tuple(
            sorted(
                video
                for video, entries in ground_truth.items()
                if len(entries) and not len(detections.get(video, ()))
            )
        ),
        unknown_videos={
            video: len(detections[video])
            for video in sorted(set(detections) - set(ground_truth))
            if len(detections[video])
        },
        missing_classes=tuple(sorted(classes - set(found))) if found else (),
        unknown_labels={label: found[label] for label in sorted(set(found) - classes)},
    )


def _labels(entries: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    if isinstance(entries, Entries):
        return entries.labels()
    return (entry['label'] for entry in entries if 'label' in entry)


def _share(counts: Mapping[str, int], total: int) -> str:
    return f'{sum(counts.values()):,} of {total:,} detections'


def drop_duplicates(ground_truth: PerVideo, tolerance: float = 1e-3) -> dict[str, list]:
    """Drop annotations that are shorter than the tolerance, or repeat an earlier one.

    The evaluators of ActionFormer (``remove_duplicate_annotations`` in ``libs/utils/metrics.py``)
    and OpenTAD do so, ActivityNet's official one does not: theirs differ from it where an
    annotation file has such entries. (OpenTAD keeps segments between 0 and 1 ms.)

    Args:
        ground_truth: ``{video: [{'segment': [start, end], 'label': str}]}``, seconds.
        tolerance: Two annotations of a video are the same if their labels are and both of their
            ends differ by no more than this, seconds.

    Returns:
        The ground truth without them; every video is kept.

    Example:
        >>> entry = {'segment': [0, 10], 'label': 'run'}
        >>> drop_duplicates({'a': [entry, entry, {'segment': [5, 5], 'label': 'run'}]})
        {'a': [{'segment': [0, 10], 'label': 'run'}]}
    """
    return {video: _distinct(entries, tolerance) for video, entries in ground_truth.items()}


def _distinct(entries, tolerance: float) -> list:
    kept: list = []
    for entry in entries:
        start, end = entry['segment']
        if end - start >= tolerance and not any(
            entry['label'] == other['label']
            and abs(start - other['segment'][0]) <= tolerance
            and abs(end - other['segment'][1]) <= tolerance
            for other in kept
        ):
            kept.append(entry)
    return kept


#: In the order of reports. The first and the last need labels.
METRICS = ('mAP', 'AR', 'Recall@kx')


@dataclass(frozen=True, eq=False)
class TALEvaluator:
    """The metrics of temporal action localization under one set of options.

    Args:
        metrics: Some of :data:`METRICS`.
        tiou_thresholds: Of mAP and Recall@kx, as :func:`.segments.resolve_thresholds` takes them.
            AR always uses 0.5:0.05:0.95, as the official proposal evaluator does.
        recall_at: The n of the AR@n to report.
        max_proposals: Largest average number of proposals per video of the AR@AN curve.
        top_k: The k of Recall@kx.
        per_class: Also give the average precision of every class.

    Raises:
        ValueError: An argument is not one of those named here.
    """

    metrics: Sequence[str] = ('mAP', 'AR')
    tiou_thresholds: str | Sequence[float] | np.ndarray = 'activitynet'
    recall_at: Sequence[int] = (1, 5, 10, 100)
    max_proposals: int = 100
    top_k: Sequence[int] = (1, 5)
    per_class: bool = False

    def __post_init__(self) -> None:
        if not self.metrics or not set(self.metrics) <= set(METRICS):
            raise ValueError(f'metrics must be some of {METRICS}, got {tuple(self.metrics)}')
        if any(not self.max_proposals / 100 <= n <= self.max_proposals for n in self.recall_at):
            raise ValueError(
                f'recall_at {tuple(self.recall_at)} must lie between max_proposals / 100 and '
                f'max_proposals = {self.max_proposals}'
            )
        check_top_k(self.top_k)
        object.__setattr__(self, 'tiou_thresholds', resolve_thresholds(self.tiou_thresholds))

    @property
    def needs_labels(self) -> bool:
        """Whether one of the metrics compares labels."""
        return bool(set(self.metrics) - {'AR'})

    def __call__(
        self, ground_truth: PerVideo, detections: PerVideo, proposals: PerVideo | None = None
    ) -> dict[str, dict]:
        """Compute the figures.

        Args:
            ground_truth: ``{video: [{'segment': [start, end], 'label': str}]}``, seconds.
            detections: ``{video: [{'segment', 'label', 'score'}]}``, in the same unit; without
                labels if the metrics do not need them.
            proposals: What AR is computed of, where these are not the detections.

        Returns:
            ``{'mAP': {'average': x, 'per_tiou': {'0.5': x, ...}}, 'AR': {'AR@1': x, ..., 'auc': x},
            'Recall@kx': {'1': {'average': x, 'per_tiou': {...}}, ...}}``, the wanted ones of these;
            fractions in ``[0, 1]``. With ``per_class``, ``mAP`` has ``'per_class'``: average and
            ``per_tiou`` of every label.

        Raises:
            ValueError: The ground truth has no segments, or an entry is malformed; the message
                names the video.
        """
        figures: dict[str, dict] = {}
        if 'mAP' in self.metrics:
            precision = average_precision(ground_truth, detections, self.tiou_thresholds)
            figures['mAP'] = precision.to_dict(self.per_class)
        if 'AR' in self.metrics:
            recall = average_recall(
                ground_truth,
                detections if proposals is None else proposals,
                max_proposals=self.max_proposals,
            )
            figures['AR'] = recall.to_dict(self.recall_at)
        if 'Recall@kx' in self.metrics:
            topk = topk_recall(ground_truth, detections, self.tiou_thresholds, self.top_k)
            figures['Recall@kx'] = topk.to_dict()
        return figures
