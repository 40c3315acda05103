"""Several pictures of one size, one after the other."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ..utils import atomic_write
from .encode import encode_figure


def write_gif(
    path: str | os.PathLike,
    figures: Iterable[Figure],
    seconds: float = 0.4,
    last_seconds: float = 2.0,
) -> None:
    """Write an animated GIF that repeats for ever; it appears under its name only when it is
    complete.

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
