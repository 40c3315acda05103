"""Kinds of false positives and what each of them costs, after DETAD."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ._columns import equal_pairs
from ._ranking import rank_in_group
from .average_precision import class_precision
from .matching import Matches, overlap

#: Below this tIoU with every true segment of its video, a detection is one of the background.
BACKGROUND_TIOU = 0.1

KINDS = (
    'true positive',
    'double detection',
    'wrong label',
    'localization',
    'confusion',
    'background',
)
_TRUE, _DOUBLE, _LABEL, _LOCALIZATION, _CONFUSION, _BACKGROUND = range(len(KINDS))


@dataclass(frozen=True, eq=False)
class FalsePositives:
    """Result of :func:`analyse_false_positives`; all precisions are means over classes, in [0, 1].

    With G true segments of a class, split k (from 0) of its detections are those of the ranks kG+1
    to (k+1)G by score.

    Attributes:
        counts: Detections of every kind ``(n_split, n_tiou, n_kind)``; kinds follow :data:`KINDS`.
        mAP: Of these detections ``(n_tiou,)``.
        mAP_N: Normalised mAP of these detections ``(n_tiou,)``.
        gain: What mAP gains when the false positives of one kind are taken away, ``(n_kind - 1,
            n_tiou)``; rows follow ``KINDS[1:]``.
        gain_N: The same for the normalised mAP.
        recall: Mean recall of these detections ``(n_tiou,)``, the mAP without any false positives.
    """

    counts: np.ndarray
    mAP: np.ndarray
    mAP_N: np.ndarray
    gain: np.ndarray
    gain_N: np.ndarray
    recall: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Share of every kind in each split, mean over the thresholds, ``(n_split, n_kind)``.

        NaN for a split without detections.
        """
        mean = self.counts.mean(axis=1)
        total = mean.sum(axis=1, keepdims=True)
        return np.divide(mean, total, out=np.full_like(mean, np.nan), where=total > 0)


def analyse_false_positives(matches: Matches, num_splits: int = 10) -> FalsePositives:
    """Tell the false positives apart, and remove the kinds one at a time.

    Follows DETAD's false-positive analysis: of every class with G true segments, the best
    ``num_splits`` · G detections are looked at. Removal takes the false positives of one kind out
    of the ranking and leaves everything else as it is.

    Args:
        matches: All detections.
        num_splits: How many times G detections of every class are looked at, at least 1.

    Returns:
        Counts by split and kind, and the precisions with and without each kind.

    Raises:
        ValueError: ``num_splits`` is below 1.
    """
    if num_splits < 1:
        raise ValueError(f'num_splits: expected at least 1, got {num_splits}')
    positives = matches.positives
    split = rank_in_group(matches.found_class) // positives[matches.found_class]
    top, split = _take(matches, split < num_splits), split[split < num_splits]
    kinds = error_kinds(top)

    counts = np.stack(
        [
            [np.bincount(row[split == k], minlength=len(KINDS)) for row in kinds]
            for k in range(num_splits)
        ]
    )
    counted = [np.ones_like(kinds, dtype=bool), *(kinds != kind for kind in range(1, len(KINDS)))]
    mAP, mAP_N = (
        np.stack(
            [
                class_precision(
                    top.is_true, top.found_class, positives, counted=part, normalized_to=number
                ).mean(axis=0)
                for part in counted
            ]
        )
        for number in (None, positives.mean())
    )
    recall = class_precision(top.is_true, top.found_class, positives, counted=top.is_true)
    return FalsePositives(
        counts, mAP[0], mAP_N[0], mAP[1:] - mAP[0], mAP_N[1:] - mAP_N[0], recall.mean(axis=0)
    )


def error_kinds(matches: Matches) -> np.ndarray:
    """Tell for every detection, at every threshold, which kind it is of.

    A detection without partner is judged by the true segment of its video, of any class, with the
    highest tIoU; of equal ones, by one of the detection's own class.

    ===================  ==================  =====================================================
    highest tIoU         its class           kind
    ===================  ==================  =====================================================
    threshold or above   the same            double detection (the segment is taken)
    threshold or above   another             wrong label
    0.1 to threshold     the same            localization error
    0.1 to threshold     another             confusion error (both are wrong)
    below 0.1            any                 background error
    ===================  ==================  =====================================================

    Args:
        matches: The detections.

    Returns:
        Index into :data:`KINDS`, ``(n_tiou, n)``.
    """
    tiou, same_class = _nearest(matches)
    kinds = np.where(
        tiou < BACKGROUND_TIOU, _BACKGROUND, np.where(same_class, _LOCALIZATION, _CONFUSION)
    )
    reached = tiou >= matches.tiou_thresholds[:, None]
    kinds = np.where(reached, np.where(same_class, _DOUBLE, _LABEL), kinds)
    return np.where(matches.is_true, _TRUE, kinds)


def _nearest(matches: Matches) -> tuple[np.ndarray, np.ndarray]:
    """Highest tIoU of each detection with a true segment, ``(n,)``, and whether the class fits."""
    detection, truth = equal_pairs(matches.found_video, matches.true_video)
    pair_tiou = overlap(matches.found[detection], matches.true[truth])
    tiou = np.zeros(len(matches.found))
    np.maximum.at(tiou, detection, pair_tiou)
    fits = (pair_tiou == tiou[detection]) & (
        matches.found_class[detection] == matches.true_class[truth]
    )
    same_class = np.zeros(len(matches.found), dtype=bool)
    same_class[detection[fits]] = True
    return tiou, same_class


def _take(matches: Matches, keep: np.ndarray) -> Matches:
    """Return the matches with some of the detections only, bool ``(n,)``; partners stay."""
    return replace(
        matches,
        found=matches.found[keep],
        found_class=matches.found_class[keep],
        found_video=matches.found_video[keep],
        partner=matches.partner[:, keep],
    )
