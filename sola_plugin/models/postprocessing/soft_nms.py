"""Soft-NMS, the same numbers as mmaction2's loops."""
from __future__ import annotations

import numpy as np

from sola_plugin.evaluation.tiou import segment_iou


def soft_nms(proposals: np.ndarray, alpha: float, low_threshold: float, high_threshold: float,
             top_k: int) -> np.ndarray:
    """Gaussian soft-NMS of the proposals of one video (Bodla et al. 2017, as used by BSN and BMN).

    The best proposal is taken again and again; the score of every other one whose tIoU with it exceeds
    ``low_threshold + (high_threshold - low_threshold) * width`` is multiplied by
    ``exp(-tIoU^2 / alpha)``. ``width`` is that of the proposal taken, so wide ones suppress less.

    Args:
        proposals: ``(P, 3)``: start, end (fractions of the video) and score >= 0.
        alpha: Decay.
        low_threshold: tIoU threshold of a proposal of no width.
        high_threshold: tIoU threshold of a proposal as wide as the video.
        top_k: Stop after ``top_k + 1`` proposals. The one more is mmaction2's, kept for equality.

    Returns:
        ``(min(P, top_k + 1), 3)`` in the order taken, scores decayed.
    """
    proposals = proposals[proposals[:, 2].argsort()[::-1]]
    score = proposals[:, 2].copy()
    taken = []
    for _ in range(min(len(proposals), top_k + 1)):
        best = int(score.argmax())
        taken.append((*proposals[best, :2], score[best]))
        tiou = segment_iou(proposals[best:best + 1, :2], proposals[:, :2])[0]
        width = proposals[best, 1] - proposals[best, 0]
        decay = tiou > low_threshold + (high_threshold - low_threshold) * width
        score[decay] *= np.exp(-np.square(tiou[decay]) / alpha)
        score[best] = -np.inf
    return np.array(taken).reshape(-1, 3)
