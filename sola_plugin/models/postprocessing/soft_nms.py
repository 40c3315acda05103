"""Soft-NMS of proposals, the same numbers as mmaction2's loops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .nms import gaussian_decay, suppress


def soft_nms(
    videos: Sequence[np.ndarray],
    alpha: float,
    low_threshold: float,
    high_threshold: float,
    top_k: int,
) -> list[np.ndarray]:
    """Gaussian soft-NMS of the proposals of every video, as used by BSN and BMN.

    The best proposal is taken again and again; the score of every other one whose tIoU with it
    exceeds ``low_threshold + (high_threshold - low_threshold) * width`` is multiplied by
    ``exp(-tIoU^2 / alpha)``. ``width`` is that of the proposal taken, so wide ones suppress less.
    The videos go through one loop side by side.

    Args:
        videos: ``(P_i, 3)`` each: start, end (fractions of the video) and score >= 0.
        alpha: Decay.
        low_threshold: tIoU threshold of a proposal of no width.
        high_threshold: tIoU threshold of a proposal as wide as the video.
        top_k: Stop after ``top_k + 1`` proposals. The one more is mmaction2's, kept for equality.

    Returns:
        ``(min(P_i, top_k + 1), 3)`` each, in the order taken, scores decayed.
    """
    videos = [video[video[:, 2].argsort()[::-1]] for video in videos]
    if min(low_threshold, high_threshold) >= 1:  # as no tIoU exceeds 1, nothing decays
        return [video[: top_k + 1] for video in videos]
    padded = np.zeros((len(videos), max((len(video) for video in videos), default=0), 3))
    padded[..., 2] = -np.inf
    for row, video in zip(padded, videos):
        row[: len(video)] = video
    indices, scores = suppress(
        padded[..., :2],
        padded[..., 2],
        gaussian_decay(alpha, low_threshold, high_threshold),
        top_k + 1,
    )
    return [
        np.column_stack([row[index, :2], score])[score > -np.inf]
        for row, index, score in zip(padded, indices, scores)
    ]
