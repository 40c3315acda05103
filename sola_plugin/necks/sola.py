"""SoLa neck.

Kang et al., Soft-Landing Strategy for Alleviating the Task Discrepancy Problem in Temporal Action
Localization Tasks, CVPR 2023, https://arxiv.org/abs/2211.06023.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .baselines import Standardization
from .neck import Neck


@MODELS.register_module()
class SoLa(Neck):
    """Light network between a frozen encoder and a TAL head.

    ``y = x + tanh(alpha) * f(x)``. ``alpha`` is zero at the start, so that SoLa starts as the
    identity::

        x ─┬─ Conv1d C→H, k1 ─ ReLU ─ Conv1d H→H, k2 ─ ReLU ─ Conv1d H→C, 1 ─ × tanh(alpha) ─┐
           └───────────────────────────────────────────────────────────────────────────── + ─ y

    Module names, hence state-dict keys, are those of the authors' code.

    Args:
        in_channels: C, channels of the features. ``None`` is filled in by the localizer from its
            ``feat_dim``.
        hidden_channels: H.
        kernel_sizes: Sizes k1 and k2 of the first two convolutions, odd, in snippets.
        dilations: Dilations of the first two convolutions.
        standardize: Put a :class:`~.baselines.Standardization` before the network, so that
            SoLa starts as that instead of as the identity. Not part of the paper.
        reset_gate: Set ``alpha`` to zero again when weights are loaded from a file: the head then
            begins with what it would have without SoLa, and opens the gate to what similarity
            matching found as far as that helps it. Not part of the paper.
        frozen: Keep the weights as they are while the head is trained ("separate" training).
        init_cfg: ``dict(type='Pretrained', checkpoint='sola.pth')`` starts from similarity
            matching.

    Raises:
        ValueError: ``in_channels`` is missing, a kernel size is not odd, or ``frozen`` with
            ``reset_gate``, which would stay the identity.

    Example:
        >>> import sola_plugin, torch
        >>> from mmaction.registry import MODELS
        >>> sola = MODELS.build(dict(type='SoLa', in_channels=16, hidden_channels=8))
        >>> x = torch.rand(2, 16, 7)
        >>> bool((sola(x) == x).all())
        True
    """

    not_recorded = Neck.not_recorded | {'reset_gate'}

    def __init__(
        self,
        in_channels: int | None = None,
        hidden_channels: int = 512,
        kernel_sizes: Sequence[int] = (5, 1),
        dilations: Sequence[int] = (1, 1),
        standardize: bool = False,
        reset_gate: bool = False,
        frozen: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(in_channels, init_cfg)
        if in_channels is None:
            raise ValueError(
                'SoLa needs in_channels, the number of channels of the features: inside a '
                'localizer it is taken from feat_dim, elsewhere give in_channels=...'
            )
        if len(kernel_sizes) != 2 or len(dilations) != 2 or any(k % 2 == 0 for k in kernel_sizes):
            raise ValueError(
                'SoLa expects two odd kernel_sizes and two dilations, got '
                f'kernel_sizes={tuple(kernel_sizes)}, dilations={tuple(dilations)}'
            )
        self.reset_gate = reset_gate
        self.hidden_channels = hidden_channels
        self.kernel_sizes = tuple(kernel_sizes)
        self.dilations = tuple(dilations)
        self.receptive_radius = sum(
            dilation * (size // 2) for size, dilation in zip(self.kernel_sizes, self.dilations)
        )
        self.alpha = nn.Parameter(torch.zeros(1))
        self.conv_network = nn.Sequential(
            self._conv(in_channels, hidden_channels, kernel_sizes[0], dilations[0]),
            nn.ReLU(inplace=True),
            self._conv(hidden_channels, hidden_channels, kernel_sizes[1], dilations[1]),
            nn.ReLU(inplace=True),
            nn.Conv1d(hidden_channels, in_channels, 1),
        )
        self.standardization = Standardization(in_channels) if standardize else None
        if frozen:
            self.freeze()

    def freeze(self) -> None:
        """See :meth:`Neck.freeze`."""
        if self.reset_gate:
            raise ValueError(
                'SoLa with reset_gate=True begins as the identity and would stay it when frozen: '
                'leave one of the two out (SoLaPretrainHook needs freeze=False)'
            )
        super().freeze()

    def restart(self) -> None:
        """See :meth:`Neck.restart`; the gate is closed if it is to be reset."""
        super().restart()
        if self.reset_gate:
            nn.init.zeros_(self.alpha)

    @staticmethod
    def _conv(in_channels: int, out_channels: int, kernel_size: int, dilation: int) -> nn.Conv1d:
        return nn.Conv1d(
            in_channels,
            out_channels,
            kernel_size,
            dilation=dilation,
            padding=dilation * (kernel_size // 2),
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Transform features.

        Args:
            x: Features ``(N, C, T)``, any ``T >= 1``.
            mask: Bool ``(N, T)``, true where a snippet is real and false where it is padding.

        Returns:
            Tensor ``(N, C, T)``. With a mask, real positions get what they would get without
            padding, and padded positions are zero.

        Raises:
            ValueError: The number of channels is not ``in_channels``.
        """
        if x.dim() != 3 or x.shape[1] != self.in_channels:
            raise ValueError(
                f'SoLa expects features (N, {self.in_channels}, T), got {tuple(x.shape)}'
            )
        if self.standardization is not None:
            x = self.standardization(x, mask)
        if mask is None:
            return x + torch.tanh(self.alpha) * self.conv_network(x)
        keep = mask[:, None].to(x.dtype)
        x = hidden = x * keep
        for layer in self.conv_network:
            # A biased convolution leaves non-zero padding, which the next one must not read.
            hidden = layer(hidden) * keep if isinstance(layer, nn.Conv1d) else layer(hidden)
        return x + torch.tanh(self.alpha) * hidden

    def forward_positions(
        self, x: Tensor, start: int, step: int, num_positions: int, as_matmul: bool = False
    ) -> Tensor:
        """Transform features at every ``step``-th position only.

        Equal to ``self(x)[:, :, start::step][:, :, :num_positions]``. When the positions read no
        padding and only the first convolution looks at neighbours, nothing but these positions is
        computed: the first convolution takes a stride.

        Args:
            x: Features ``(N, C, T)``.
            start: First position.
            step: Distance between positions.
            num_positions: L.
            as_matmul: Copy what each position sees side by side, and multiply it by the kernel as
                one matrix: the gradient of a strided convolution takes more than twice as long on a
                CPU. Equal up to rounding, whatever the order of ``x`` in memory.

        Returns:
            Tensor ``(N, L, C)``.
        """
        last = start + step * (num_positions - 1)
        radius = self.dilations[0] * (self.kernel_sizes[0] // 2)
        if self.kernel_sizes[1] > 1 or start < radius or last + radius >= x.shape[2]:
            return super().forward_positions(x, start, step, num_positions)
        if self.standardization is not None:
            x = self.standardization(x.contiguous())
        seen = x[:, :, start - radius : last + radius + 1]
        if as_matmul:
            hidden = self._products(seen.transpose(1, 2), step)
            # The order of the first factor in memory is that of the result.
            return hidden * torch.tanh(self.alpha) + x[:, :, start : last + 1 : step].transpose(
                1, 2
            )
        first = self.conv_network[0]
        assert isinstance(first, nn.Conv1d)
        hidden = F.conv1d(seen, first.weight, first.bias, stride=step, dilation=self.dilations[0])
        hidden = self.conv_network[1:](hidden)
        return (x[:, :, start : last + 1 : step] + torch.tanh(self.alpha) * hidden).transpose(1, 2)

    def _products(self, x: Tensor, step: int) -> Tensor:
        """Output of the network at the positions whose neighbours ``(N, T, C)`` holds.

        Returns:
            Tensor ``(N, L, C)``.
        """
        dilation = self.dilations[0]
        reach = dilation * (self.kernel_sizes[0] - 1) + 1
        hidden = x.unfold(1, reach, step)[..., ::dilation].flatten(2)
        for layer in self.conv_network:
            if isinstance(layer, nn.Conv1d):
                hidden = F.linear(hidden, layer.weight.flatten(1), layer.bias)
            else:
                hidden = layer(hidden)
        return hidden
