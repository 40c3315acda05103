"""Base of the localizers that mmaction2 does not have."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModel
from torch import Tensor


class Localizer(BaseModel):
    """A model with the three modes of mmaction2's localizers.

    A subclass has ``loss(inputs, data_samples)``, ``predict(inputs, data_samples)`` and
    ``_forward(inputs)``.
    """

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence | None = None,
        mode: str = 'tensor',
        **kwargs,
    ):
        """Run one of the modes.

        Args:
            inputs: Features ``(C, T_i)`` of each video.
            data_samples: Data samples of the videos.
            mode: ``'tensor'``, ``'loss'`` or ``'predict'``.
            **kwargs: Not used.

        Returns:
            Raw outputs, losses by name, or ``dict(video_name, proposal_list)`` of each video.

        Raises:
            ValueError: There is no such mode.
        """
        if mode == 'tensor':
            return self._forward(inputs)
        if mode not in ('loss', 'predict'):
            raise ValueError(f"mode is {mode!r}, expected 'tensor', 'loss' or 'predict'")
        return getattr(self, mode)(inputs, data_samples)

    def _forward(self, inputs: Sequence[Tensor]):
        raise NotImplementedError

    def loss(self, inputs: Sequence[Tensor], data_samples: Sequence) -> dict[str, Tensor]:
        """Losses by name."""
        raise NotImplementedError

    def predict(self, inputs: Sequence[Tensor], data_samples: Sequence) -> list[dict]:
        """``dict(video_name, proposal_list)`` of each video."""
        raise NotImplementedError
