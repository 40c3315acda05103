"""Neck support for localizers: pad, neck, resize or windows."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from sola_plugin.necks.context import apply_in_context
from sola_plugin.pretraining.tasks import SimilarityMatcher

from .outputs import naming_video
from .sliding_windows import SlidingWindows


def pad_features(features: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Make one batch of the features of several videos.

    Args:
        features: One ``(C, T_i)`` for each video.

    Returns:
        The batch ``(N, C, max T_i)``, zero where a video has ended, and its mask, bool
        ``(N, max T_i)``, true at real snippets; the mask is ``None`` when all lengths are equal.
    """
    lengths = [video.shape[1] for video in features]
    longest = max(lengths)
    if min(lengths) == longest:
        return torch.stack(list(features)), None
    batch = torch.stack([F.pad(video, (0, longest - video.shape[1])) for video in features])
    position = torch.arange(longest, device=batch.device)
    return batch, position < torch.tensor(lengths, device=batch.device)[:, None]


def resize_features(x: Tensor, size: int, mask: Tensor | None = None) -> Tensor:
    """Resize every video to the same number of cells, by linear interpolation.

    Snippets and cells are intervals that share their outer borders (``align_corners=False``), so
    that fractions of the video keep their meaning. A video of the right length is returned as it
    is.

    Args:
        x: Features ``(N, C, T)``.
        size: Number of cells.
        mask: Bool ``(N, T)``, see :func:`pad_features`; only real snippets are interpolated.

    Returns:
        Tensor ``(N, C, size)``.
    """
    if mask is None:
        return x if x.shape[2] == size else _interpolate(x, size)
    return torch.cat(
        [
            resize_features(video[None, :, :length], size)
            for video, length in zip(x, mask.sum(1).tolist())
        ]
    )


def _interpolate(x: Tensor, size: int) -> Tensor:
    """``F.interpolate``, whose gradient on a GPU PyTorch refuses among deterministic algorithms."""
    if not torch.are_deterministic_algorithms_enabled():
        return F.interpolate(x, size, mode='linear')
    last = x.shape[2] - 1
    position = (torch.arange(size, dtype=torch.float64) + 0.5) * (last + 1) / size - 0.5
    lower = position.clamp(0, last).long()
    upper, weight = (lower + 1).clamp(max=last), (position - lower).clamp(0, 1)
    below, above = (x.index_select(2, index.to(x.device)) for index in (lower, upper))
    kind = torch.promote_types(x.dtype, torch.float32)
    return torch.lerp(below.to(kind), above.to(kind), weight.to(x.device, kind)).to(x.dtype)


