"""Neck support for the localizers of mmaction2."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..layers import pad_features, resize_features
from ..pretraining import SimilarityMatcher


class NeckMixin(nn.Module):
    """What happens before a localizer's own forward; stands before it in the base classes::

        features (C, T_i) of each video ─ pad + mask ─ neck ─ resize to temporal_dim ─ localizer

    The neck sees the features at their native stride. Without a neck, and with features that have
    ``temporal_dim`` snippets already, the localizer gets the very inputs that it would get from
    mmaction2.
    """

    neck: BaseModule | None
    predictor: nn.Module | None

    def add_neck(self, neck: dict | None, feat_dim: int, temporal_dim: int,
                 similarity_matching: dict | None = None) -> None:
        """Build the neck; to be called at the end of the localizer's ``__init__``.

        Args:
            neck: Config; ``in_channels`` is filled in with ``feat_dim``.
            feat_dim: Channels of the features.
            temporal_dim: Number of cells that the localizer expects.
            similarity_matching: Arguments of :class:`SimilarityMatcher` for training with similarity
                matching as an auxiliary loss ("joint"), and its ``weight`` (default 1).

        Raises:
            ValueError: The neck has other channels than the features, or there is no neck to match.
        """
        self._channels = feat_dim
        self._cells = temporal_dim
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

    def extract_features(self, inputs: Sequence[Tensor], data_samples: Sequence | None) -> Tensor:
        """Pad, apply the neck and resize.

        Args:
            inputs: Features ``(C, T_i)`` of each video.
            data_samples: Their data samples, for the names in error messages.

        Returns:
            Tensor ``(N, C, temporal_dim)``.

        Raises:
            ValueError: A video has features of another number of channels.
        """
        for index, video in enumerate(inputs):
            if video.dim() != 2 or video.shape[0] != self._channels:
                name = data_samples[index].metainfo.get('video_name') if data_samples else index
                raise ValueError(
                    f'features of {name!r} are {tuple(video.shape)}, the localizer expects '
                    f'({self._channels}, T): set feat_dim to the channels of the features, or layout '
                    'of the dataset if the axes are exchanged')
        x, mask = pad_features(inputs)
        if self.neck is not None:
            x = self.neck(x, mask)
        return resize_features(x, self._cells, mask)

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
        outputs = super().forward(features.unbind(), data_samples, mode, **kwargs)
        if mode == 'loss' and self._matcher:
            outputs['loss_similarity'] = self._weight * self._similarity_loss(inputs)
        return outputs

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
