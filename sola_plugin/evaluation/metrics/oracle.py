"""The oracle: what a localizer can reach at best, with no other proposals than its grid's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sola_plugin.segments import ACTIVITYNET, aligned_iou, by_threshold, resolve_thresholds

from .average_precision import AveragePrecision, average_precision
from .columns import PerVideo, segment_column


@dataclass(frozen=True, eq=False)
class Oracle:
    """Result of :func:`oracle`; all figures are fractions in ``[0, 1]``.

    Attributes:
        tiou_thresholds: ``(n_tiou,)``.
        tiou: tIoU of every true segment with its nearest proposal, ``(n,)``, in the order of the
            ground truth.
        precision: Average precision of the nearest proposals.
    """

    tiou_thresholds: np.ndarray
    tiou: np.ndarray
    precision: AveragePrecision

    @property
    def recall(self) -> np.ndarray:
        """Share of the true segments that a proposal reaches, ``(n_tiou,)``."""
        return (self.tiou >= self.tiou_thresholds[:, None]).mean(axis=1)

    def to_dict(self) -> dict:
        """Return the figures for JSON.

        They are ``{'mAP': {'average', 'per_tiou'}, 'recall': {'average', 'per_tiou'}}``.
        """
        return {
            'mAP': by_threshold(self.tiou_thresholds, self.precision.mAP),
            'recall': by_threshold(self.tiou_thresholds, self.recall),
        }


def oracle(
    ground_truth: PerVideo,
    nearest: Mapping[str, np.ndarray],
    tiou_thresholds: str | Sequence[float] | np.ndarray = ACTIVITYNET,
) -> Oracle:
    """Evaluate the nearest proposal of every true segment as if a perfect classifier had chosen it.

    Every true segment gives one detection: its nearest proposal, with its label and with the tIoU
    of the two as score. No detections that consist of proposals of the grid have a higher mAP: the
    recall of a class at a tIoU threshold cannot exceed the share of its segments that a proposal
    reaches, and this share is the average precision here. (Two exceptions: several segments with
    exactly the same tIoU, and true segments without length, which count as not reached here, while
    the evaluator lets detections without length match them.)

    Args:
        ground_truth: ``{video: [{'segment': [start, end], 'label': str}]}``, seconds.
        nearest: For every video ``(G, 2)``: the proposal with the highest tIoU for each of its
            segments, see :func:`nearest_proposals`; any segment of tIoU 0 where there is none.
        tiou_thresholds: See :func:`~sola_plugin.evaluation.metrics.average_precision`.

    Returns:
        The tIoU of every segment, recall, and average precision.

    Raises:
        ValueError: The ground truth has no segments, or one is reversed or not finite; the message
            names the video.

    Example:
        >>> truth = {'a': [dict(segment=[0, 10], label='run'), dict(segment=[12, 14], label='run')]}
        >>> best = oracle(truth, {'a': np.array([[0, 9], [10, 15]])}, [0.3, 0.5])
        >>> best.tiou.tolist(), best.recall.tolist(), best.precision.mAP.tolist()
        ([0.9, 0.4], [1.0, 0.5], [1.0, 0.5])
    """
    thresholds = resolve_thresholds(tiou_thresholds)
    true = segment_column(ground_truth, 'ground truth')
    found = np.concatenate([np.reshape(nearest[video], (-1, 2)) for video in ground_truth])
    tiou = aligned_iou(true, found)
    scores = iter(zip(found.tolist(), tiou.tolist()))
    detections = {
        video: [
            {'segment': segment, 'label': action['label'], 'score': score}
            for action, (segment, score) in zip(actions, scores)
            if score > 0
        ]
        for video, actions in ground_truth.items()
    }
    return Oracle(thresholds, tiou, average_precision(ground_truth, detections, thresholds))


def nearest_proposals(
    segments: np.ndarray, boundaries: np.ndarray, first_end: np.ndarray, last_end: np.ndarray
) -> np.ndarray:
    """Find the proposal of a grid with the highest tIoU for each segment, without trying them all.

    Of the proposals with a given start, the tIoU rises until the segment's end is reached and falls
    after it. So for every start only the two ends around the segment's end are tried, or the
    allowed end that is nearest to them.

    Args:
        segments: ``(G, 2)``, ``start <= end``.
        boundaries: Where proposals may start and end, ascending ``(B,)``, in the same unit.
        first_end: For each of the first S boundaries, as a start, the index of the first boundary
            that is allowed as end, ``(S,)``.
        last_end: The same for the last one; all between are allowed.

    Returns:
        Proposals ``(G, 2)``; of several with the highest tIoU the first.

    Example:
        >>> cells = np.arange(5.)  # proposals of one or two cells
        >>> first, last = np.array([1, 2, 3]), np.array([2, 3, 4])
        >>> nearest_proposals(np.array([[.2, 3.1]]), cells, first, last)
        array([[1., 3.]])
    """
    after = np.searchsorted(boundaries, segments[:, 1])[:, None, None] - np.array([1, 0])
    ends = boundaries[np.clip(after, first_end[:, None], last_end[:, None])]
    starts = np.broadcast_to(boundaries[: len(first_end), None], ends.shape)
    candidates = np.stack([starts, ends], axis=-1).reshape(len(segments), 2 * len(first_end), 2)
    best = aligned_iou(segments[:, None], candidates).argmax(axis=1)
    return candidates[np.arange(len(segments)), best]
