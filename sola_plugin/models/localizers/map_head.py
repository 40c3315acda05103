"""What the heads share that score every pair of a start and an end cell (BMN, G-TAD)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..postprocessing import proposals_from_maps, results_in_seconds, soft_nms
from .neck_mixin import NeckMixin
from .sliding_windows import SlidingWindows


class MapHead(NeckMixin):
    """Prediction from maps; stands before the localizer in the base classes.

    The localizer's ``_forward`` takes features ``(N, C, T)`` and returns confidence maps
    ``(N, 2, D, T)``, start scores ``(N, T)`` and end scores ``(N, T)``, in ``[0, 1]``.
    """

    #: See :func:`~sola_plugin.models.postprocessing.proposals_from_maps`.
    boundary_candidates = True
    boundary_scores = True

    soft_nms_alpha: float
    soft_nms_low_threshold: float
    soft_nms_high_threshold: float
    post_process_top_k: int
    feature_extraction_interval: int
    _forward: Callable[..., tuple[Tensor, Tensor, Tensor]]

    def add_map_neck(
        self,
        neck: dict | None,
        feat_dim: int,
        temporal_dim: int,
        similarity_matching: dict | None,
        windows: dict | None,
    ) -> None:
        """Build neck and windows; to be called at the end of the localizer's ``__init__``.

        Args:
            neck: See :meth:`NeckMixin.add_neck`.
            feat_dim: See there.
            temporal_dim: Number of cells of the maps.
            similarity_matching: See :meth:`NeckMixin.add_neck`.
            windows: ``stride`` and other arguments of :class:`.SlidingWindows`, for windows of
                ``temporal_dim`` snippets. ``None``: features are resized to ``temporal_dim``.

        Raises:
            TypeError: ``windows`` has an unknown key.
            ValueError: See :meth:`NeckMixin.add_neck` and :class:`.SlidingWindows`.
        """
        cut = None if windows is None else SlidingWindows(length=temporal_dim, **windows)
        self.add_neck(neck, feat_dim, temporal_dim, similarity_matching, cut)

    @torch.no_grad()
    def candidates(
        self, inputs: Sequence[Tensor], cores: Sequence | None = None
    ) -> list[np.ndarray]:
        """See :meth:`NeckMixin.candidates`; a window gives all of its proposals, whatever its
        core."""
        confidences, starts, ends = (
            output.float().cpu().numpy() for output in self._forward(torch.stack(list(inputs)))
        )
        return [
            proposals_from_maps(*maps, self.boundary_candidates, self.boundary_scores)
            for maps in zip(starts, ends, confidences)
        ]

    def detections(self, candidates: Sequence[np.ndarray], data_samples: Sequence) -> list[dict]:
        """See :meth:`NeckMixin.detections`."""
        proposals = soft_nms(
            candidates,
            self.soft_nms_alpha,
            self.soft_nms_low_threshold,
            self.soft_nms_high_threshold,
            self.post_process_top_k,
        )
        return results_in_seconds(
            proposals, data_samples, self.feature_extraction_interval, self.post_process_top_k
        )

    def predict(self, inputs: Sequence[Tensor], data_samples: Sequence, **kwargs) -> list[dict]:
        """Proposals of a batch.

        Args:
            inputs: Features ``(C, T)`` of each video.
            data_samples: Data samples, see
                :func:`~sola_plugin.models.postprocessing.covered_span` for the meta information.

        Returns:
            For each video ``dict(video_name=str, proposal_list=[dict(score, segment)])``, seconds,
            best first.
        """
        return self.detections(self.candidates(inputs), data_samples)
