"""What the heads with a map of proposals share: proposals, post-processing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .map_postprocessing import MapPostProcessing
from .neck_support import NeckMixin
from .outputs import check_outputs
from .proposals import proposals_from_maps, results_in_seconds
from .sliding_windows import SlidingWindows
from .suppression import soft_nms


class MapHead(NeckMixin):
    """Prediction from maps; stands before the localizer in the base classes.

    The localizer's ``_forward`` takes features ``(N, C, T)`` and returns confidence maps
    ``(N, 2, D, T)``, start scores ``(N, T)`` and end scores ``(N, T)``, in ``[0, 1]``.
    """

    #: See :func:`~sola_plugin.heads.shared.proposals.proposals_from_maps`.
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
        post_processing: dict | None = None,
    ) -> None:
        """Build neck and windows; to be called at the end of the localizer's ``__init__``.

        Args:
            neck: See :meth:`NeckMixin.add_neck`.
            feat_dim: See there.
            temporal_dim: Number of cells of the maps.
            similarity_matching: See :meth:`NeckMixin.add_neck`.
            windows: ``stride`` and other arguments of :class:`.SlidingWindows`, for windows of
                ``temporal_dim`` snippets. ``None``: features are resized to ``temporal_dim``.
            post_processing: Arguments of :class:`.MapPostProcessing`.

        Raises:
            TypeError: ``windows`` or ``post_processing`` has an unknown key.
            ValueError: See :meth:`NeckMixin.add_neck`, :class:`.SlidingWindows` and
                :class:`.MapPostProcessing`, or there are no windows to suppress in.
        """
        self.post_processing = MapPostProcessing(**(post_processing or {}))
        if self.post_processing.suppress_windows and windows is None:
            raise ValueError('post_processing with suppress_windows=True needs windows')
        cut = None if windows is None else SlidingWindows(length=temporal_dim, **windows)
        self.add_neck(neck, feat_dim, temporal_dim, similarity_matching, cut)

    @torch.no_grad()
    def candidates(
        self, inputs: Sequence[Tensor], cores: Sequence | None = None
    ) -> list[np.ndarray]:
        """See :meth:`NeckMixin.candidates`; a window gives all its proposals, whatever its core."""
        confidences, starts, ends = (
            output.float().cpu().numpy() for output in self._forward(torch.stack(list(inputs)))
        )
        videos = list(zip(starts, ends, confidences))
        check_outputs([all(np.isfinite(values).all() for values in maps) for maps in videos])
        rows = self.post_processing.rows(confidences.shape[2])
        boundary_scores = self.post_processing.boundary_scores
        if boundary_scores is None:
            boundary_scores = self.boundary_scores
        found = [
            proposals_from_maps(*maps, self.boundary_candidates, boundary_scores)
            for maps in zip(starts, ends, confidences[:, :, :rows])
        ]
        if cores is None or not self.post_processing.suppress_windows:
            return found
        # As many as the authors of G-TAD take; of a video, one more is taken, as in mmaction2.
        return self._suppress(found, self.post_process_top_k - 1)

    def detections(self, candidates: Sequence[np.ndarray], data_samples: Sequence) -> list[dict]:
        """See :meth:`NeckMixin.detections`."""
        kept = self.post_processing.vote(
            self._suppress(candidates, self.post_process_top_k), candidates
        )
        results = results_in_seconds(
            kept, data_samples, self.feature_extraction_interval, self.post_process_top_k
        )
        return self.post_processing.round(results)

    def _suppress(self, candidates: Sequence[np.ndarray], top_k: int) -> list[np.ndarray]:
        return soft_nms(
            candidates,
            self.soft_nms_alpha,
            self.soft_nms_low_threshold,
            self.soft_nms_high_threshold,
            top_k,
        )

    def predict(self, inputs: Sequence[Tensor], data_samples: Sequence, **kwargs) -> list[dict]:
        """Proposals of a batch.

        Args:
            inputs: Features ``(C, T)`` of each video.
            data_samples: Data samples, see
                :func:`~sola_plugin.heads.shared.proposals.covered_span` for the meta information.

        Returns:
            For each video ``dict(video_name=str, proposal_list=[dict(score, segment)])``, seconds,
            best first.
        """
        return self.detections(self.candidates(inputs), data_samples)
