"""How the layers of ActionFormer are computed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

#: ``'channels'``: convolutions of ``(N, C, T)``, as written. ``'rows'``: the channels of a position
#: lie side by side, so that nothing is turned for layer norms, convolutions are matrix products,
#: and the three convolutions, norms and projections of attention are one of each.
LAYOUTS = ('channels', 'rows')

_chosen: str | None = None


def uses_rows(x: Tensor) -> bool:
    """Whether layers compute by rows; both ways are equal up to the rounding of sums.

    A CPU computes by channels, so that its results stay the same to the bit; so does the exporter
    to ONNX, whose files have convolutions.

    Args:
        x: What a layer gets.
    """
    if torch.onnx.is_in_onnx_export():
        return False
    return x.device.type != 'cpu' if _chosen is None else _chosen == 'rows'


@contextlib.contextmanager
def use(layout: str) -> Iterator[None]:
    """Compute in a layout, whatever the device.

    Args:
        layout: One of :data:`LAYOUTS`.

    Raises:
        ValueError: It is another one.
    """
    global _chosen
    if layout not in LAYOUTS:
        raise ValueError(f'layout={layout!r}: expected one of {LAYOUTS}')
    before, _chosen = _chosen, layout
    try:
        yield
    finally:
        _chosen = before
