"""What published code does with the proposals of a map beside soft-NMS; nothing by default."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from .suppression import vote_boundaries


@dataclasses.dataclass(frozen=True)
class MapPostProcessing:
    """Steps around the soft-NMS of BMN and G-TAD.

    Attributes:
        boundary_scores: Whether the scores of start and end are part of a proposal's; ``None``: as
            the head has it (BMN: yes, G-TAD: no).
        max_length: Proposals of so many cells or more are dropped; ``None``: none.
        suppress_windows: Soft-NMS in each window first, and again on what all windows keep, with
            the scores that the first one has left. Else one soft-NMS of the video.
        voting: Smallest tIoU of :func:`~sola_plugin.heads.shared.suppression.vote_boundaries`, with
            the proposals before the last soft-NMS as candidates; ``None``: no voting.
        decimals: Of the seconds of starts and ends; ``None``: they are not rounded.

    Raises:
        ValueError: A number is out of its range.
    """

    boundary_scores: bool | None = None
    max_length: float | None = None
    suppress_windows: bool = False
    voting: float | None = None
    decimals: int | None = None

    def __post_init__(self) -> None:
        if self.max_length is not None and not self.max_length > 1:
            raise ValueError(f'expected max_length above 1 cell, got {self.max_length}')
        if self.voting is not None and not 0 < self.voting <= 1:
            raise ValueError(f'expected voting in (0, 1], got {self.voting}')
        if self.decimals is not None and self.decimals < 0:
            raise ValueError(f'expected decimals of 0 or more, got {self.decimals}')

    def rows(self, num_rows: int) -> int:
        """Rows of a map whose proposals are not too long; row ``d`` has those of ``d + 1`` cells.

        Example:
            >>> MapPostProcessing(max_length=60).rows(64), MapPostProcessing().rows(64)
            (59, 64)
        """
        if self.max_length is None:
            return num_rows
        return min(num_rows, math.ceil(self.max_length) - 1)

    def vote(
        self, kept: Sequence[np.ndarray], candidates: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Move the boundaries of what is kept, if there is voting.

        Args:
            kept: ``(K_i, 3)`` of each video: start, end, score.
            candidates: Its proposals before suppression, ``(P_i, 3)``.

        Returns:
            ``(K_i, 3)`` each.
        """
        if self.voting is None:
            return list(kept)
        return [
            np.column_stack(
                [vote_boundaries(best[:, :2], found[:, :2], found[:, 2], self.voting), best[:, 2]]
            )
            for best, found in zip(kept, candidates)
        ]

    def round(self, results: list[dict]) -> list[dict]:
        """Round the segments of a batch's results, if there are ``decimals``."""
        if self.decimals is not None:
            for result in results:
                for proposal in result['proposal_list']:
                    proposal['segment'] = [
                        round(time, self.decimals) for time in proposal['segment']
                    ]
        return results
