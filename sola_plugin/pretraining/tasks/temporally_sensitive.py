"""Temporally-sensitive supervised pretext task, after TSP.

Alwassel et al., TSP: Temporally-Sensitive Pretraining of Video Encoders for Localization Tasks,
ICCVW 2021, https://arxiv.org/abs/2011.11479.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from sola_plugin.pretraining.losses import at_least_float32
from sola_plugin.segments import BACKGROUND

from .pretext import Pretext


@MODELS.register_module()
class TemporallySensitive(Pretext):
    """Classify labelled snippets: foreground or background, and the class of the foreground.

    It uses labels; similarity matching does not. The region classifier also sees a summary of the
    window, as TSP's sees a summary of the video::

        window (B, C, T) ─ neck ─┬─ every snippet ─ class of action (foreground only)
                                 └─ every snippet, and the maximum over the window
                                                               ─ foreground or background

    Differences from TSP: the neck behind a frozen encoder is trained instead of the encoder; the
    summary is the maximum of the neck's output over the window, TSP's that of a fixed encoder over
    the whole video.

    Args:
        neck: See :class:`~.pretext.Pretext`.
        num_classes: Number of action classes.
        window: Snippets in a window.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        ValueError: ``num_classes`` is below 1.
    """

    uses_labels = True

    def __init__(
        self,
        neck: dict | nn.Module,
        num_classes: int,
        window: int = 23,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(neck, window, num_classes=num_classes, init_cfg=init_cfg)
        if num_classes < 1:
            raise ValueError(f'num_classes is {num_classes}, expected at least 1')
        self.num_classes = num_classes
        self.classify_action = nn.Linear(self.channels, num_classes)
        self.classify_region = nn.Linear(2 * self.channels, 2)

    def loss(self, inputs: Tensor, *labels: Tensor) -> dict[str, Tensor]:
        """Cross entropies of region and class.

        Args:
            inputs: Windows ``(B, C, window)``.
            labels: Class of every snippet, :data:`BACKGROUND` outside of actions, int64 ``(B,
                window)``.

        Returns:
            ``loss_region``, ``loss_action`` (0 without foreground), and ``accuracy`` of the region.

        Raises:
            ValueError: There are no labels, or one is not a class.
        """
        if not labels or labels[0].shape != inputs[:, 0].shape:
            got = tuple(labels[0].shape) if labels else 'none'
            raise ValueError(
                'TemporallySensitive needs a label for every snippet, '
                f'{tuple(inputs[:, 0].shape)}, got {got}: give SoLaWindowDataset labels=True'
            )
        label = labels[0]
        if label.max() >= self.num_classes or label.min() < BACKGROUND:
            raise ValueError(
                f'labels are {int(label.min())} to {int(label.max())}, expected {BACKGROUND} '
                f'(background) to {self.num_classes - 1}: set num_classes'
            )
        snippets = self.neck(inputs).transpose(1, 2)
        summary = snippets.amax(dim=1, keepdim=True).expand_as(snippets)
        region = at_least_float32(self.classify_region(torch.cat([snippets, summary], dim=2)))
        foreground = label != BACKGROUND
        action = at_least_float32(self.classify_action(snippets[foreground]))
        # A mean over no snippets is NaN; the sum keeps the classifier in the graph for distributed
        # training.
        loss_action = F.cross_entropy(action, label[foreground]) if len(action) else action.sum()
        return dict(
            loss_region=F.cross_entropy(region.flatten(0, 1), foreground.flatten().long()),
            loss_action=loss_action,
            accuracy=(region.argmax(dim=2) == foreground).float().mean(),
        )
