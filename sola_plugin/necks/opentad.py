"""SoLa in OpenTAD (https://github.com/sming256/OpenTAD): before any of its projections.

After ``import sola_plugin`` it is registered as soon as somebody imports ``opentad.models``.
"""

from __future__ import annotations

import os
from typing import Any

from torch import Tensor, nn

from .checkpoint import build_sola
from .neck import Neck
from .sola import SoLa


def register() -> None:
    """Let OpenTAD find :class:`SoLaProjection` by its name.

    Raises:
        ImportError: OpenTAD cannot be imported.
    """
    _registry().register_module(module=SoLaProjection, force=True)


class SoLaProjection(nn.Module):
    """A projection of OpenTAD that reads features behind SoLa.

    ``projection=dict(type='SoLaProjection', of='Conv1DTransformerProj', sola='sola.pth')`` over a
    config of OpenTAD is all: the other arguments are those of the projection, which are inherited.
    What detectors look up at their projection (``max_seq_len``) is that of the one inside.

    Args:
        of: Type of the projection; ``None``: features leave as they come out of SoLa.
        sola: File of a trained neck, see :func:`~sola_plugin.necks.read_sola`. ``None``: a new
            SoLa, which learns with the detector.
        freeze: Keep the neck as it is. Default: with ``sola``, yes.
        settings: Arguments of a new :class:`~sola_plugin.necks.SoLa`, such as ``hidden_channels``.
        **projection: Arguments of the projection; ``in_channels`` are the channels of the features.

    Raises:
        ValueError: The neck has other channels than ``in_channels``, or there are ``settings`` and
            ``sola``.
    """

    def __init__(
        self,
        of: str | None = None,
        sola: str | os.PathLike | None = None,
        freeze: bool | None = None,
        settings: dict[str, Any] | None = None,
        **projection: Any,
    ) -> None:
        super().__init__()
        given = projection.get('in_channels')
        channels = sum(given) if isinstance(given, (list, tuple)) else given
        if sola is not None and settings:
            raise ValueError(f'settings={settings} are those of a new SoLa, {sola} brings its own')
        neck: Neck = SoLa(channels, **(settings or {})) if sola is None else build_sola(sola)
        if channels is not None and neck.in_channels not in (None, channels):
            raise ValueError(
                f'{sola} has in_channels={neck.in_channels}, the projection {given}: take the '
                'features that it was trained on'
            )
        self.sola = neck
        if freeze if freeze is not None else sola is not None:
            _freeze(neck)
        elif isinstance(neck, SoLa):
            # OpenTAD sorts parameters by the ends of their names, and refuses what it does not
            # know: by this one, the scalar is not decayed.
            self.alpha_bias = neck.alpha
        self.projection = None if of is None else _registry().build(dict(type=of, **projection))

    def __getattr__(self, name: str) -> Any:
        """Attributes of the projection inside."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            inner = self.__dict__.get('_modules', {}).get('projection')
            if inner is None:
                raise
            return getattr(inner, name)

    def forward(self, x: Tensor, masks: Tensor) -> Any:
        """Transform features and project them.

        Args:
            x: Features ``(N, C, T)``.
            masks: Bool ``(N, T)``, true where a snippet is real.

        Returns:
            What the projection returns: features, or those of several levels, and their masks.
        """
        x = self.sola(x, masks)
        return (x, masks) if self.projection is None else self.projection(x, masks)


def _registry() -> Any:
    from opentad.models.builder import MODELS

    return MODELS


def _freeze(neck: Neck) -> None:
    """Make buffers of the weights: optimizers and distributed training know nothing of them."""
    neck.freeze()
    for module in neck.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, weight.data)
