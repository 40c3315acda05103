"""Weights of other people's code, on their way to ours: every one is accounted for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from sola_plugin.messages import first_few
from sola_plugin.necks.checkpoint import CheckpointError


class Weights:
    """Weights under their published names, each of which is moved to its place once.

    Args:
        state: Published name → weight.
        kind: What they should be, for messages.

    Attributes:
        state: Our name → weight.
        origin: Our name → published one.

    Raises:
        CheckpointError: By the methods.

    >>> import torch
    >>> weights = Weights({'a.weight': torch.zeros(2), 'b': torch.zeros(1)}, 'a model')
    >>> weights.move('a.weight', 'ours')
    >>> weights.finish()
    Traceback (most recent call last):
    ...
    sola_plugin.necks.checkpoint.CheckpointError: 1 weights have no place in a model: b
    """

    def __init__(self, state: Mapping[str, Tensor], kind: str) -> None:
        self._left = dict(state)
        self._all = dict(state)
        self.kind = kind
        self.state: dict[str, Tensor] = {}
        self.origin: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._all

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._all:
            raise CheckpointError(f'{name} is missing, which {self.kind} has')
        return self._all[name]

    def size(self, name: str, axis: int) -> int:
        """Size of a weight along an axis."""
        shape = self[name].shape
        if axis >= len(shape):
            raise CheckpointError(
                f'{name} is {tuple(shape)}, expected more than {axis} axes in {self.kind}'
            )
        return shape[axis]

    def count(self, name: str) -> int:
        """How many there are of ``'name.{}'``, from 0 on."""
        number = 0
        while name.format(number) in self._all:
            number += 1
        return number

    def move(
        self, theirs: str, ours: str, change: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Give a weight its name here, and its shape where that differs."""
        value = self[theirs]
        self._left.pop(theirs, None)
        try:
            self.state[ours] = value if change is None else change(value)
        except (IndexError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f'{theirs}: {tuple(value.shape)} is no shape that it has in {self.kind}'
            ) from error
        self.origin[ours] = theirs

    def move_layer(
        self, theirs: str, ours: str, change: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Move ``weight`` and ``bias`` of a layer."""
        for part in ('weight', 'bias'):
            self.move(f'{theirs}.{part}', f'{ours}.{part}', change)

    def add(self, ours: str, value: Tensor) -> None:
        """Set what the published model does not have, and what is the same with this value."""
        self.state[ours] = value
        self.origin[ours] = 'no published weight'

    def finish(self) -> None:
        """Refuse weights that were not moved."""
        if self._left:
            raise CheckpointError(
                f'{len(self._left)} weights have no place in {self.kind}: {first_few(self._left)}'
            )


@dataclasses.dataclass(frozen=True)
class Converted:
    """What weights are here.

    Attributes:
        state_dict: The weights under our names.
        origin: Our name → published one.
        model: What the weights tell of the config of the model.
        needs: Of it, what changes results without changing shapes.
        probe: Further arguments with which a model of these shapes can be built.
        unseen: What the weights do not tell, a line each.
    """

    state_dict: dict[str, Tensor]
    origin: dict[str, str]
    model: dict[str, Any]
    needs: dict[str, Any]
    probe: dict[str, Any]
    unseen: tuple[str, ...]


def swap_maps(x: Tensor) -> Tensor:
    """OpenTAD's maps are classification, regression; the authors' and ours the other way round."""
    return x.flip(0)
