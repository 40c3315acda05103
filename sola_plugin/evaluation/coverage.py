"""What ground truth and detections have in common, and what is missing on either side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sola_plugin.utils import first_few

from ._columns import PerVideo


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
    found = Counter(
        entry['label'] for entries in detections.values() for entry in entries if 'label' in entry
    )
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


def _share(counts: Mapping[str, int], total: int) -> str:
    return f'{sum(counts.values()):,} of {total:,} detections'
