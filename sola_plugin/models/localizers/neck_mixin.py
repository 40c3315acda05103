"""Neck support for the localizers of mmaction2."""
from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..layers import pad_features, resize_features
from ..postprocessing import covered_span, gaussian_decay
from ..pretraining import SimilarityMatcher
from .sliding_windows import SlidingWindows


class NeckMixin(nn.Module):
    """What happens before a localizer's own forward; stands before it in the base classes::

        features (C, T_i) of each video ─ pad + mask ─ neck ─ resize to temporal_dim ─ localizer
                                                              or windows

    The neck sees the features at their native stride. Without a neck, and with features that have
    ``temporal_dim`` snippets already, the localizer gets the very inputs that it would get from
    mmaction2. A localizer for videos of any length has no ``temporal_dim`` and gets each at its own.
    """

    neck: BaseModule | None
    predictor: nn.Module | None
    #: Channels of the features.
    feat_dim: int
    #: Cells to which the features of a video are resized; ``None``: they stay as they are.
    cells: int | None
    windows: SlidingWindows | None

    # Of the localizers that make proposals from maps.
    soft_nms_alpha: float
    soft_nms_low_threshold: float
    soft_nms_high_threshold: float
    post_process_top_k: int
    feature_extraction_interval: int

    def add_neck(self, neck: dict | None, feat_dim: int, temporal_dim: int | None,
                 similarity_matching: dict | None = None, windows: dict | None = None) -> None:
        """Build the neck; to be called at the end of the localizer's ``__init__``.

        Args:
            neck: Config; ``in_channels`` is filled in with ``feat_dim``.
            feat_dim: Channels of the features.
            temporal_dim: Number of cells that the localizer expects; ``None``: any.
            similarity_matching: Arguments of :class:`SimilarityMatcher` for training with similarity
                matching as an auxiliary loss ("joint"), and its ``weight`` (default 1).
            windows: ``stride`` and other arguments of
                :class:`~sola_plugin.models.localizers.sliding_windows.SlidingWindows`, for windows of
                ``temporal_dim`` snippets instead of a resize. The localizer's soft-NMS is then that of
                the proposals of all windows of a video.

        Raises:
            ValueError: The neck has other channels than the features, or there is no neck to match.
        """
        self.feat_dim = feat_dim
        self.cells = temporal_dim if windows is None else None
        self.windows = None if windows is None else self._sliding_windows(temporal_dim, windows)
        self.neck = self.predictor = None
        self._matcher: list[SimilarityMatcher] = []
        if neck is not None:
            neck = {'in_channels': feat_dim, **neck}
            if neck['in_channels'] != feat_dim:
                raise ValueError(f'the neck has in_channels={neck["in_channels"]}, the localizer '
                                 f'expects {feat_dim} channels: leave in_channels out')
            self.neck = MODELS.build(neck)
        if similarity_matching is not None:
            if self.neck is None:
                raise ValueError('similarity_matching needs a neck: add neck=dict(type=\'SoLa\')')
            options = dict(similarity_matching)
            self._weight = options.pop('weight', 1.0)
            matcher = SimilarityMatcher(self.neck, **options)
            self.predictor = matcher.predictor
            # In a list the matcher is no submodule: the checkpoint has the neck's weights once.
            self._matcher = [matcher]

    def init_weights(self) -> None:
        """Initialise the localizer as mmaction2 does, then the neck (its ``init_cfg``)."""
        super().init_weights()  # type: ignore[misc]
        if self.neck is not None and not self.neck.is_init:
            self.neck.init_weights()

    def extract_features(self, inputs: Sequence[Tensor],
                         data_samples: Sequence | None) -> Sequence[Tensor]:
        """Pad, apply the neck, and resize or cut off the padding.

        Args:
            inputs: Features ``(C, T_i)`` of each video.
            data_samples: Their data samples, for the names in error messages.

        Returns:
            ``(C, temporal_dim)`` or ``(C, T_i)`` of each video.

        Raises:
            ValueError: A video has features of another number of channels.
        """
        for index, video in enumerate(inputs):
            if video.dim() != 2 or video.shape[0] != self.feat_dim:
                name = data_samples[index].metainfo.get('video_name') if data_samples else index
                raise ValueError(
                    f'features of {name!r} are {tuple(video.shape)}, the localizer expects '
                    f'({self.feat_dim}, T): set feat_dim to the channels of the features, or layout '
                    'of the dataset if the axes are exchanged')
        x, mask = pad_features(inputs)
        if self.neck is not None:
            x = self.neck(x, mask)
        if self.cells is not None:
            return resize_features(x, self.cells, mask).unbind()
        return [features[:, :video.shape[1]] for features, video in zip(x, inputs)]

    def forward(self, inputs: Sequence[Tensor], data_samples: Sequence | None = None,
                mode: str = 'tensor', **kwargs):
        """The localizer's forward on features that went through the neck.

        Args:
            inputs: Features ``(C, T_i)`` of each video, any lengths.
            data_samples: Data samples of the videos.
            mode: ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            What the localizer returns; in mode ``'loss'`` with ``loss_similarity`` added when
            similarity matching is an auxiliary loss.
        """
        features = self.extract_features(inputs, data_samples)
        if self.windows is not None:
            if mode == 'predict':
                return self._predict_windows(self.windows, features, data_samples or (), **kwargs)
            features, data_samples = self.windows.training_windows(features, data_samples)
        outputs = super().forward(features, data_samples, mode, **kwargs)
        if mode == 'loss' and self._matcher:
            outputs['loss_similarity'] = self._weight * self._similarity_loss(inputs)
        return outputs

    def _sliding_windows(self, length: int | None, windows: dict) -> SlidingWindows:
        """Take over the localizer's soft-NMS; a window gives all of its proposals, undecayed."""
        assert length is not None
        decay = gaussian_decay(self.soft_nms_alpha, self.soft_nms_low_threshold,
                               self.soft_nms_high_threshold)
        top_k = self.post_process_top_k
        self.soft_nms_low_threshold = self.soft_nms_high_threshold = 1.
        self.post_process_top_k = sys.maxsize
        return SlidingWindows(length=length, decay=decay, top_k=top_k, **windows)

    def _predict_windows(self, windows: SlidingWindows, features: Sequence[Tensor],
                         data_samples: Sequence, **kwargs) -> list[dict]:
        """Predict the windows of each video, and merge what they give."""
        merged = []
        for video, sample in zip(features, data_samples):
            span, duration = covered_span(sample.metainfo, self.feature_extraction_interval)
            results: list[dict] = []
            for batch, samples in windows.test_batches(video, sample, span, duration):
                results += super().forward(batch, samples, 'predict', **kwargs)
            merged.append(windows.merge(results, duration))
        return merged

    def _similarity_loss(self, inputs: Sequence[Tensor]) -> Tensor:
        """Similarity matching of one random window of every video that is long enough."""
        matcher = self._matcher[0]
        windows = []
        for video in inputs:
            room = video.shape[1] - matcher.window
            if room >= 0:
                start = int(torch.randint(room + 1, ()))
                windows.append(video[:, start:start + matcher.window])
        if not windows:
            return inputs[0].new_zeros(())
        matcher.target = matcher.target.to(inputs[0].device)
        return matcher(torch.stack(windows))['loss']
