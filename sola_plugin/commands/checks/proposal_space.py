"""Which proposals a localizer can give, in seconds, from the code that makes them."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from sola_plugin.evaluation.metrics.oracle import nearest_proposals
from sola_plugin.heads import BMN, GTAD, ActionFormer
from sola_plugin.heads.actionformer.points import point_targets, pyramid_points
from sola_plugin.heads.shared.proposals import proposals_from_maps, times_in_seconds
from sola_plugin.heads.shared.sampling import valid_cells
from sola_plugin.heads.shared.sliding_windows import SlidingWindows
from sola_plugin.segments import aligned_iou


class Extent(NamedTuple):
    """Where the features of a video lie in time.

    Attributes:
        span: ``(start, end)`` in seconds of what the features cover.
        duration: Length of the video, seconds.
        num_snippets: T.
    """

    span: tuple[float, float]
    duration: float
    num_snippets: int


class ProposalSpace(abc.ABC):
    """What the oracle asks of a localizer.

    Attributes:
        cells: Cells to which the features of a video are resized; ``None``: every snippet is one.
        max_cells: Longest proposal, in cells; ``None``: no limit.
        advice: What changes the reach.
    """

    cells: int | None
    max_cells: int | None
    advice: str

    def cell(self, extent: Extent) -> float:
        """Length of a cell in seconds."""
        begin, end = extent.span
        return (end - begin) / (self.cells or extent.num_snippets)

    @abc.abstractmethod
    def nearest(self, segments: np.ndarray, extent: Extent) -> np.ndarray:
        """Nearest proposal of every segment ``(G, 2)``, ``[0, 0]`` where there is none; seconds."""

    def uncut(self, segments: np.ndarray, extent: Extent) -> np.ndarray:
        """Which segments the localizer sees as a whole, bool ``(G,)``."""
        return np.ones(len(segments), dtype=bool)


class MapProposals(ProposalSpace):
    """The proposals of a boundary-matching map (BMN, G-TAD), of whole videos or of windows.

    Args:
        size: Cells T of the map.
        max_duration: Rows D of the map; ``None``: T.
        windows: How videos are cut; ``None``: they are resized to the map.

    Raises:
        ValueError: ``max_duration`` is not in ``[1, T]``, or there are less than two cells.
    """

    def __init__(
        self, size: int, max_duration: int | None = None, windows: SlidingWindows | None = None
    ) -> None:
        if size < 2:
            raise ValueError(
                f'temporal_dim={size} must be at least 2: a map of one cell proposes nothing'
            )
        rows = size if max_duration is None else max_duration
        valid_cells(size, rows)
        self.windows = windows
        self.cells = size if windows is None else None
        self.max_cells = None if rows == self.cells else rows
        effect = 'shorter cells' if windows is None else 'longer windows'
        self.advice = (
            f'a larger temporal_dim ({effect}) or max_duration (longer proposals) reaches more'
        )
        ones = np.ones(size)
        grid = proposals_from_maps(ones, ones, np.ones((2, rows, size)), candidates_only=False)
        self._boundaries = np.unique(grid[:, :2])
        start, end = np.searchsorted(self._boundaries, grid[:, :2]).T
        self._first_end = np.full(start.max() + 1, size)
        self._last_end = np.zeros(start.max() + 1, dtype=int)
        np.minimum.at(self._first_end, start, end)
        np.maximum.at(self._last_end, start, end)

    def nearest(self, segments: np.ndarray, extent: Extent) -> np.ndarray:
        """Nearest proposal of every segment, of all windows."""
        best, best_tiou = np.zeros((len(segments), 2)), np.zeros(len(segments))
        for begin, end in self._spans(extent):
            inside = np.flatnonzero((segments[:, 1] > begin) & (segments[:, 0] < end))
            if not inside.size:
                continue
            boundaries = times_in_seconds(self._boundaries, (begin, end), extent.duration)
            found = nearest_proposals(segments[inside], boundaries, self._first_end, self._last_end)
            tiou = aligned_iou(segments[inside], found)
            better = tiou > best_tiou[inside]
            best[inside[better]], best_tiou[inside[better]] = found[better], tiou[better]
        return best

    def uncut(self, segments: np.ndarray, extent: Extent) -> np.ndarray:
        """Which segments lie in one window."""
        if self.windows is None:
            return super().uncut(segments, extent)
        begin, end = np.transpose(self._spans(extent))
        return ((segments[:, :1] >= begin) & (segments[:, 1:] <= end)).any(axis=1)

    def _spans(self, extent: Extent) -> Sequence[tuple[float, float]]:
        if self.windows is None:
            return [extent.span]
        return self.windows.spans(extent.num_snippets, extent.span)


class PointProposals(ProposalSpace):
    """The segments that the points of a pyramid (ActionFormer) are trained to find.

    A point regresses any distances, so a segment is reached exactly, as far as the features cover
    it, when a point is trained on it, and not at all otherwise.

    Args:
        ranges: Regression range of every level, in cells.
        radius: See :func:`~sola_plugin.heads.actionformer.points.point_targets`.
        cells: Cells to which features are resized; ``None``: as they are.
        min_length: Detections that are not longer, in cells, are dropped.
    """

    max_cells = None
    advice = (
        'no point is trained on them: they lie between the points, or share all of theirs '
        'with shorter '
        'segments; cells must be shorter (temporal_dim, the feature stride)'
    )

    def __init__(
        self,
        ranges: Sequence[tuple[float, float]],
        radius: float | None,
        cells: int | None = None,
        min_length: float = 0.0,
    ) -> None:
        self.ranges, self.radius, self.cells, self.min_length = ranges, radius, cells, min_length

    def nearest(self, segments: np.ndarray, extent: Extent) -> np.ndarray:
        """The segments themselves, cut to the features, where a point is trained on them."""
        begin, end = extent.span
        total = self.cells or extent.num_snippets
        fractions = ((segments - begin) / (end - begin)).clip(0, 1)
        lengths = [math.ceil(total / 2**level) for level in range(len(self.ranges))]
        targets, _ = point_targets(
            pyramid_points(lengths, self.ranges),
            torch.from_numpy(fractions * total),
            torch.arange(len(segments)),
            len(segments),
            self.radius,
        )
        reached = targets.any(0).numpy() & (np.diff(fractions).ravel() * total > self.min_length)
        return np.where(
            reached[:, None], times_in_seconds(fractions, extent.span, extent.duration), 0.0
        )


def proposal_space(model: nn.Module) -> ProposalSpace | None:
    """What a localizer can reach; ``None`` for one that makes no proposals of its own.

    Args:
        model: A built localizer.
    """
    if isinstance(model, BMN | GTAD):
        size = model.cells if model.windows is None else model.windows.length
        assert size is not None
        rows = model.post_processing.rows(model.max_duration)
        return MapProposals(size, rows, model.windows)
    if isinstance(model, ActionFormer):
        return PointProposals(
            model.ranges, model.center_radius, model.cells, model.post_processing.min_length
        )
    return None


def map_proposal_space(
    temporal_dim: int | None = None,
    max_duration: int | None = None,
    window: int | None = None,
    window_stride: int | None = None,
) -> MapProposals | None:
    """The space of a boundary-matching map without a model.

    Args:
        temporal_dim: Cells to which videos are resized.
        max_duration: Longest proposal, in cells; ``None``: no limit.
        window: Snippets of a window, instead of ``temporal_dim``.
        window_stride: Snippets from one window to the next; ``None``: half a window.

    Returns:
        ``None`` if neither ``temporal_dim`` nor ``window`` is given.

    Raises:
        ValueError: Both are given, or a number is out of its range.
    """
    if temporal_dim is not None and window is not None:
        raise ValueError(
            'expected temporal_dim (videos are resized) or window (they are cut), got both'
        )
    if window is None:
        return None if temporal_dim is None else MapProposals(temporal_dim, max_duration)
    stride = max(window // 2, 1) if window_stride is None else window_stride
    return MapProposals(window, max_duration, SlidingWindows(window, stride))
