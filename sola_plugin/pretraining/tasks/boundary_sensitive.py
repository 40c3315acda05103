"""Boundary-sensitive pretext task, after BSP.

Xu et al., Boundary-Sensitive Pre-Training for Temporal Localization in Videos, ICCV 2021,
https://arxiv.org/abs/2011.10830.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .pretext import Pretext

#: Kinds of boundary, in the order of their numbers.
KINDS = ('none', 'other video', 'same video', 'speed')


@MODELS.register_module()
class BoundarySensitive(Pretext):
    """Tell which kind of boundary was put into a window of unlabelled features.

    A window of ``2 L`` snippets becomes a clip of L with a cut in it::

        none          a a a a a a a a      the first half of the window
        other video   a a a a b b b b      another video goes on after the cut
        same video    a a a a a'a'a'a'     the same video, L snippets later, goes on after the cut
        speed         a a a a a a a a      after the cut every second snippet only

    Differences from BSP: it cuts and pastes frames and trains the encoder with it, here the
    features of a frozen encoder are cut; it takes trimmed clips of labelled classes, so that its
    kinds are other class and same class, here nothing is labelled and the kinds are other video and
    same video.

    Args:
        neck: See :class:`~.pretext.Pretext`.
        window: Snippets in a window, ``2 L``; even.
        margin: Snippets that a cut stays away from the ends of the clip.
        hidden_channels: Of the classifier of the kind.
        init_cfg: See mmengine's ``BaseModule``.

    Raises:
        ValueError: The window is not even, or leaves no room for a cut.
    """

    def __init__(
        self,
        neck: dict | nn.Module,
        window: int = 46,
        margin: int = 6,
        hidden_channels: int = 128,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            neck, window, margin=margin, hidden_channels=hidden_channels, init_cfg=init_cfg
        )
        if window % 2 or margin < 1 or window // 2 < 2 * margin:
            raise ValueError(
                f'window={window}, margin={margin}: expected an even window of at least '
                '4 * margin snippets, and margin >= 1'
            )
        self.margin = margin
        self.embed = nn.Linear(self.channels, hidden_channels)
        self.classify = nn.Linear(hidden_channels, len(KINDS))

    def loss(self, inputs: Tensor, *labels: Tensor) -> dict[str, Tensor]:
        """Cross entropy of the kind of boundary.

        Args:
            inputs: Windows ``(B, C, 2 L)``, B >= 2, each of another video where possible.

        Returns:
            ``loss``, and ``accuracy`` of the kind.

        Raises:
            ValueError: The batch has one window only.
        """
        if len(inputs) < 2:
            raise ValueError('BoundarySensitive needs batches of at least 2 windows, got 1')
        length = self.window // 2
        kinds = torch.randint(len(KINDS), (len(inputs),), device=inputs.device)
        cuts = torch.randint(
            self.margin, length - self.margin + 1, (len(inputs),), device=inputs.device
        )
        clips = self.neck(cut_and_paste(inputs, inputs.roll(1, 0), kinds, cuts))
        # A boundary is seen by a few snippets: the maximum over time finds them.
        hidden = F.relu(self.embed(clips.transpose(1, 2))).amax(dim=1)
        scores = self.classify(hidden)
        accuracy = (scores.argmax(dim=1) == kinds).float().mean()
        return dict(loss=F.cross_entropy(scores.float(), kinds), accuracy=accuracy)


def cut_and_paste(windows: Tensor, others: Tensor, kinds: Tensor, cuts: Tensor) -> Tensor:
    """Make clips with a known kind of boundary.

    Args:
        windows: ``(B, C, 2 L)``.
        others: As many windows of other videos ``(B, C, 2 L)``.
        kinds: Numbers of :data:`KINDS`, ``(B,)``.
        cuts: First snippet after the cut ``(B,)``, in ``[1, L)``.

    Returns:
        Clips ``(B, C, L)``.

    Example:
        >>> window = torch.arange(8.)[None, None]
        >>> for kind in range(4):
        ...     pasted = cut_and_paste(window, window + 10, torch.tensor([kind]), torch.tensor([2]))
        ...     pasted.int().tolist()
        [[[0, 1, 2, 3]]]
        [[[0, 1, 12, 13]]]
        [[[0, 1, 6, 7]]]
        [[[0, 1, 3, 5]]]
    """
    length = windows.shape[2] // 2
    time = torch.arange(length, device=windows.device)
    after = (time - cuts[:, None]).clamp(min=0)
    kinds = kinds[:, None]
    index = time + torch.where(
        kinds == KINDS.index('same video'), length * (time >= cuts[:, None]), 0
    )
    # From the cut on, two snippets on for every one: the step across the cut is a double one
    # already.
    index = index + torch.where(
        (kinds == KINDS.index('speed')) & (time >= cuts[:, None]), after + 1, 0
    )
    index = index.clamp(max=windows.shape[2] - 1)[:, None].expand(-1, windows.shape[1], -1)
    from_other = (kinds == KINDS.index('other video')) & (time >= cuts[:, None])
    return torch.where(from_other[:, None], others.gather(2, index), windows.gather(2, index))
