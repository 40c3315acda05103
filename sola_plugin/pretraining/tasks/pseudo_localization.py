"""Pseudo action localization, after PAL.

Zhang et al., Unsupervised Pre-training for Temporal Action Localization Tasks, CVPR 2022,
https://arxiv.org/abs/2203.13609.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from sola_plugin.pretraining.losses import at_least_float32

from .pretext import Pretext


@MODELS.register_module()
class PseudoActionLocalization(Pretext):
    """Recognise a piece of a video after it was pasted into two other videos.

    The piece is a pseudo action. Its representation in the one paste must be nearer to that in the
    other paste than to those of the other pieces of the batch (InfoNCE in both directions)::

        piece of window i ─ into window i-1 at s ─ neck ─ mean over piece ─ projector ─ unit ─┐
        at another speed  └ into window i-2 at t ─ neck ─ mean over piece ─ projector ─ unit ─┴─

    Differences from PAL: features of a frozen encoder are pasted instead of frames, and
    interpolated for another speed; the negatives are the other pieces of the batch, without
    momentum encoder and queue.

    Args:
        neck: See :class:`~.pretext.Pretext`.
        window: Snippets in a window.
        piece: Shortest and longest piece, in snippets.
        speed: Slowest and fastest speed of the second paste; the first has speed 1.
        projector_channels: Width of the projector, thrown away afterwards.
        temperature: Of InfoNCE.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        ValueError: A piece does not fit into a window, or a speed or the temperature is not
            positive.
    """

    def __init__(
        self,
        neck: dict | nn.Module,
        window: int = 32,
        piece: tuple[int, int] = (6, 16),
        speed: tuple[float, float] = (0.5, 2.0),
        projector_channels: int = 128,
        temperature: float = 0.1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            neck,
            window,
            piece=tuple(piece),
            speed=tuple(speed),
            projector_channels=projector_channels,
            temperature=temperature,
            init_cfg=init_cfg,
        )
        if not 1 <= piece[0] <= piece[1] <= window or temperature <= 0:
            raise ValueError(
                f'piece={tuple(piece)}, window={window}, temperature={temperature}: expected '
                '1 <= shortest <= longest <= window, and temperature > 0'
            )
        if not 0 < speed[0] <= speed[1]:
            raise ValueError(f'speed={tuple(speed)}: expected 0 < slowest <= fastest')
        self.piece = tuple(piece)
        self.speed = tuple(speed)
        self.temperature = temperature
        self.projector = nn.Sequential(
            nn.Linear(self.channels, projector_channels),
            nn.ReLU(inplace=True),
            nn.Linear(projector_channels, projector_channels),
        )

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
            raise ValueError(
                f'PseudoActionLocalization needs batches of at least 3 windows, got {batch}'
            )
        lengths = torch.randint(self.piece[0], self.piece[1] + 1, (batch,), device=inputs.device)
        low, high = map(math.log, self.speed)
        speed = torch.exp(low + (high - low) * torch.rand(batch, device=inputs.device))
        resized = (((lengths - 1) / speed).round().long() + 1).clamp(max=self.window)
        source = self._places(lengths)
        one = self._represent(inputs, inputs.roll(1, 0), source, lengths, lengths)
        two = self._represent(inputs, inputs.roll(2, 0), source, lengths, resized)
        similarity = one @ two.T / self.temperature
        same = torch.arange(batch, device=inputs.device)
        loss = (F.cross_entropy(similarity, same) + F.cross_entropy(similarity.T, same)) / 2
        return dict(loss=loss, accuracy=(similarity.argmax(dim=1) == same).float().mean())

    def _places(self, lengths: Tensor) -> Tensor:
        """Random first snippets of pieces inside a window."""
        return (
            torch.rand(len(lengths), device=lengths.device) * (self.window - lengths + 1)
        ).long()

    def _represent(
        self, windows: Tensor, backgrounds: Tensor, source: Tensor, lengths: Tensor, resized: Tensor
    ) -> Tensor:
        """Unit vectors ``(B, projector_channels)`` of the pieces inside their backgrounds."""
        pasted, mask = paste(windows, backgrounds, source, lengths, self._places(resized), resized)
        adapted = self.neck(pasted)
        weight = mask[:, None].to(adapted.dtype)
        mean = (adapted * weight).sum(dim=2) / resized[:, None]
        return F.normalize(at_least_float32(self.projector(mean)), dim=1)


def paste(
    windows: Tensor,
    backgrounds: Tensor,
    source: Tensor,
    lengths: Tensor,
    start: Tensor,
    resized: Tensor,
) -> tuple[Tensor, Tensor]:
    """Paste a piece of every window into its background, resized by linear interpolation.

    Args:
        windows: Where the pieces come from, ``(B, C, T)``.
        backgrounds: ``(B, C, T)``.
        source: First snippet of the piece in its window ``(B,)``.
        lengths: Snippets of the piece in its window ``(B,)``.
        start: First snippet of the piece in the background ``(B,)``.
        resized: Snippets of the piece in the background ``(B,)``; its first and last snippet are
            those of the piece.

    Returns:
        Pasted features ``(B, C, T)``, and where the piece is, bool ``(B, T)``.

    Example:
        >>> window, background = torch.arange(6.)[None, None], -torch.ones(1, 1, 6)
        >>> pasted, mask = paste(window, background, *(torch.tensor([n]) for n in (3, 2, 1, 3)))
        >>> pasted.tolist(), mask.int().tolist()
        ([[[-1.0, 3.0, 3.5, 4.0, -1.0, -1.0]]], [[0, 1, 1, 1, 0, 0]])
    """
    last = windows.shape[2] - 1
    offset = torch.arange(last + 1, device=windows.device) - start[:, None]
    mask = (offset >= 0) & (offset < resized[:, None])
    speed = (lengths - 1) / (resized - 1).clamp(min=1)
    position = (source[:, None] + offset * speed[:, None]).clamp(0, last)
    lower = position.long()
    weight = (position - lower)[:, None].to(windows.dtype)
    before, after = (
        windows.gather(2, index.clamp(max=last)[:, None].expand(-1, windows.shape[1], -1))
        for index in (lower, lower + 1)
    )
    return torch.where(mask[:, None], before + weight * (after - before), backgrounds), mask
