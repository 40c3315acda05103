"""ActionFormer: anchor-free localization on a transformer pyramid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from mmaction.registry import MODELS
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from sola_plugin.heads.shared.detections import (
    DetectionSettings,
    detection_candidates,
    suppress_candidates,
)
from sola_plugin.heads.shared.localizer import Localizer
from sola_plugin.heads.shared.neck_support import NeckMixin, pad_features
from sola_plugin.heads.shared.outputs import check_outputs
from sola_plugin.heads.shared.proposals import results_in_seconds
from sola_plugin.heads.shared.random_crop import RandomCrop

from .attention import NORM_EPS
from .losses import diou_loss, sigmoid_focal_loss
from .padding import PublishedPadding
from .points import (
    PointHead,
    Points,
    point_targets,
    points_of_heads,
    pyramid_points,
    regression_ranges,
)
from .pyramid import TransformerPyramid
from .windows import sliding_windows

#: Weight of the newest batch in the moving average of the number of positive points.
_MOMENTUM = 0.1


@MODELS.register_module()
class ActionFormer(NeckMixin, Localizer):
    """ActionFormer (https://arxiv.org/abs/2202.07925).

    Every point of a pyramid classifies and regresses::

        features (C, T_i) ─ neck ─ pyramid ─┬ classifier ─ K scores a point ──────────┬ soft-NMS
                                            └ regressor ── distances to start and end ┘

    It predicts the classes itself and takes videos of any lengths, each at its native feature
    stride.

    Args:
        feat_dim: Channels C of the features.
        classes: Labels in the order of their numbers in the dataset. ``None``: one class for all
            actions; the proposals have no label and get one from the metric's classifier.
        pyramid: Arguments of
            :class:`~sola_plugin.heads.actionformer.pyramid.TransformerPyramid`.
        num_head_convs: Convolutions of each head before its last one.
        temporal_dim: Number of cells to which features are resized after the neck; ``None``: as
            they are.
        crop: Arguments of :class:`~sola_plugin.heads.shared.random_crop.RandomCrop`, which cuts the
            resized features in training; ``None``: all of them.
        center_radius: See :func:`~sola_plugin.heads.actionformer.points.point_targets`.
        label_smoothing: Share of the classification target that is spread over the classes.
        regression_weight: Weight of the regression loss.
        loss_normalizer: First value of the moving average of the number of positive points in a
            batch, by which the losses are divided.
        prior: Score of every class at every point before training.
        post_processing: Arguments of
            :class:`~sola_plugin.heads.shared.detections.DetectionSettings`.
        feature_extraction_interval: Frames between two snippets; used with mmaction2's datasets
            only.
        neck: Config of the neck, ``dict(type='SoLa')``.
        similarity_matching: See :meth:`NeckMixin.add_neck`.
        windows: ``dict(length=4096)``: predict long videos in windows of so many snippets, in
            bounded memory; see
            :func:`~sola_plugin.heads.actionformer.windows.sliding_windows`.
        norm_eps: Added to the variance in the layer norms of projection, levels and heads; those of
            the transformer blocks have 1e-5. OpenTAD has 1e-6.
        padding: ``dict(code='authors', length=2304)``: pad as published, for weights that were
            trained so; see :class:`~sola_plugin.heads.actionformer.padding.PublishedPadding`.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        ValueError: Two classes have the same name, or ``windows`` or ``padding`` do not fit.
    """

    loss_normalizer: Tensor

    def __init__(
        self,
        feat_dim: int,
        classes: Sequence[str] | None = None,
        pyramid: dict | None = None,
        num_head_convs: int = 2,
        temporal_dim: int | None = None,
        crop: dict | None = None,
        center_radius: float | None = 1.5,
        label_smoothing: float = 0.0,
        regression_weight: float = 1.0,
        loss_normalizer: float = 100.0,
        prior: float = 0.01,
        post_processing: dict | None = None,
        feature_extraction_interval: int = 16,
        neck: dict | None = None,
        similarity_matching: dict | None = None,
        windows: dict | None = None,
        norm_eps: float = NORM_EPS,
        padding: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.classes = None if classes is None else tuple(classes)
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise ValueError(f'expected different names for the classes, got {self.classes}')
        self.num_classes = 1 if self.classes is None else len(self.classes)
        self.crop = None if crop is None else RandomCrop(**crop)
        self.center_radius = center_radius
        self.label_smoothing = label_smoothing
        self.regression_weight = regression_weight
        self.feature_extraction_interval = feature_extraction_interval
        self.post_processing = DetectionSettings(**(post_processing or {}))
        self.pyramid = TransformerPyramid(feat_dim, norm_eps=norm_eps, **(pyramid or {}))
        channels, num_levels = self.pyramid.channels, self.pyramid.num_levels
        self.ranges = regression_ranges(num_levels)
        bias = math.log(prior / (1 - prior))
        self.classifier = PointHead(
            channels, channels, self.num_classes, num_head_convs, bias, norm_eps
        )
        self.regressor = PointHead(channels, channels, 2, num_head_convs, norm_eps=norm_eps)
        self.scale = nn.Parameter(torch.ones(num_levels))
        self.register_buffer('loss_normalizer', torch.tensor(float(loss_normalizer)))
        if windows is not None and temporal_dim is not None:
            raise ValueError(
                f'windows={windows} and temporal_dim={temporal_dim} exclude each other: windows '
                'are at native stride'
            )
        if windows is not None and padding is not None:
            raise ValueError(
                f'windows={windows} and padding={padding} exclude each other: the published code '
                'pads whole videos'
            )
        self.padding = (
            None if padding is None else PublishedPadding(**padding, windows=self.pyramid.windows)
        )
        self.add_neck(
            neck,
            feat_dim,
            temporal_dim,
            similarity_matching,
            None
            if windows is None
            else sliding_windows(
                self.pyramid.num_levels,
                self.receptive_radius,
                self.post_processing.pre_nms_top_k,
                **windows,
            ),
        )

    @property
    def receptive_radius(self) -> int | None:
        """Snippets to either side, behind the neck, that a point depends on; ``None``: all."""
        inner = self.pyramid.receptive_radius
        convs = len(self.classifier.convs) + 1
        return None if inner is None else inner + convs * 2 ** (self.pyramid.num_levels - 1)

    def _forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Points]:
        """Outputs at every point.

        Args:
            inputs: Features ``(C, T_i)`` of each video.

        Returns:
            Logits ``(N, P, K)``, distances ``(N, P, 2)`` in strides of the level, mask ``(N, P)``,
            true at points of the video, and the points.
        """
        x, mask = pad_features(inputs)
        if mask is None and (self.padding is not None or torch.onnx.is_in_onnx_export()):
            mask = torch.ones_like(x[:, 0], dtype=torch.bool)
        padding = None
        if self.padding is not None and mask is not None:
            x, mask, padding = self.padding(x, mask)
        levels = self.pyramid(x, mask, padding)
        sizes = [level.shape[2] for level, _ in levels]
        scale = torch.cat([scale.expand(size) for scale, size in zip(self.scale, sizes)])
        logits, distances = points_of_heads((self.classifier, self.regressor), levels, padding)
        if mask is None:
            mask = torch.ones_like(logits[:, :, 0], dtype=torch.bool)
        else:
            mask = torch.cat([level_mask for _, level_mask in levels], 1)
        return (
            logits,
            (distances * scale[:, None]).relu(),
            mask,
            pyramid_points(sizes, self.ranges, x.device),
        )

    def loss(self, inputs: Sequence[Tensor], data_samples: Sequence) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs: Features ``(C, T_i)`` of each video.
            data_samples: Data samples with ``gt_instances.gt_bbox`` ``(G, 2)``, fractions of what
                the features cover, and with classes ``gt_instances.gt_labels`` ``(G,)``.

        Returns:
            ``dict(loss_cls=scalar, loss_reg=scalar)``.

        Raises:
            ValueError: The dataset numbers its classes differently.
        """
        if self.crop is not None:
            inputs, data_samples = self.crop(inputs, data_samples)
        logits, distances, mask, points = self._forward(inputs)
        targets = [
            point_targets(
                points,
                sample.gt_instances['gt_bbox'].to(logits.device) * video.shape[1],
                self._labels(sample),
                self.num_classes,
                self.center_radius,
            )
            for video, sample in zip(inputs, data_samples)
        ]
        classes, goals = (torch.stack(part) for part in zip(*targets))
        positive = (classes.sum(2) > 0) & mask
        classes = classes * (1 - self.label_smoothing) + self.label_smoothing / (
            self.num_classes + 1
        )
        normalizer = self._average_positives(positive)
        return dict(
            loss_cls=sigmoid_focal_loss(logits[mask], classes[mask]).sum() / normalizer,
            loss_reg=self.regression_weight
            * diou_loss(distances[positive], goals[positive]).sum()
            / normalizer,
        )

    def _labels(self, sample) -> Tensor:
        """Class numbers ``(G,)`` of the actions of a video."""
        if self.classes is None:
            return torch.zeros(len(sample.gt_instances['gt_bbox']), dtype=torch.long)
        theirs = tuple(sample.metainfo.get('classes', self.classes))
        if theirs != self.classes:
            raise ValueError(
                f'the dataset has the classes {theirs}, the model {self.classes}: give both the '
                'same classes=...'
            )
        return sample.gt_instances['gt_labels']

    def _average_positives(self, positive: Tensor) -> Tensor:
        """A rank's part of the moving average of a batch's number of positive points.

        The batch is that of all ranks, which so get the gradients of one. At least 1 in all.
        """
        if self.training:
            count = positive.sum().to(self.loss_normalizer)
            all_reduce(count)
            self.loss_normalizer.lerp_(count.clamp(min=1), _MOMENTUM)
        # The buffer changes before the next backward pass of a batch that is split.
        return self.loss_normalizer / get_world_size()

    @torch.no_grad()
    def candidates(
        self, inputs: Sequence[Tensor], cores: Sequence[tuple[int, int]] | None = None
    ) -> list[np.ndarray]:
        """See :meth:`NeckMixin.candidates`; a fourth column is the number of the class."""
        logits, distances, mask, points = self._forward(inputs)
        finite = logits.isfinite().all(2) & distances.isfinite().all(2)
        check_outputs((finite | ~mask).all(1).cpu().numpy())
        if cores is not None:
            first, last = points.position.new_tensor(cores).T[..., None]
            mask = mask & (points.position >= first) & (points.position < last)
        scores, segments = self.scores_and_segments(logits, distances, points)
        scores = scores * mask[:, :, None]
        found = [
            detection_candidates(*outputs, self.post_processing)
            for outputs in zip(segments.cpu().numpy(), scores.cpu().numpy())
        ]
        for video, candidates in zip(inputs, found):
            candidates[:, :2] /= video.shape[1]
        return found

    @staticmethod
    def scores_and_segments(
        logits: Tensor, distances: Tensor, points: Points
    ) -> tuple[Tensor, Tensor]:
        """What post-processing takes.

        Args:
            logits: ``(N, P, K)``.
            distances: ``(N, P, 2)``, in strides of the level.
            points: P points.

        Returns:
            Scores ``(N, P, K)`` in ``[0, 1]``, and segments ``(N, P, 2)`` in cells.
        """
        offsets = distances.float() * points.stride[:, None]
        segments = points.position[:, None] + torch.stack(
            [-offsets[..., 0], offsets[..., 1]], dim=2
        )
        return logits.float().sigmoid(), segments

    def detections(self, candidates: Sequence[np.ndarray], data_samples: Sequence) -> list[dict]:
        """See :meth:`NeckMixin.detections`."""
        found = [suppress_candidates(of_video, self.post_processing) for of_video in candidates]
        return results_in_seconds(
            found,
            data_samples,
            self.feature_extraction_interval,
            self.post_processing.top_k,
            self.classes,
        )

    def predict(self, inputs: Sequence[Tensor], data_samples: Sequence) -> list[dict]:
        """Detections of a batch.

        Args:
            inputs: Features ``(C, T_i)`` of each video.
            data_samples: Data samples, see
                :func:`~sola_plugin.heads.shared.proposals.covered_span` for the meta information.

        Returns:
            For each video ``dict(video_name=str, proposal_list=[dict(score, segment, label)])``,
            seconds, best first; without ``label`` where the model has no classes.
        """
        return self.detections(self.candidates(inputs), data_samples)
