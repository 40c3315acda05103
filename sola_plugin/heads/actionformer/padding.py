"""The padding of the published ActionFormers, whose values reach the last points of a video."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

#: Whose code, and whether its activations are left in the padding.
_ACTIVATIONS = {'authors': True, 'opentad': False}


@dataclasses.dataclass(frozen=True)
class Padding:
    """Which padding is read by the layers, and what they leave in it.

    The published code pads every video with zeros and clears the padding behind convolutions,
    attention and blocks; layer norms then put their biases there, and the next convolution reads
    them. In the authors' code the activations of projection and heads stay there as well.

    Attributes:
        inside: Bool ``(N, T)``, true at the snippets of a video and its own padding. Behind it,
            zeros are read.
        activations: Whether ReLUs of projection and heads leave their values in the padding.
        lengths: Length of each video with its padding, on level 0.
    """

    inside: Tensor
    activations: bool
    lengths: tuple[int, ...]

    def every(self, stride: int) -> Padding:
        """That of a level with every so many positions."""
        return dataclasses.replace(self, inside=self.inside[:, ::stride])


class PublishedPadding:
    """How the published code pads, for the weights that were trained with it.

    Args:
        code: Whose: ``'authors'`` (happyharrycn/actionformer_release) or ``'opentad'``.
        length: Shorter videos are padded to so many snippets, ``max_seq_len`` there; longer ones to
            a multiple of the widest attention window of a level, in snippets.
        windows: Attention window of every level, see
            :class:`~sola_plugin.heads.actionformer.pyramid.TransformerPyramid`.

    Raises:
        ValueError: The code is another one, or ``length`` is not a multiple of every level's
            window.
    """

    def __init__(self, code: str, length: int, windows: Sequence[int | None]) -> None:
        if code not in _ACTIVATIONS:
            raise ValueError(f'padding of {code!r}: expected one of {sorted(_ACTIVATIONS)}')
        strides = [
            2**level * (window // 2 * 2 if window is not None and window > 1 else 1)
            for level, window in enumerate(windows)
        ]
        wrong = [stride for stride in strides if length < 1 or length % stride]
        if wrong:
            raise ValueError(
                f'padding to length={length}: expected a multiple of {wrong[0]}, stride times '
                'window of a level, as max_seq_len is in the published code'
            )
        self.code = code
        self.length = length
        self.multiple = max(strides)
        # Of the padding, a level's last point reads one position; more than that is not computed.
        self.margin = 2 * 2 ** (len(windows) - 1)

    def padded_length(self, length: int) -> int:
        """Length of a video with its padding.

        >>> PublishedPadding('authors', 24, [5, 5]).padded_length(25)
        32
        """
        return self.length if length <= self.length else -(-length // self.multiple) * self.multiple

    def __call__(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Padding]:
        """Pad a batch.

        Args:
            x: ``(N, C, T)``.
            mask: Bool ``(N, T)``, true where a snippet is real.

        Returns:
            ``(N, C, T')``, zero in the padding, its mask, and what of the padding is read.
        """
        real = mask.sum(1).tolist()
        lengths = tuple(map(self.padded_length, real))
        size = min(max(lengths), max(real) + self.margin)
        x = torch.nn.functional.pad(x * mask[:, None], (0, size - x.shape[2]))
        mask = torch.nn.functional.pad(mask, (0, size - mask.shape[1]))
        position = torch.arange(size, device=x.device)
        inside = position < torch.tensor(lengths, device=x.device)[:, None]
        return x, mask, Padding(inside, _ACTIVATIONS[self.code], lengths)
