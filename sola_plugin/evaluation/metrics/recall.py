"""Average recall of proposals (AR@AN), and what recall is counted with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sola_plugin.segments import ACTIVITYNET, aligned_iou, resolve_thresholds

from .columns import (
    PerVideo,
    descending_order,
    equal_pairs,
    no_segments,
    score_column,
    segment_column,
)

_NUM_POINTS = 100

#: Beyond all ranks.
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class AverageRecall:
    """Result of :func:`average_recall`; all recalls are fractions in ``[0, 1]``.

    Attributes:
        tiou_thresholds: ``(n_tiou,)``.
        proposals_per_video: Abscissa of the curve, ``(100,)``: 1%, 2%, ... 100% of
            ``max_proposals``.
        recall: ``(n_tiou, 100)``.
    """

    tiou_thresholds: np.ndarray
    proposals_per_video: np.ndarray
    recall: np.ndarray

    @property
    def average_recall(self) -> np.ndarray:
        """Mean over the thresholds, ``(100,)``."""
        return self.recall.mean(axis=0)

    @property
    def auc(self) -> float:
        """Area under the AR@AN curve over its largest abscissa, in ``[0, 1]``."""
        x, y = self.proposals_per_video, self.average_recall
        return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2 / x[-1])

    def at(self, number: float) -> float:
        """AR@n: average recall with ``number`` proposals per video on average.

        Between two points of the curve the value is interpolated linearly.

        Raises:
            ValueError: The number lies outside of the curve.
        """
        low, high = self.proposals_per_video[[0, -1]]
        if not low <= number <= high:
            raise ValueError(
                f'AR@{number:g}: the curve runs from {low:g} to {high:g} proposals per video; '
                'choose max_proposals accordingly'
            )
        return float(np.interp(number, self.proposals_per_video, self.average_recall))

    def to_dict(self, recall_at: Sequence[int] = (1, 5, 10, 100)) -> dict[str, float]:
        """Return ``{'AR@1': x, ..., 'auc': x}``, ready for JSON."""
        return {**{f'AR@{n:g}': self.at(n) for n in recall_at}, 'auc': self.auc}


def average_recall(
    ground_truth: PerVideo,
    proposals: PerVideo,
    tiou_thresholds: str | Sequence[float] | np.ndarray = ACTIVITYNET,
    max_proposals: float = 100,
) -> AverageRecall:
    """Compute recall at 100 average numbers of proposals per video.

    Follows ``Evaluation/eval_proposal.py`` of the ActivityNet repository. The number of proposals
    is an average over the videos: AR@n uses the same percentage of every video's proposals, best
    scores first, so that a long video with many proposals may use more than n. A ground-truth
    segment counts as found when one of the proposals used has at least the threshold's tIoU; a
    proposal may find several. Labels are ignored. As in the official code, only videos with
    annotated segments count as videos, but proposals in other videos count in the total number of
    proposals.

    Args:
        ground_truth: ``{video: [{'segment': [start, end]}]}``, seconds.
        proposals: ``{video: [{'segment', 'score'}]}``, in the same unit.
        tiou_thresholds: Numbers in ``(0, 1]``, or a text as :func:`.segments.resolve_thresholds`
            takes.
        max_proposals: Largest average number of proposals per video; the end of the curve.

    Returns:
        The recall curve. All zeros if there are no proposals.

    Raises:
        ValueError: The ground truth has no segments, ``max_proposals`` is not positive, an entry
            lacks a key, or a number is not finite or a segment reversed; the message names the
            video.

    Example:
        >>> truth = {'a': [{'segment': [0, 10]}, {'segment': [20, 30]}]}
        >>> found = {'a': [{'segment': [0, 10], 'score': .9}, {'segment': [20, 30], 'score': .1}]}
        >>> curve = average_recall(truth, found, max_proposals=10)
        >>> curve.at(1), curve.at(2)
        (0.5, 1.0)
    """
    thresholds = resolve_thresholds(tiou_thresholds)
    if not max_proposals > 0:
        raise ValueError(f'max_proposals must be positive, got {max_proposals}')
    annotated = {video: entries for video, entries in ground_truth.items() if len(entries)}
    if not annotated:
        raise no_segments(ground_truth)
    number = {video: i for i, video in enumerate(annotated)}
    true_video = np.repeat(np.arange(len(annotated)), [len(e) for e in annotated.values()])
    scores = score_column(proposals, 'proposals')
    found_video = np.repeat(
        [number.get(video, -1) for video in proposals],
        [len(entries) for entries in proposals.values()],
    ).astype(np.int64)

    order = descending_order(scores)
    order = order[found_video[order] >= 0]
    order = order[np.argsort(found_video[order], kind='stable')]
    found_video = found_video[order]
    count = np.bincount(found_video, minlength=len(annotated))
    rank = rank_in_group(found_video)
    used, steps = _proposals_used(count, len(scores), max_proposals)
    kept = rank < used[found_video]  # the others cannot count; without them the pairs are fewer

    first = first_hits(
        segment_column(annotated, 'ground truth'),
        true_video,
        segment_column(proposals, 'proposals')[order[kept]],
        found_video[kept],
        rank[kept],
        thresholds,
    )
    return AverageRecall(
        tiou_thresholds=thresholds,
        proposals_per_video=np.arange(1, _NUM_POINTS + 1) * max_proposals / 100,
        recall=np.stack([(hit[:, None] < steps[true_video]).mean(axis=0) for hit in first]),
    )


def _proposals_used(
    count: np.ndarray, total: int, max_proposals: float
) -> tuple[np.ndarray, np.ndarray]:
    """How many of each video's proposals the curve uses.

    The order of the floating-point operations is the official one: the truncation to whole numbers
    depends on it (29% of 100 proposals are 28).

    Args:
        count: Number of proposals of every annotated video ``(n_video,)``.
        total: Number of all proposals, those of other videos included.
        max_proposals: Largest average number of proposals per video.

    Returns:
        At the end of the curve ``(n_video,)``, and at each of its points ``(n_video, 100)``.
    """
    wanted = max_proposals * float(len(count))
    used = np.minimum((count * (wanted / max(total, 1))).astype(np.int64), count)
    fractions = np.arange(1, _NUM_POINTS + 1) / 100.0 * (wanted / max(used.sum(), 1))
    return used, np.minimum((used[:, None] * fractions).astype(np.int64), used[:, None])


def rank_in_group(groups: np.ndarray) -> np.ndarray:
    """Count the earlier entries of the same group.

    Args:
        groups: Group of every entry ``(n,)``, ascending.

    Returns:
        int64 ``(n,)``, from 0.

    Example:
        >>> rank_in_group(np.array([3, 3, 3, 5, 8, 8])).tolist()
        [0, 1, 2, 0, 0, 1]
    """
    position = np.arange(len(groups))
    starts = np.r_[True, groups[1:] != groups[:-1]][: len(groups)]
    return position - np.maximum.accumulate(np.where(starts, position, 0))


def first_hits(
    true: np.ndarray,
    true_group: np.ndarray,
    found: np.ndarray,
    found_group: np.ndarray,
    rank: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """Find the best-ranked detection that reaches each true segment; it may reach several.

    Args:
        true: True segments ``(m, 2)``.
        true_group: Number of their groups ``(m,)``: a detection can reach segments of its group.
        found: Detected segments ``(n, 2)``, those of a group in order of rank.
        found_group: Number of their groups ``(n,)``.
        rank: Rank of every detection in its group ``(n,)``, from 0.
        thresholds: tIoU ``(n_tiou,)``.

    Returns:
        Ranks ``(n_tiou, m)``; :data:`NEVER` where no detection reaches the threshold.
    """
    truth, detection = equal_pairs(true_group, found_group)
    tiou = aligned_iou(true[truth], found[detection])
    first = np.full((len(thresholds), len(true)), NEVER)
    for row, threshold in zip(first, thresholds):
        hit = np.flatnonzero(tiou >= threshold)[::-1]
        row[truth[hit]] = rank[detection[hit]]  # of repeated indices, the last (best) rank stays
    return first


def check_top_k(top_k: Sequence[int]) -> None:
    """Refuse values of k that make no Recall@kx.

    Raises:
        ValueError: There are none, or one is not a positive whole number.
    """
    if not len(top_k) or any(k != int(k) or k < 1 for k in top_k):
        raise ValueError(f'top_k must be one or more positive whole numbers, got {tuple(top_k)}')
