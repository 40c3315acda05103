"""A stretch of a video through a neck, as it comes out of the whole video."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


def apply_in_context(
    neck: nn.Module | None,
    read: Callable[[int, int], Tensor],
    start: int,
    stop: int,
    total: int,
) -> Tensor:
    """Apply a neck to a part of a video, which gets what it gets in the whole of it.

    The neck sees ``receptive_radius`` snippets more on either side; one that has no such attribute
    sees the whole video.

    Args:
        neck: The neck; ``None``: features as they are.
        read: From first and last (exclusive) snippet to features ``(C, n)`` on the neck's device.
        start: First snippet of the part.
        stop: Behind its last one.
        total: Snippets of the video.

    Returns:
        ``(C, stop - start)``.
    """
    if neck is None:
        return read(start, stop)
    radius = getattr(neck, 'receptive_radius', None)
    radius = total if radius is None else int(radius)
    first = max(start - radius, 0)
    features = neck(read(first, min(stop + radius, total))[None])[0]
    return features[:, start - first : stop - first]
