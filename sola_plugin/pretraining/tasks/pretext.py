"""What all pretext tasks have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from mmaction.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor, nn

from sola_plugin.datasets.features.readers import ChannelError


class Pretext(BaseModel):
    """A task on windows of features whose solution trains a neck: neck → (thrown away) head → loss.

    Args:
        neck: Config of a neck with ``in_channels``, or the neck itself. It maps ``(N, C, T)`` to
            the same shape.
        window: Snippets in a window.
        **settings: The other arguments of the task, kept for :attr:`settings`.

    Raises:
        ValueError: The neck has no weights that a task could train, or does not tell its channels.
    """

    #: Whether batches need ``labels``: a class for every snippet.
    uses_labels = False

    #: Whether the loss is the same, to the bit, in whatever order windows lie in memory. A data
    #: set that cuts a batch in one call leaves the channels of a snippet side by side.
    any_layout = False

    def __init__(self, neck: dict | nn.Module, window: int, **settings: Any) -> None:
        super().__init__(init_cfg=settings.pop('init_cfg', None))
        self.neck = neck if isinstance(neck, nn.Module) else MODELS.build(neck)
        kind = type(self.neck).__name__
        if next(self.neck.parameters(), None) is None:
            raise ValueError(
                f'{type(self).__name__} trains the weights of the neck, and {kind} has none: take '
                f"neck=dict(type='SoLa'), or leave {type(self).__name__} (similarity_matching, "
                'SoLaPretrainHook) out'
            )
        if not isinstance(getattr(self.neck, 'in_channels', None), int):
            raise ValueError(
                f'{type(self).__name__} needs a neck with in_channels, and {kind} has none: '
                'make it a sola_plugin.necks.Neck, and give it in_channels'
            )
        self.window = window
        self._settings = dict(type=type(self).__name__, window=window, **settings)

    @property
    def settings(self) -> dict[str, Any]:
        """``dict(type=..., window=..., ...)``: plain values to rebuild the task on another neck."""
        return dict(self._settings)

    @property
    def channels(self) -> int:
        """Channels C of the neck."""
        return self.neck.in_channels  # type: ignore[return-value]

    def forward(
        self,
        inputs: Tensor,
        data_samples: Any = None,
        mode: str = 'loss',
        labels: Tensor | None = None,
    ) -> dict[str, Tensor] | Tensor:
        """Losses of a batch of windows.

        Args:
            inputs: Windows ``(B, C, window)``.
            data_samples: Not used.
            mode: ``'loss'`` or ``'tensor'``.
            labels: ``(B, window)``, for tasks that use labels.

        Returns:
            Scalars by name; those with "loss" in their name are summed and minimised. In mode
            ``'tensor'`` what :meth:`tensor` gives.

        Raises:
            ChannelError: The features have other channels than the neck.
            ValueError: The windows have another length, or the mode is not known.
        """
        if inputs.dim() != 3 or inputs.shape[2] != self.window:
            raise ValueError(f'expected windows (B, C, {self.window}), got {tuple(inputs.shape)}')
        if inputs.shape[1] != self.channels:
            raise ChannelError(
                f'the features have {inputs.shape[1]} channels, the neck of similarity matching '
                f'expects {self.channels}: give the model feat_dim={inputs.shape[1]} (in_channels '
                'of the neck), or take the features that it is for'
            )
        if mode not in ('loss', 'tensor'):
            raise ValueError(f'{type(self).__name__} has the modes loss and tensor, got {mode!r}')
        if not self.any_layout:
            inputs = inputs.contiguous()
        if mode == 'tensor':
            return self.tensor(inputs)
        return self.loss(inputs) if labels is None else self.loss(inputs, labels)

    def tensor(self, inputs: Tensor) -> Tensor:
        """Output of the neck ``(B, C, window)``."""
        return self.neck(inputs)

    @abstractmethod
    def loss(self, inputs: Tensor, *labels: Tensor) -> dict[str, Tensor]:
        """Losses of windows ``(B, C, window)``, with labels ``(B, window)`` if they are used."""
