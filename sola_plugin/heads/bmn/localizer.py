"""BMN without the sampled map, with a neck, batched prediction and maps of limited duration."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
from mmaction.models.localizers.bmn import BMN as StockBMN
from mmaction.registry import MODELS
from torch import Tensor, nn

from sola_plugin.heads.shared.channels import fill_channels, grouped_channels
from sola_plugin.heads.shared.map_head import MapHead
from sola_plugin.heads.shared.map_targets import map_targets
from sola_plugin.heads.shared.sampling import (
    FoldedSampling,
    bmn_positions,
    interpolation_weights,
    valid_cells,
)


@MODELS.register_module(force=True)
class BMN(MapHead, StockBMN):
    """Boundary Matching Network (https://arxiv.org/abs/1907.09702), a drop-in for mmaction2's.

    Without the arguments below it has mmaction2's arguments, weights, outputs, losses and
    proposals, but the samples of the proposals are folded into the convolution over them, see
    :class:`~sola_plugin.heads.shared.sampling.FoldedSampling`. It predicts every video of a batch
    (mmaction2: the first), and where mmaction2 fails (a video without ground truth) or returns NaN
    (no cell with a tIoU above 0.7) it leaves the term out, with a warning.

    mmaction2's checkpoints load, with any ``max_duration``. Those of this class lack
    ``sample_mask``, which mmaction2 makes itself: there they load with ``strict=False``, the
    default of mmengine. The state of an optimizer does not move from one to the other, as mmaction2
    counts the mask as a parameter.

    Quirks of mmaction2 that are kept: samples left of the video, see
    :func:`~sola_plugin.heads.shared.sampling.bmn_positions`; proposals that end with the video, see
    :func:`~sola_plugin.heads.shared.proposals.proposals_from_maps`; and the regression loss counts
    every cell, also those outside the video, when more cells have a tIoU above 0.7 than between 0.3
    and 0.7 or between 0 and 0.3.

    Args:
        temporal_dim: Number of cells T; features of another length are resized after the neck.
        *args: See mmaction2's ``BMN``. Where ``feat_dim`` is no multiple of 4, which mmaction2
            refuses, zero channels are added after the neck.
        neck: Config of the neck, ``dict(type='SoLa')``.
        max_duration: Longest proposal, in cells. The maps have that many rows. Default: T.
        similarity_matching: See :meth:`NeckMixin.add_neck`.
        windows: See :meth:`MapHead.add_map_neck`.
        post_processing: See there.
        **kwargs: See mmaction2's ``BMN``.

    Raises:
        ValueError: ``max_duration`` is not in ``[1, T]``.
    """

    # The parent's.
    feat_dim: int
    tscale: int
    num_samples: int
    num_samples_per_bin: int
    boundary_ratio: float
    loss_cls: nn.Module
    x_1d_b: nn.Sequential
    x_1d_s: nn.Sequential
    x_1d_e: nn.Sequential
    x_1d_p: nn.Sequential
    x_3d_p: nn.Sequential
    x_2d_p: nn.Sequential
    bm_mask: Tensor
    sampling: FoldedSampling
    match_map: np.ndarray

    def __init__(
        self,
        temporal_dim: int,
        *args,
        neck: dict | None = None,
        max_duration: int | None = None,
        similarity_matching: dict | None = None,
        windows: dict | None = None,
        post_processing: dict | None = None,
        **kwargs,
    ) -> None:
        max_duration = temporal_dim if max_duration is None else max_duration
        if not 1 <= max_duration <= temporal_dim:
            raise ValueError(
                f'max_duration={max_duration} must be between 1 and temporal_dim={temporal_dim}'
            )
        # The parent's constructor calls the methods below, which need it.
        self.max_duration = max_duration
        given = inspect.signature(StockBMN.__init__).bind(self, temporal_dim, *args, **kwargs)
        feat_dim = given.arguments['feat_dim']
        given.arguments['feat_dim'] = grouped_channels(feat_dim)
        super().__init__(*given.args[1:], **given.kwargs)
        self.feat_dim = feat_dim
        self.add_map_neck(
            neck, self.feat_dim, temporal_dim, similarity_matching, windows, post_processing
        )

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
            confidence_map, start, end, label_confidence, label_start, label_end, self.bm_mask
        )
        if not (label_confidence * self.bm_mask > 0.7).any():
            warnings.warn(
                'no cell of a batch has a tIoU above 0.7 with an action: the regression term of '
                'the BMN loss is left out (mmaction2: NaN). Are actions longer than '
                'max_duration, or shorter than a cell?',
                stacklevel=2,
            )
            loss = tem_loss + pem_cls_loss
        return dict(loss=loss)

    def generate_labels(self, gt_bbox: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Training labels, the same numbers as mmaction2's.

        Args:
            gt_bbox: Segments ``(G, 2)`` of each video, fractions of what the features cover.

        Returns:
            tIoU map ``(N, D, T)``, start labels ``(N, T)``, end labels ``(N, T)``, float32.
        """
        return map_targets(gt_bbox, self.tscale, self.max_duration)

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of a batch.

        Args:
            x: Features ``(N, C, T)``.

        Returns:
            Confidence maps ``(N, 2, D, T)`` (regression, classification), start scores ``(N, T)``,
            end scores ``(N, T)``, in ``[0, 1]``.
        """
        base = self.x_1d_b(fill_channels(x))
        start, end = self.x_1d_s(base).squeeze(1), self.x_1d_e(base).squeeze(1)
        over_samples, bias = self.x_3d_p[0].parameters()
        pointwise, pointwise_bias = self.x_2d_p[0].parameters()
        rows = self.sampling(
            [self.x_1d_p(base)], [over_samples.flatten(2)], bias, pointwise.flatten(1)
        )
        rows = (rows + pointwise_bias).relu_()
        return self.x_2d_p[2:](self.sampling.to_map(rows)), start, end

    def _get_interp1d_mask(self) -> None:
        """What mmaction2 keeps as a dense ``sample_mask`` of T * N * D * T numbers."""
        positions = bmn_positions(
            *valid_cells(self.tscale, self.max_duration),
            self.num_samples,
            self.num_samples_per_bin,
            self.boundary_ratio,
        )
        self.sampling = FoldedSampling(
            [interpolation_weights(positions, self.tscale)], self.tscale, self.max_duration
        )

    def _get_bm_mask(self) -> Tensor:
        return super()._get_bm_mask()[: self.max_duration]

    def _match_map(self) -> np.ndarray:
        return super()._match_map()[: self.max_duration * self.tscale]

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Load mmaction2's checkpoints too: the masks in them follow from the arguments here."""
        state_dict.pop(f'{prefix}sample_mask', None)
        state_dict[f'{prefix}bm_mask'] = self.bm_mask
        super()._load_from_state_dict(state_dict, prefix, *args)
