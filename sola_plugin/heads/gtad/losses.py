"""Losses of G-TAD (https://arxiv.org/abs/1911.11462, 3.5), as in the authors' code."""

from __future__ import annotations

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from sola_plugin.pretraining.losses import at_least_float32

#: Keeps logarithms finite, as in the authors' code.
_EPSILON = 1e-6


def balanced_logistic_loss(
    score: Tensor,
    positive: Tensor,
    mask: Tensor | None = None,
    added: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """Logistic loss in which the positives and the negatives have half of the weight each.

    This is the weighted logistic loss of BSN, BMN and G-TAD: its weights ``r/2`` and ``r/(2(r-1))``
    with ``r = entries / positives`` make each part a mean. A part without entries is left out (the
    authors' code: NaN without positives).

    Args:
        score: Probabilities of any shape, in ``[0, 1]``.
        positive: Bool of that shape.
        mask: Bool that can be broadcast to it; false where an entry does not count as a negative.
        added: Added to the count of the positives, and to that of all entries (the difference to
            that of the negatives), which makes a few positives weigh less.

    Returns:
        Scalar, in float32 or wider.
    """
    score = at_least_float32(score)
    negative = ~positive if mask is None else ~positive & mask
    parts = [
        (torch.log(likelihood + _EPSILON) * chosen).sum() / (chosen.sum() + more).clamp(min=1)
        for likelihood, chosen, more in (
            (score, positive, added[0]),
            (1 - score, negative, added[1] - added[0]),
        )
    ]
    return -(parts[0] + parts[1]) / 2


def balanced_regression_loss(
    score: Tensor, tiou: Tensor, low: float = 0.3, high: float = 0.7
) -> Tensor:
    """Half the mean squared error of cells sampled so that every range of tIoU counts the same.

    All cells above ``high`` count, and about as many of those in ``(low, high]`` and in ``(0,
    low]``, drawn at random; where there are fewer, all of them. Cells without any overlap never
    count.

    Args:
        score: Predicted tIoU, any shape, in ``[0, 1]``.
        tiou: tIoU with the best action, of that shape; 0 at invalid cells.
        low: Border between the two lower ranges.
        high: Border between the two upper ranges.

    Returns:
        Scalar, in float32 or wider; 0 without a cell above ``high`` (the authors' code: NaN).
    """
    score = at_least_float32(score)
    best = tiou > high
    chosen = best
    for group in ((tiou <= high) & (tiou > low), (tiou <= low) & (tiou > 0)):
        share = best.sum() / group.sum()
        chosen = chosen | group & (torch.rand_like(tiou) > 1 - share)
    return ((score - tiou).square() * chosen).sum() / chosen.sum().clamp(min=1) / 2


@MODELS.register_module()
class GTADLoss(nn.Module):
    """Losses of the boundary scores and of both confidence maps.

    Args:
        node_weight: Weight of the logistic losses of the boundary scores.
        regression_weight: Weight of the squared error of the first map.
        classification_weight: Weight of the logistic loss of the second map.
        boundary_overlap: A cell whose overlap with a boundary exceeds this is a positive.
        positive_tiou: A proposal whose tIoU exceeds this is a positive (the paper: 0.5; the code:
            0.9).
        added_counts: ``added`` of :func:`balanced_logistic_loss` in the loss of the second map: the
            authors' code for THUMOS14 has (10, 20), that for ActivityNet nothing.

    Raises:
        ValueError: A count that is added is negative, or there are more positives than entries.
    """

    def __init__(
        self,
        node_weight: float = 1.0,
        regression_weight: float = 10.0,
        classification_weight: float = 1.0,
        boundary_overlap: float = 0.5,
        positive_tiou: float = 0.9,
        added_counts: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__()
        positives, entries = added_counts
        if not 0 <= positives <= entries:
            raise ValueError(
                f'expected added_counts=(positives, entries) with 0 <= positives <= entries, got '
                f'{tuple(added_counts)}'
            )
        self.node_weight = node_weight
        self.regression_weight = regression_weight
        self.classification_weight = classification_weight
        self.boundary_overlap = boundary_overlap
        self.positive_tiou = positive_tiou
        self.added_counts = (positives, entries)

    def forward(
        self,
        outputs: tuple[Tensor, Tensor, Tensor],
        labels: tuple[Tensor, Tensor, Tensor],
        mask: Tensor,
    ) -> dict[str, Tensor]:
        """Weighted losses.

        Args:
            outputs: Confidence maps ``(N, 2, D, T)`` (regression, classification), start and end
                scores ``(N, T)``, all in ``[0, 1]``.
            labels: tIoU map ``(N, D, T)``, start and end labels ``(N, T)``, all in ``[0, 1]``.
            mask: Bool ``(D, T)``, true at valid cells.

        Returns:
            ``dict(loss_node=, loss_regression=, loss_classification=)``, scalars.
        """
        confidence, start, end = outputs
        tiou, start_overlap, end_overlap = labels
        tiou = tiou * mask
        at_start = balanced_logistic_loss(start, start_overlap > self.boundary_overlap)
        at_end = balanced_logistic_loss(end, end_overlap > self.boundary_overlap)
        regression = balanced_regression_loss(confidence[:, 0], tiou)
        classification = balanced_logistic_loss(
            confidence[:, 1], tiou > self.positive_tiou, mask, self.added_counts
        )
        return dict(
            loss_node=self.node_weight * (at_start + at_end),
            loss_regression=self.regression_weight * regression,
            loss_classification=self.classification_weight * classification,
        )
