"""What all necks have in common: the base class, which keeps a record of what a neck is."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from sola_plugin.messages import printable

from .record import bound_arguments, plain_record, plain_value, recorded_arguments

#: Where the metadata of a state dict keep the record of a neck.
RECORD_KEY = 'neck'


class Neck(BaseModule):
    """What stands between the frozen features and the head: ``(N, C, T)`` in and out.

    A subclass declares its arguments in ``__init__``, and nowhere else. They are captured when a
    neck is made (:attr:`settings`), stored with its weights, in ``sola.pth`` and in the checkpoint
    of any model that the neck is part of, and compared whenever such weights are loaded: a neck
    that was built otherwise is an error, though the weights may fit.

    Args:
        in_channels: C; ``None``: any.
        init_cfg: ``dict(type='Pretrained', checkpoint='sola.pth')`` loads the weights of a file of
            :func:`~.checkpoint.save_sola`. Others: see mmengine's ``BaseModule``.

    Attributes:
        frozen: Whether the neck was excluded from training.
        radius: How many snippets to either side an output depends on; ``None``: on all.

    Raises:
        ValueError: An argument is no plain value (a number, text, ``None``, or lists and dicts of
            them), so that no file could hold it.
    """

    #: Arguments that say how a neck is used and not what it is. They are neither stored nor
    #: compared.
    not_recorded = frozenset({'frozen', 'init_cfg'})

    frozen: bool = False
    radius: int | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Neck:
        """Capture the arguments, whatever ``__init__`` makes of them."""
        neck = super().__new__(cls)
        given: dict[str, Any] = {}
        # Without fitting arguments __init__ says so, or a copy is made, which brings its own.
        with contextlib.suppress(TypeError):
            given = bound_arguments(cls, args, kwargs)
        neck.__dict__['_given'] = {
            name: plain_value(value, f'{cls.__name__}: argument {name}')
            for name, value in given.items()
            if name not in cls.not_recorded
        }
        return neck

    def __init__(self, in_channels: int | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels

    @property
    def settings(self) -> dict[str, Any]:
        """The record, a config that rebuilds the neck: ``dict(type=..., in_channels=..., ...)``."""
        return dict(type=type(self).__name__, **(recorded_arguments(type(self)) | self._given))

    def changes_since(self, record: Mapping[str, Any]) -> list[str]:
        """Compare a record with this neck.

        Args:
            record: :attr:`settings` of the neck that some weights belong to. An argument that is
                not in it came later, and stands for its default. Empty: nothing is known.

        Returns:
            What differs, in words; empty if nothing does.

        Raises:
            ValueError: It is no record.
        """
        if not isinstance(record, Mapping):
            raise ValueError(f'expected the record of a neck, got a {type(record).__name__}')
        now = self.settings
        if not record:
            return []
        if record.get('type', now['type']) != now['type']:
            return [f'type={record["type"]!r}, now {now["type"]!r}']
        before = now | recorded_arguments(type(self)) | plain_record(record, 'the record')
        return [
            f'{key}={value!r}, now {now.get(key, "unknown")!r}'
            for key, value in before.items()
            if key not in now or value != now[key]
        ]

    def freeze(self) -> None:
        """Exclude the weights, and the statistics of normalisations, from training from now on."""
        self.frozen = True
        self.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Neck:
        """See ``nn.Module.train``; the parts of a frozen neck stay in evaluation mode."""
        super().train(mode)
        if self.frozen:
            for part in self.children():
                part.eval()
        return self

    def restart(self) -> None:
        """Called when weights were loaded from a file: it may go on learning on other data."""
        for part in self.children():
            if isinstance(part, Neck):
                part.restart()

    def init_weights(self) -> None:
        """Load the checkpoint of ``init_cfg=dict(type='Pretrained', checkpoint=...)``, if any.

        Raises:
            FileNotFoundError: There is no such checkpoint.
            ValueError: It holds no neck, or another one than this.
        """
        if self.init_cfg and self.init_cfg.get('type') == 'Pretrained':
            from .checkpoint import load_sola_weights

            load_sola_weights(self, self.init_cfg['checkpoint'])
            self._is_init = True
        else:
            super().init_weights()

    def forward_positions(
        self, x: Tensor, start: int, step: int, num_positions: int, as_matmul: bool = False
    ) -> Tensor:
        """Transform features at every ``step``-th position only.

        Args:
            x: Features ``(N, C, T)``.
            start: First position.
            step: Distance between positions.
            num_positions: L.
            as_matmul: Prefer matrix products to convolutions, where a neck can.

        Returns:
            Tensor ``(N, L, C)``.

        Raises:
            ValueError: A position lies outside the window.
        """
        last = start + step * (num_positions - 1)
        if last >= x.shape[2]:
            raise ValueError(f'position {last} is outside a window of {x.shape[2]} snippets')
        return self(x.contiguous())[:, :, start : last + 1 : step].transpose(1, 2)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        # The metadata, which PyTorch keeps beside the weights: the keys stay the authors'.
        if hasattr(destination, '_metadata'):
            destination._metadata[prefix[:-1]][RECORD_KEY] = self.settings

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict, *args: Any
    ) -> None:
        # mmengine reports what torch calls an error as a warning, and goes on.
        if changes := self.changes_since(local_metadata.get(RECORD_KEY) or {}):
            raise ValueError(
                f'the weights are those of another {type(self).__name__}: {"; ".join(changes)}. '
                'Take the config that it was trained with'
            )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def build_recorded(record: Mapping[str, Any], where: str, **options: Any) -> Neck:
    """Build the neck of a record that was read from a file. Nothing in it is imported or run.

    Args:
        record: ``dict(type=..., ...)``: the name of a :class:`Neck` of this package, or of one that
            is registered, and plain values for its arguments.
        where: The file, for messages.
        **options: Arguments from elsewhere, which take the place of those of the record.

    Returns:
        The neck.

    Raises:
        ValueError: It is no such record, or the neck refuses the arguments.
    """
    cls = _neck_class(record.get('type'), where)
    known = recorded_arguments(cls)
    unknown = sorted(str(key) for key in record if key != 'type' and key not in known)
    if unknown:
        raise ValueError(
            f'{where}: {cls.__name__} takes no {printable(", ".join(unknown))} from a file, '
            f'expected some of {", ".join(known)}'
        )
    arguments = plain_record(record, where)
    arguments.pop('type')
    try:
        return cls(**{**arguments, **options})
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise ValueError(f'{where}: {cls.__name__} cannot be built: {error}') from error


def _neck_class(name: Any, where: str) -> type[Neck]:
    """The registered neck of a name; unlike ``MODELS.get`` it imports nothing."""
    necks: dict[str, type[Neck]] = {}
    registry = MODELS
    while registry is not None:
        for key, cls in registry.module_dict.items():
            if isinstance(cls, type) and issubclass(cls, Neck):
                necks = {key: cls, cls.__name__: cls} | necks
        registry = registry.parent
    if not isinstance(name, str) or name not in necks:
        raise ValueError(
            f'{where}: expected a neck of type {", ".join(sorted(necks))}, got {name!r:.80}: a '
            'neck of your own is a registered subclass of sola_plugin.necks.Neck, whose '
            'module must be imported'
        )
    return necks[name]
