"""Which figures to compute, and all of them in the form of the JSON files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._columns import PerVideo
from .average_precision import average_precision
from .average_recall import average_recall
from .tiou import resolve_thresholds
from .topk_recall import check_top_k, topk_recall

#: In the order of reports. The first and the last need labels.
METRICS = ('mAP', 'AR', 'Recall@kx')


@dataclass(frozen=True, eq=False)
class TALEvaluator:
    """The metrics of temporal action localization under one set of options.

    Args:
        metrics: Some of :data:`METRICS`.
        tiou_thresholds: Of mAP and Recall@kx, as :func:`.tiou.resolve_thresholds` takes them. AR
            always uses 0.5:0.05:0.95, as the official proposal evaluator does.
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
