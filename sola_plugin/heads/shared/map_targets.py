"""What the heads with a map of proposals are trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def map_targets(
    gt_bbox: Sequence[Tensor], size: int, max_duration: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Targets of a batch, the same numbers as mmaction2's.

    Args:
        gt_bbox: Segments ``(G, 2)`` of each video, fractions of what the features cover; G may be
            0. A boundary outside of ``[0, 1]`` is none here; the tIoU is that of the part inside.
        size: Number of cells T.
        max_duration: Rows D of the map; cell ``(d, s)`` is the proposal ``[s, s + d + 1]`` in
            cells.

    Returns:
        Best tIoU of every cell of the map, ``(N, D, T)``; how much of every cell, extended by half
        a cell on each side, is within 1.5 cells of a start ``(N, T)``, or of an end ``(N, T)``.
        Float32 in ``[0, 1]``.
    """
    targets = [
        _of_video(segments.cpu().numpy().reshape(-1, 2), size, max_duration) for segments in gt_bbox
    ]
    maps, starts, ends = (torch.from_numpy(np.stack(v).astype(np.float32)) for v in zip(*targets))
    return maps, starts, ends


def _of_video(segments: np.ndarray, size: int, max_duration: int) -> list[np.ndarray]:
    """Targets ``(D, T)``, ``(T,)`` and ``(T,)`` of the segments ``(G, 2)``."""
    # Here: mmaction2's models, once imported, import the heads, which import this file.
    from mmaction.models.localizers.utils import temporal_iop, temporal_iou

    cell = 1.0 / size
    index = np.arange(size)
    first = cell * index
    last = first + cell * np.arange(1, max_duration + 1)[:, None]
    inside = segments.clip(0, 1)
    tiou = temporal_iou(first, last, inside[:, :1, None], inside[:, 1:, None])
    anchor, half = (cell * (index - 0.5), cell * (index + 1.5)), 3 * cell / 2
    near = [
        temporal_iop(*anchor, time - half, time + half)
        for time in (segments[:, :1], segments[:, 1:])
    ]
    return [overlap.max(0, initial=0.0) for overlap in (tiou, *near)]