class NeckMixin(nn.Module):
    """What happens before a localizer's own forward; stands before it in the base classes.

    In a picture::

        features (C, T_i) of each video ─ pad + mask ─ neck ─ resize to temporal_dim ─ localizer
                                                              or windows

    The neck sees the features at their native stride. Without a neck, and with features that have
    ``temporal_dim`` snippets already, the localizer gets the very inputs that it would get from
    mmaction2. A localizer for videos of any length has no ``temporal_dim`` and gets each at its
    own.

    Attributes:
        channels: Channels C of the features that it takes.
        cells: Number of cells to which whole videos are resized; ``None``: they are not.
        windows: The windows into which videos are cut; ``None``: they are not.
    """

    neck: BaseModule | None
    predictor: nn.Module | None
    channels: int
    cells: int | None
    windows: SlidingWindows | None

    def add_neck(
        self,
        neck: dict | None,
        feat_dim: int,
        temporal_dim: int | None,
        similarity_matching: dict | None = None,
        windows: SlidingWindows | None = None,
    ) -> None:
        """Build the neck; to be called at the end of the localizer's ``__init__``.

        Args:
            neck: Config; ``in_channels`` is filled in with ``feat_dim``.
            feat_dim: Channels of the features.
            temporal_dim: Number of cells that the localizer expects; ``None``: any.
            similarity_matching: Arguments of :class:`SimilarityMatcher` for training with
                similarity matching as an auxiliary loss ("joint"), and its ``weight`` (default 1).
            windows: Windows instead of whole videos, for a localizer with :meth:`candidates` and
                :meth:`detections`.

        Raises:
            ValueError: The neck has other channels than the features, or there is no neck to match,
                or it has no weights.
        """
        self.channels = feat_dim
        self.cells = temporal_dim if windows is None else None
        self.windows = windows
        self.neck = self.predictor = None
        self._matcher: list[SimilarityMatcher] = []
        if neck is not None:
            neck = {'in_channels': feat_dim, **neck}
            if neck['in_channels'] != feat_dim:
                raise ValueError(
                    f'the neck has in_channels={neck["in_channels"]}, the localizer '
                    f'expects {feat_dim} channels: leave in_channels out'
                )
            self.neck = MODELS.build(neck)
        if similarity_matching is not None:
            if self.neck is None:
                raise ValueError("similarity_matching needs a neck: add neck=dict(type='SoLa')")
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

    def extract_features(
        self, inputs: Sequence[Tensor], data_samples: Sequence | None
    ) -> Sequence[Tensor]:
        """Pad, apply the neck, and resize or cut off the padding.

        Args:
            inputs: Features ``(C, T_i)`` of each video.
            data_samples: Their data samples, for the names in error messages.

        Returns:
            ``(C, temporal_dim)`` or ``(C, T_i)`` of each video.

        Raises:
            ValueError: A video has features of another number of channels.
        """
        self._check_channels(inputs, data_samples)
        x, mask = pad_features(inputs)
        if self.neck is not None:
            x = self.neck(x, mask)
        if self.cells is not None:
            return resize_features(x, self.cells, mask).unbind()
        return [features[:, : video.shape[1]] for features, video in zip(x, inputs)]

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence | None = None,
        mode: str = 'tensor',
        **kwargs,
    ):
        """The localizer's forward on features that went through the neck.

        Args:
            inputs: Features ``(C, T_i)`` of each video, any lengths. With windows, in mode
                ``'predict'``, also arrays, or what has ``shape`` and slices ``[:, start:stop]`` as
                an array: no more than the windows of one batch is read at a time.
            data_samples: Data samples of the videos.
            mode: ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            What the localizer returns; in mode ``'loss'`` with ``loss_similarity`` added when
            similarity matching is an auxiliary loss.
        """
        if self.windows is not None and mode == 'predict':
            return self._predict_windows(self.windows, inputs, data_samples or ())
        features = self.extract_features(inputs, data_samples)
        if self.windows is not None and self.windows.fixed:
            features, data_samples = self.windows.training_windows(features, data_samples)
        with naming_video(type(self).__name__, data_samples or ()):
            outputs = super().forward(features, data_samples, mode, **kwargs)
        if mode == 'loss' and self._matcher:
            outputs['loss_similarity'] = self._weight * self._similarity_loss(inputs)
        return outputs

    def candidates(
        self, inputs: Sequence[Tensor], cores: Sequence | None = None
    ) -> list[np.ndarray]:
        """Proposals of a batch before suppression.

        Args:
            inputs: Features ``(C, T_i)`` of each video, or window, behind the neck.
            cores: :attr:`.Window.core` of each window; a head whose outputs belong to points of
                time gives those of the core only. ``None``: these are whole videos.

        Returns:
            ``(P_i, 3)`` or more columns for each: start and end as fractions of the input, score.
        """
        raise NotImplementedError

    def detections(self, candidates: Sequence[np.ndarray], data_samples: Sequence) -> list[dict]:
        """What the localizer predicts, from the proposals before suppression.

        Args:
            candidates: See :meth:`candidates`; those of the windows of a video one after the other,
                as fractions of the video.
            data_samples: Data samples of the videos.

        Returns:
            For each video ``dict(video_name=str, proposal_list=[dict(score, segment)])``.
        """
        raise NotImplementedError

    @torch.no_grad()
    def _predict_windows(
        self, windows: SlidingWindows, inputs: Sequence, data_samples: Sequence
    ) -> list[dict]:
        """Predict videos window by window."""
        self._check_channels(inputs, data_samples)
        found = []
        for index, video in enumerate(inputs):
            # Behind the window of a batch that it is about, the error is of this video.
            with naming_video(type(self).__name__, [data_samples[index]] * windows.batch_size):
                found.append(self._window_candidates(windows, video))
        return self.detections(found, data_samples)

    def _window_candidates(self, windows: SlidingWindows, video) -> np.ndarray:
        """Proposals of all windows of a video ``(C, T)``, as fractions of the video."""
        total = video.shape[1]
        parts = []
        for batch in windows.batches(total):
            start, stop = batch[0].start, min(batch[-1].stop, total)
            features = apply_in_context(
                self.neck, functools.partial(self._read, video), start, stop, total
            )
            inputs = windows.cut(features, batch, start)
            found = self.candidates(inputs, [window.core for window in batch])
            parts += [
                windows.place(proposals, window, total) for proposals, window in zip(found, batch)
            ]
        return np.concatenate(parts)

    def _read(self, video, start: int, stop: int) -> Tensor:
        """Snippets of a video ``(C, stop - start)`` on the localizer's device."""
        part = video[:, start:stop]
        if not isinstance(part, Tensor):
            part = torch.from_numpy(np.array(part, dtype=np.float32))
        return part.to(next(self.parameters()).device)

    def _check_channels(self, inputs: Sequence, data_samples: Sequence | None) -> None:
        for index, video in enumerate(inputs):
            if len(video.shape) != 2 or video.shape[0] != self.channels:
                name = data_samples[index].metainfo.get('video_name') if data_samples else index
                raise ValueError(
                    f'features of {name!r} are {tuple(video.shape)}, the localizer expects '
                    f'({self.channels}, T): set feat_dim to the channels of the features, or '
                    'layout '
                    'of the dataset if the axes are exchanged'
                )

    def _similarity_loss(self, inputs: Sequence[Tensor]) -> Tensor:
        """Similarity matching of one random window of every video that is long enough."""
        matcher = self._matcher[0]
        windows = []
        for video in inputs:
            room = video.shape[1] - matcher.window
            if room >= 0:
                start = int(torch.randint(room + 1, ()))
                windows.append(video[:, start : start + matcher.window])
        if not windows:
            # Distributed training waits for a gradient of every weight, from every rank.
            return torch.stack([weight.sum() for weight in matcher.parameters()]).sum() * 0
        for name, buffer in matcher.named_buffers(recurse=False):
            setattr(matcher, name, buffer.to(inputs[0].device))
        return torch.stack(list(matcher(torch.stack(windows)).values())).sum()
