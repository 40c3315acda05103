"""Trivial necks that stand where SoLa stands: smoothing and standardisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .neck import Neck


@MODELS.register_module()
class TemporalSmoothing(Neck):
    """Average every snippet with its neighbours. No weights.

    Args:
        in_channels: Not used; accepted so that it can stand where a :class:`SoLa` stands.
        kernel_size: Number of snippets averaged, odd. At the ends of a video the average is over
            the snippets that there are.

    Example:
        >>> import torch
        >>> TemporalSmoothing(kernel_size=3)(torch.tensor([[[0., 3., 6., 9.]]]))
        tensor([[[1.5000, 3.0000, 6.0000, 7.5000]]])
    """

    def __init__(self, in_channels: int | None = None, kernel_size: int = 3) -> None:
        super().__init__(in_channels)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f'TemporalSmoothing expects an odd kernel_size, got {kernel_size}')
        self.kernel_size = kernel_size
        self.receptive_radius = kernel_size // 2

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Smooth features.

        Args:
            x: Features ``(N, C, T)``.
            mask: Bool ``(N, T)``, true where a snippet is real.

        Returns:
            Tensor ``(N, C, T)``; padded positions are zero.
        """
        real = (x.new_ones(x.shape[0], x.shape[2]) if mask is None else mask.to(x.dtype))[:, None]
        window, pad = self.kernel_size, self.kernel_size // 2
        total = F.avg_pool1d(x * real, window, stride=1, padding=pad)
        count = F.avg_pool1d(real, window, stride=1, padding=pad)
        return total / torch.where(real > 0, count, torch.ones_like(count)) * real


@MODELS.register_module()
class Standardization(Neck):
    """Give every channel mean 0 and variance 1 over the training snippets.

    Nothing is learnt by gradient. Features of a classifier often share one large mean vector, which
    similarity matching removes as well; this neck shows how much of a gain is due to that. The
    statistics are those of the batch in training, and their average over all training batches in
    testing (a batch normalisation without weights). A batch of a single snippet has no statistics:
    it is standardised by those of the batches before it, and does not count.

    Args:
        in_channels: C. ``None`` is filled in by the localizer from its ``feat_dim``.

    Raises:
        ValueError: ``in_channels`` is missing.
    """

    receptive_radius = 0

    def __init__(self, in_channels: int | None = None) -> None:
        super().__init__(in_channels)
        if in_channels is None:
            raise ValueError(
                'Standardization needs in_channels, the number of channels of the features'
            )
        self.norm = nn.BatchNorm1d(in_channels, affine=False, momentum=None)

    def restart(self) -> None:
        """Let the next batch of training replace the statistics, which are used until then."""
        assert self.norm.num_batches_tracked is not None
        self.norm.num_batches_tracked.zero_()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Standardise features.

        Args:
            x: Features ``(N, C, T)``.
            mask: Bool ``(N, T)``, true where a snippet is real.

        Returns:
            Tensor ``(N, C, T)``; padded positions are zero and do not count in the statistics.
        """
        if mask is None:
            return self._standardised(x)
        snippets = x.transpose(1, 2)
        y = torch.zeros_like(snippets)
        y[mask] = self._standardised(snippets[mask])
        return y.transpose(1, 2)

    def _standardised(self, x: Tensor) -> Tensor:
        """Standardise ``(N, C)`` or ``(N, C, T)``."""
        if x.numel() <= self.norm.num_features:  # BatchNorm refuses one snippet in training
            mean, variance = self.norm.running_mean, self.norm.running_var
            return F.batch_norm(x, mean, variance, eps=self.norm.eps)
        return self.norm(x)
