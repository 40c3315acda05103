"""From the outputs of a head that classifies to the detections of a video."""

from __future__ import annotations

import dataclasses

import numpy as np

from .suppression import Decay, gaussian_decay, grouped_nms, hard_decay, vote_boundaries


@dataclasses.dataclass(frozen=True)
class DetectionSettings:
    """How the outputs of a video become its detections.

    Attributes:
        min_score: Scores at or below it are dropped, before and after suppression.
        min_length: Segments that are not longer, in cells, are dropped.
        pre_nms_top_k: Best candidates that take part in suppression.
        nms: ``'soft'`` or ``'hard'``.
        sigma: Decay of soft-NMS, see :func:`~sola_plugin.heads.shared.suppression.gaussian_decay`.
        tiou_threshold: Of hard NMS.
        class_aware: Whether only detections of the same class suppress each other.
        voting: Smallest tIoU of :func:`~sola_plugin.heads.shared.suppression.vote_boundaries`;
            ``None``: no voting.
        top_k: Detections kept.

    Raises:
        ValueError: ``nms`` is neither of the two.
    """

    min_score: float = 0.001
    min_length: float = 0.05
    pre_nms_top_k: int = 5000
    nms: str = 'soft'
    sigma: float = 0.5
    tiou_threshold: float = 0.1
    class_aware: bool = True
    voting: float | None = None
    top_k: int = 200

    def __post_init__(self) -> None:
        if self.nms not in ('soft', 'hard'):
            raise ValueError(f"nms is {self.nms!r}, expected 'soft' or 'hard'")

    @property
    def decay(self) -> Decay:
        """The decay that ``nms`` names."""
        return gaussian_decay(self.sigma) if self.nms == 'soft' else hard_decay(self.tiou_threshold)


def detect(
    segments: np.ndarray, scores: np.ndarray, settings: DetectionSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Detections of one video.

    Args:
        segments: ``(P, 2)``, in cells, one for each point of a head.
        scores: Scores of the classes at every point, ``(P, K)`` in ``[0, 1]``.
        settings: See :class:`DetectionSettings`.

    Returns:
        Segments ``(M, 2)`` in cells, scores ``(M,)``, best first, and classes, int ``(M,)``.
    """
    found = suppress_candidates(detection_candidates(segments, scores, settings), settings)
    return found[:, :2], found[:, 2], found[:, 3].astype(int)


def detection_candidates(
    segments: np.ndarray, scores: np.ndarray, settings: DetectionSettings
) -> np.ndarray:
    """What takes part in suppression.

    Args:
        segments: ``(P, 2)``, in cells.
        scores: ``(P, K)``.
        settings: See :class:`DetectionSettings`.

    Returns:
        ``(M, 4)`` float64, best first: start, end, score, number of the class.
    """
    long_enough = segments[:, 1] - segments[:, 0] > settings.min_length
    point, label = np.nonzero((scores > settings.min_score) & long_enough[:, None])
    candidates = np.column_stack([segments[point], scores[point, label], label]).astype(np.float64)
    return _best(candidates, settings.pre_nms_top_k)


def suppress_candidates(candidates: np.ndarray, settings: DetectionSettings) -> np.ndarray:
    """Detections from candidates, also those of several windows of a video, one after the other.

    Args:
        candidates: ``(M, 4)``, see :func:`detection_candidates`; start and end in any unit.
        settings: See :class:`DetectionSettings`.

    Returns:
        ``(K, 4)``, best first.
    """
    candidates = _best(candidates, settings.pre_nms_top_k)
    segments, score, label = candidates[:, :2], candidates[:, 2], candidates[:, 3].astype(int)
    groups = label if settings.class_aware else np.zeros_like(label)
    index, kept_score = grouped_nms(
        segments, score, groups, settings.decay, settings.top_k, settings.min_score
    )
    index, kept_score = index[: settings.top_k], kept_score[: settings.top_k]
    kept = segments[index]
    if settings.voting is not None:
        kept = _vote(kept, groups[index], segments, score, groups, settings.voting)
    return np.column_stack([kept, kept_score, label[index]])


def _best(candidates: np.ndarray, top_k: int) -> np.ndarray:
    """The ``top_k`` rows with the highest scores, best first."""
    return candidates[np.argsort(-candidates[:, 2], kind='stable')[:top_k]]


def _vote(
    kept: np.ndarray,
    kept_groups: np.ndarray,
    candidates: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """Voting inside each group."""
    voted = np.empty_like(kept)
    for group in np.unique(kept_groups):
        mine, all_of_it = kept_groups == group, groups == group
        voted[mine] = vote_boundaries(
            kept[mine], candidates[all_of_it], scores[all_of_it], threshold
        )
    return voted
