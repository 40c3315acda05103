"""Pseudo action localization, after PAL (Zhang et al., Unsupervised Pre-training for Temporal Action
Localization Tasks, CVPR 2022, https://arxiv.org/abs/2203.13609)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..losses.precision import at_least_float32
from .pretext import Pretext


@MODELS.register_module()
class PseudoActionLocalization(Pretext):
    """Recognise a piece of a video after it was pasted into two other videos.

    The piece is a pseudo action. Its representation in the one paste must be nearer to that in the other
    paste than to those of the other pieces of the batch (InfoNCE in both directions)::

        piece of window i ─ into window i-1 at s ─ neck ─ mean over the piece ─ projector ─ unit vector ─┐
                          └ into window i-2 at t ─ neck ─ mean over the piece ─ projector ─ unit vector ─┴─

    Differences from PAL: features of a frozen encoder are pasted instead of frames; the piece keeps its
    speed in both pastes; the negatives are the other pieces of the batch, without momentum encoder and queue.

    Args:
        neck: See :class:`~.pretext.Pretext`.
        window: Snippets in a window.
        piece: Shortest and longest piece, in snippets.
        projector_channels: Width of the projector, thrown away afterwards.
        temperature: Of InfoNCE.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        ValueError: A piece does not fit into a window, or the temperature is not positive.
    """

    def __init__(self, neck: dict | nn.Module, window: int = 32, piece: tuple[int, int] = (6, 16),
                 projector_channels: int = 128, temperature: float = 0.1,
                 init_cfg: dict | None = None) -> None:
        super().__init__(neck, window, piece=tuple(piece), projector_channels=projector_channels,
                         temperature=temperature, init_cfg=init_cfg)
        if not 1 <= piece[0] <= piece[1] <= window or temperature <= 0:
            raise ValueError(f'piece={tuple(piece)}, window={window}, temperature={temperature}: expected '
                             '1 <= shortest <= longest <= window, and temperature > 0')
        self.piece = tuple(piece)
        self.temperature = temperature
        self.projector = nn.Sequential(
            nn.Linear(self.channels, projector_channels), nn.ReLU(inplace=True),
            nn.Linear(projector_channels, projector_channels))

    def loss(self, inputs: Tensor, *labels: Tensor) -> dict[str, Tensor]:
        """InfoNCE between the two pastes.

        Args:
            inputs: Windows ``(B, C, window)``, B >= 3, each of another video where possible.

        Returns:
            ``loss``, and ``accuracy``: how often a piece is nearest to itself.

        Raises:
            ValueError: The batch has fewer than 3 windows.
        """
        batch = len(inputs)
        if batch < 3:
            raise ValueError(f'PseudoActionLocalization needs batches of at least 3 windows, got {batch}')
        lengths = torch.randint(self.piece[0], self.piece[1] + 1, (batch,), device=inputs.device)
        places = torch.rand(3, batch, device=inputs.device) * (self.window - lengths + 1)
        source, first, second = places.long()
        one = self._represent(inputs, inputs.roll(1, 0), source, first, lengths)
        two = self._represent(inputs, inputs.roll(2, 0), source, second, lengths)
        similarity = one @ two.T / self.temperature
        same = torch.arange(batch, device=inputs.device)
        loss = (F.cross_entropy(similarity, same) + F.cross_entropy(similarity.T, same)) / 2
        return dict(loss=loss, accuracy=(similarity.argmax(dim=1) == same).float().mean())

    def _represent(self, windows: Tensor, backgrounds: Tensor, source: Tensor, start: Tensor,
                   lengths: Tensor) -> Tensor:
        """Unit vectors ``(B, projector_channels)`` of the pieces inside their backgrounds."""
        pasted, mask = paste(windows, backgrounds, source, start, lengths)
        adapted = self.neck(pasted)
        weight = mask[:, None].to(adapted.dtype)
        mean = (adapted * weight).sum(dim=2) / lengths[:, None]
        return F.normalize(at_least_float32(self.projector(mean)), dim=1)


def paste(windows: Tensor, backgrounds: Tensor, source: Tensor, start: Tensor,
          lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Paste a piece of every window into its background.

    Args:
        windows: Where the pieces come from, ``(B, C, T)``.
        backgrounds: ``(B, C, T)``.
        source: First snippet of the piece in its window ``(B,)``.
        start: First snippet of the piece in the background ``(B,)``.
        lengths: Snippets of the piece ``(B,)``; it fits into both.

    Returns:
        Pasted features ``(B, C, T)``, and where the piece is, bool ``(B, T)``.

    Example:
        >>> window, background = torch.arange(6.)[None, None], -torch.ones(1, 1, 6)
        >>> pasted, mask = paste(window, background, *(torch.tensor([n]) for n in (3, 1, 2)))
        >>> pasted.int().tolist(), mask.int().tolist()
        ([[[-1, 3, 4, -1, -1, -1]]], [[0, 1, 1, 0, 0, 0]])
    """
    time = torch.arange(windows.shape[2], device=windows.device)
    offset = time - start[:, None]
    mask = (offset >= 0) & (offset < lengths[:, None])
    index = (source[:, None] + offset).clamp(0, windows.shape[2] - 1)
    pieces = windows.gather(2, index[:, None].expand(-1, windows.shape[1], -1))
    return torch.where(mask[:, None], pieces, backgrounds), mask
