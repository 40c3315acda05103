"""From matplotlib figures to the bytes of an SVG, PNG or GIF."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from sola_plugin.io import atomic_write

from .pictures import house_style

PNG_DPI = 192
#: An SVG above this size (thousands of marks) is slower to show than the same picture as PNG.
MAX_SVG_BYTES = 400_000


@dataclass(frozen=True)
class EncodedFigure:
    """A picture as bytes.

    Attributes:
        mime: ``image/svg+xml`` or ``image/png``.
        data: Content of the file.
        width: Width at normal zoom, CSS pixels.
        height: Height at normal zoom, CSS pixels.
    """

    mime: str
    data: bytes
    width: int
    height: int

    @property
    def data_uri(self) -> str:
        """The picture as ``data:`` address, base64."""
        return f'data:{self.mime};base64,{base64.b64encode(self.data).decode("ascii")}'


@house_style()
def encode_figure(figure: Figure, format: str = 'auto') -> EncodedFigure:
    """Save a figure to bytes; the same figure gives the same bytes.

    Args:
        figure: Figure to save; it is not changed or closed.
        format: ``'svg'``, ``'png'``, or ``'auto'``: PNG for heat maps and for an SVG of more than
            400 kB, SVG for the rest.

    Raises:
        ValueError: Unknown ``format``.
    """
    if format not in ('auto', 'svg', 'png'):
        raise ValueError(f"format: expected 'auto', 'svg' or 'png', got {format!r}")
    chosen = format
    if format == 'auto':
        chosen = 'png' if any(axes.images for axes in figure.axes) else 'svg'
    data = _save(figure, chosen)
    if format == 'auto' and chosen == 'svg' and len(data) > MAX_SVG_BYTES:
        chosen, data = 'png', _save(figure, 'png')
    width, height = figure.get_size_inches()
    mime = {'svg': 'image/svg+xml', 'png': 'image/png'}[chosen]
    return EncodedFigure(mime, data, round(width * 96), round(height * 96))


def _save(figure: Figure, format: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {'Date': None} if format == 'svg' else None
    figure.savefig(buffer, format=format, dpi=PNG_DPI, facecolor='white', metadata=metadata)
    return buffer.getvalue()


def write_gif(
    path: str | os.PathLike,
    figures: Iterable[Figure],
    seconds: float = 0.4,
    last_seconds: float = 2.0,
) -> None:
    """Write an animated GIF that repeats for ever; it gets its name only when it is complete.

    Args:
        path: File to write, ``.gif``.
        figures: The frames, all of one size; 96 pixels an inch. Equal neighbours become one frame.
        seconds: How long each is shown.
        last_seconds: How long the last one is shown.

    Raises:
        ValueError: There are no figures, or their sizes differ.
    """
    # Drawn twice as fine and averaged: thin lines and small letters stay readable.
    frames = [
        Image.open(io.BytesIO(encode_figure(figure, 'png').data)).convert('RGB').reduce(2)
        for figure in figures
    ]
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) != 1:
        raise ValueError(
            f'figures: expected at least one, all of one size, got {len(frames)} of the '
            f'sizes {sizes}'
        )
    # One palette for all frames: a colour must not change its meaning from frame to frame. An
    # octree keeps rare colours, such as those that only the colour bar has.
    together = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames]))
    palette = together.quantize(method=Image.Quantize.FASTOCTREE)
    first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    durations = [round(1000 * seconds)] * len(others) + [round(1000 * last_seconds)]
    with atomic_write(path, 'wb') as file:
        first.save(
            file, format='GIF', save_all=True, append_images=others, duration=durations, loop=0
        )
