"""BMN with a neck, batched prediction and maps of limited duration."""
from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from mmaction.models.localizers.bmn import BMN as StockBMN
from mmaction.models.localizers.utils import temporal_iop, temporal_iou
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..postprocessing import (
    covered_span,
    proposals_from_maps,
    proposals_in_seconds,
    soft_nms,
)
from .neck_mixin import NeckMixin


@MODELS.register_module(force=True)
class BMN(NeckMixin, StockBMN):
    """Boundary Matching Network (https://arxiv.org/abs/1907.09702), mmaction2's, with a neck.

    Without the arguments below it has the state-dict keys, outputs and losses of mmaction2's BMN. It
    predicts every video of a batch (mmaction2: the first), and where mmaction2 fails (a video without
    ground truth) or returns NaN (no cell with a tIoU above 0.7) it leaves the term out.

    Args:
        temporal_dim: Number of cells T; features of another length are resized after the neck.
        *args: See mmaction2's ``BMN``.
        neck: Config of the neck, ``dict(type='SoLa')``.
        max_duration: Longest proposal, in cells. The maps have that many rows. Default: T.
        similarity_matching: See :meth:`NeckMixin.add_neck`.
        **kwargs: See mmaction2's ``BMN``.

    Raises:
        ValueError: ``max_duration`` is not in ``[1, T]``.
    """

    # The parent's.
    _forward: Callable[..., tuple[Tensor, Tensor, Tensor]]
    _get_interp1d_bin_mask: Callable[..., np.ndarray]
    feat_dim: int
    tscale: int
    num_samples: int
    num_samples_per_bin: int
    boundary_ratio: float
    soft_nms_alpha: float
    soft_nms_low_threshold: float
    soft_nms_high_threshold: float
    post_process_top_k: int
    feature_extraction_interval: int
    loss_cls: nn.Module
    bm_mask: Tensor
    match_map: np.ndarray

    def __init__(self,
                 temporal_dim: int,
                 *args,
                 neck: dict | None = None,
                 max_duration: int | None = None,
                 similarity_matching: dict | None = None,
                 **kwargs) -> None:
        max_duration = temporal_dim if max_duration is None else max_duration
        if not 1 <= max_duration <= temporal_dim:
            raise ValueError(f'max_duration={max_duration} must be between 1 and temporal_dim='
                             f'{temporal_dim}')
        # The parent's constructor calls the methods below, which need it.
        self.max_duration = max_duration
        super().__init__(temporal_dim, *args, **kwargs)
        self.add_neck(neck, self.feat_dim, temporal_dim, similarity_matching)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list, **kwargs) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            batch_inputs: ``(N, C, T)``.
            batch_data_samples: Data samples with ``gt_instances.gt_bbox`` ``(G, 2)``, fractions.

        Returns:
            ``dict(loss=scalar)``.
        """
        labels = self.generate_labels([s.gt_instances['gt_bbox'] for s in batch_data_samples])
        label_confidence, label_start, label_end = (v.to(batch_inputs.device) for v in labels)
        confidence_map, start, end = self._forward(batch_inputs)
        loss, tem_loss, _, pem_cls_loss = self.loss_cls(
            confidence_map, start, end, label_confidence, label_start, label_end, self.bm_mask)
        if not (label_confidence * self.bm_mask > 0.7).any():
            warnings.warn('no cell of a batch has a tIoU above 0.7 with an action: the regression term of '
                          'the BMN loss is left out (mmaction2: NaN). Are actions longer than '
                          'max_duration, or shorter than a cell?', stacklevel=2)
            loss = tem_loss + pem_cls_loss
        return dict(loss=loss)

    def predict(self, batch_inputs: Tensor, batch_data_samples: list, **kwargs) -> list[dict]:
        """Proposals of a batch.

        Args:
            batch_inputs: ``(N, C, T)``.
            batch_data_samples: Data samples, see
                :func:`~sola_plugin.models.postprocessing.covered_span` for the meta information.

        Returns:
            For each video ``dict(video_name=str, proposal_list=[dict(score, segment)])``, seconds.
        """
        maps = [output.cpu().numpy() for output in self._forward(batch_inputs)]
        results = []
        for confidence, start, end, sample in zip(*maps, batch_data_samples):
            proposals = proposals_from_maps(start, end, confidence)
            proposals = soft_nms(proposals, self.soft_nms_alpha, self.soft_nms_low_threshold,
                                 self.soft_nms_high_threshold, self.post_process_top_k)
            span, duration = covered_span(sample.metainfo, self.feature_extraction_interval)
            results.append(dict(
                video_name=sample.metainfo['video_name'],
                proposal_list=proposals_in_seconds(proposals, span, duration, self.post_process_top_k)))
        return results

    def generate_labels(self, gt_bbox: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Training labels, the same numbers as mmaction2's.

        Args:
            gt_bbox: Segments ``(G, 2)`` of each video, fractions of what the features cover.

        Returns:
            tIoU map ``(N, D, T)``, start labels ``(N, T)``, end labels ``(N, T)``, float32.
        """
        size = self.tscale
        anchor = [np.array(v)[:, None] for v in (self.anchors_tmins, self.anchors_tmaxs)]
        tiou_maps: list[np.ndarray] = []
        starts: list[np.ndarray] = []
        ends: list[np.ndarray] = []
        for video in gt_bbox:
            segments = video.cpu().numpy().reshape(-1, 2)
            tiou = temporal_iou(self.match_map[:, 0], self.match_map[:, 1], segments[:, :1],
                                segments[:, 1:])
            tiou_maps.append(tiou.astype(np.float32).max(0, initial=0).reshape(-1, size))
            reach = 3 * (1. / size) / 2
            for labels, time in ((starts, segments[:, 0]), (ends, segments[:, 1])):
                overlap = temporal_iop(*anchor, time - reach, time + reach)
                labels.append(overlap.max(1, initial=0))
        maps, start, end = (torch.Tensor(np.array(v)) for v in (tiou_maps, starts, ends))
        return maps, start, end

    def _get_interp1d_mask(self) -> None:
        """Sampling weights ``(T, num_samples * D * T)`` as a fixed parameter (mmaction2's layout)."""
        size, cells = self.tscale, (self.tscale, self.max_duration)
        weights = np.zeros((*cells, size, self.num_samples), dtype=np.float32)
        for start, duration in np.ndindex(*cells):
            if start + duration < size:
                margin = (float(duration) + 1) * self.boundary_ratio
                weights[start, duration] = self._get_interp1d_bin_mask(
                    start - margin, start + duration + margin, size, self.num_samples,
                    self.num_samples_per_bin)
        self.sample_mask = nn.Parameter(
            torch.from_numpy(weights.transpose(2, 3, 1, 0).reshape(size, -1)), requires_grad=False)

    def _get_bm_mask(self) -> Tensor:
        return super()._get_bm_mask()[:self.max_duration]

    def _match_map(self) -> np.ndarray:
        return super()._match_map()[:self.max_duration * self.tscale]

    def _boundary_matching_layer(self, x: Tensor) -> Tensor:
        return torch.matmul(x, self.sample_mask).reshape(
            *x.shape[:2], self.num_samples, self.max_duration, self.tscale)
