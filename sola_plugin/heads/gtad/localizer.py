"""G-TAD: sub-graph localization on a map of proposals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from sola_plugin.heads.shared.channels import INPUT_GROUPS, fill_channels, grouped_channels
from sola_plugin.heads.shared.localizer import Localizer
from sola_plugin.heads.shared.map_head import MapHead
from sola_plugin.heads.shared.map_targets import map_targets
from sola_plugin.heads.shared.sampling import FoldedSampling, interpolation_weights, valid_cells

from .graph import GCNeXt, gather_snippets, nearest_neighbors, sgalign_positions


@MODELS.register_module()
class GTAD(MapHead, Localizer):
    """Sub-graph localization for temporal action detection (https://arxiv.org/abs/1911.11462).

    From features to maps::

        features (C, T_i) ─ neck ─ resize (C, T) ─ conv ─ GCNeXt ─┬─ GCNeXt ─ start (T)
                                                                  ├─ GCNeXt ─ end (T)
                                 confidence (2, D, T) ◀ SGAlign ─ GCNeXt ─┘

    The score of a proposal is the product of both confidences. State-dict keys are the authors', so
    that their checkpoints load. The defaults are the model whose size they give, 9,495,428
    parameters; what they released for each dataset is in the configs.

    Args:
        temporal_dim: Number of cells T; features of another length are resized after the neck.
        max_duration: Longest proposal, in cells: the maps have that many rows D. Default: T.
        feat_dim: Channels of the features. Where they are no multiple of 4, zero channels are
            added after the neck.
        hidden_dim_1d: Channels along time, a multiple of 4.
        hidden_dim_2d: Channels of the last convolutions on the map.
        hidden_dim_3d: Channels to which the samples of a sub-graph are taken.
        num_samples: Samples of the features of a sub-graph's snippets.
        num_context_samples: Samples of the features of their semantic neighbours.
        num_neighbors: Semantic neighbours of a snippet, one of them itself.
        groups: Paths of a graph block.
        kernel_size: Size of the last convolutions on the map, odd.
        boundary_ratio: How far a sub-graph reaches beyond each end of its proposal, as a fraction
            of it.
        sample_to_end: Whether samples reach to the end of a proposal's last cell, as in OpenTAD,
            instead of to its start, as the authors'.
        boundary_candidates: Whether proposals go from a candidate start to a candidate end only, as
            in BMN.
        soft_nms_alpha: Decay of soft-NMS.
        soft_nms_low_threshold: tIoU above which scores decay, for a proposal of no width.
        soft_nms_high_threshold: The same for one as wide as the video.
        post_process_top_k: Proposals kept.
        feature_extraction_interval: Frames between two snippets, for mmaction2's datasets only.
        loss_cls: Config of the loss.
        neck: Config of the neck, ``dict(type='SoLa')``.
        similarity_matching: See :meth:`NeckMixin.add_neck`.
        windows: See :meth:`MapHead.add_map_neck`.
        post_processing: See there.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        ValueError: ``max_duration`` or ``num_neighbors`` is not in ``[1, T]``, or ``kernel_size``
            is even.
    """

    boundary_scores = False
    valid: Tensor

    def __init__(
        self,
        temporal_dim: int = 100,
        max_duration: int | None = None,
        feat_dim: int = 400,
        hidden_dim_1d: int = 256,
        hidden_dim_2d: int = 128,
        hidden_dim_3d: int = 512,
        num_samples: int = 32,
        num_context_samples: int = 32,
        num_neighbors: int = 3,
        groups: int = 32,
        kernel_size: int = 3,
        boundary_ratio: float = 0.5,
        sample_to_end: bool = False,
        boundary_candidates: bool = True,
        soft_nms_alpha: float = 0.8,
        soft_nms_low_threshold: float = 0.0,
        soft_nms_high_threshold: float = 0.0,
        post_process_top_k: int = 100,
        feature_extraction_interval: int = 16,
        loss_cls: dict | None = None,
        neck: dict | None = None,
        similarity_matching: dict | None = None,
        windows: dict | None = None,
        post_processing: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if not 1 <= num_neighbors <= temporal_dim:
            raise ValueError(
                f'num_neighbors={num_neighbors} must be between 1 and temporal_dim={temporal_dim}'
            )
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size={kernel_size} must be odd, so that maps keep their size')
        super().__init__(init_cfg=init_cfg)
        self.temporal_dim = temporal_dim
        self.max_duration = temporal_dim if max_duration is None else max_duration
        self.num_neighbors = num_neighbors
        self.samples = (num_samples, num_context_samples)
        self.boundary_candidates = boundary_candidates
        self.soft_nms_alpha = soft_nms_alpha
        self.soft_nms_low_threshold = soft_nms_low_threshold
        self.soft_nms_high_threshold = soft_nms_high_threshold
        self.post_process_top_k = post_process_top_k
        self.feature_extraction_interval = feature_extraction_interval
        self.loss_cls = MODELS.build(loss_cls or dict(type='GTADLoss'))
        self._add_graph(feat_dim, hidden_dim_1d, groups)
        self._add_sampling(boundary_ratio, sample_to_end)
        self._add_localization(hidden_dim_1d, hidden_dim_2d, hidden_dim_3d, kernel_size)
        self.add_map_neck(
            neck, feat_dim, temporal_dim, similarity_matching, windows, post_processing
        )

    def _add_graph(self, feat_dim: int, width: int, groups: int) -> None:
        """Everything that runs along time."""

        def block() -> GCNeXt:
            return GCNeXt(width, self.num_neighbors, groups)

        def boundary() -> nn.Sequential:
            return nn.Sequential(block(), nn.Conv1d(width, 1, 1), nn.Sigmoid())

        self.backbone1 = nn.Sequential(
            nn.Conv1d(grouped_channels(feat_dim), width, 3, padding=1, groups=INPUT_GROUPS),
            nn.ReLU(inplace=True),
            block(),
        )
        self.regu_s = boundary()
        self.regu_e = boundary()
        self.backbone2 = nn.Sequential(block())

    def _add_sampling(self, boundary_ratio: float, sample_to_end: bool) -> None:
        """SGAlign, into which the first two convolutions on the map are folded."""
        duration, start = valid_cells(self.temporal_dim, self.max_duration)
        margin = (duration + 1.0) * boundary_ratio
        end = start + duration + (1 if sample_to_end else 0)
        # The last row is for the cells outside the video, which in the authors' code have the
        # samples of the interval [0, 0] and not zeros.
        first, last = np.append(start - margin, 0.0), np.append(end + margin, 0.0)
        size = self.temporal_dim
        self.sgalign = FoldedSampling(
            [
                interpolation_weights(sgalign_positions(first, last, size, number), size)
                for number in self.samples
            ],
            size,
            self.max_duration,
        )
        self.register_buffer('valid', self.sgalign.cell_rows < len(duration), persistent=False)

    def _add_localization(self, width: int, dim_2d: int, dim_3d: int, kernel_size: int) -> None:
        """The convolutions on the map."""

        def conv(channels_in: int, channels_out: int, kernel: int = 1) -> nn.Conv2d:
            return nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)

        self.localization = nn.Sequential(
            conv(width * sum(self.samples), dim_3d),
            nn.ReLU(inplace=True),
            conv(dim_3d, dim_2d),
            nn.ReLU(inplace=True),
            conv(dim_2d, dim_2d, kernel_size),
            nn.ReLU(inplace=True),
            conv(dim_2d, dim_2d, kernel_size),
            nn.ReLU(inplace=True),
            conv(dim_2d, 2),
            nn.Sigmoid(),
        )

    def _forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of a batch.

        Args:
            inputs: Features ``(C, T)`` of each video.

        Returns:
            Confidence maps ``(N, 2, D, T)`` (regression, classification), start scores ``(N, T)``,
            end scores ``(N, T)``, in ``[0, 1]``.
        """
        base = self.backbone1(fill_channels(torch.stack(list(inputs))))
        nearest = nearest_neighbors(base, self.num_neighbors)  # of three blocks

        def pass_on(part: nn.Sequential) -> Tensor:
            return part[1:](part[0](base, nearest))

        start, end = pass_on(self.regu_s).squeeze(1), pass_on(self.regu_e).squeeze(1)
        return self._localize(pass_on(self.backbone2)), start, end

    def _localize(self, x: Tensor) -> Tensor:
        """Confidence maps ``(N, 2, D, T)`` of features ``(N, C, T)``.

        A sub-graph is known by samples of its snippets' features and of the mean features of their
        semantic neighbours, in this order for every channel.
        """
        context = gather_snippets(x, nearest_neighbors(x, self.num_neighbors)).mean(3)
        over_samples, bias = self.localization[0].parameters()
        pointwise, pointwise_bias = self.localization[2].parameters()
        kernels = over_samples.view(-1, x.shape[1], sum(self.samples)).split(self.samples, dim=2)
        rows = self.sgalign([x, context], kernels, bias, pointwise.flatten(1))
        rows = (rows + pointwise_bias).relu_()
        return self.localization[4:](self.sgalign.to_map(rows))

    def loss(self, inputs: Sequence[Tensor], data_samples: Sequence) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: Features ``(C, T)`` of each video.
            data_samples: Data samples with ``gt_instances.gt_bbox`` ``(G, 2)``, fractions of what
                the features cover.

        Returns:
            See :class:`~sola_plugin.heads.gtad.losses.GTADLoss`.
        """
        segments = [sample.gt_instances['gt_bbox'] for sample in data_samples]
        targets = map_targets(segments, self.temporal_dim, self.max_duration)
        outputs = self._forward(inputs)
        return self.loss_cls(
            outputs, [target.to(outputs[0].device) for target in targets], self.valid
        )
