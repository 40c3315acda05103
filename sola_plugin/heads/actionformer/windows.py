"""Windows of long videos."""

from __future__ import annotations

from sola_plugin.heads.shared.sliding_windows import SlidingWindows


def sliding_windows(
    num_levels: int,
    receptive_radius: int | None,
    top_k: int,
    length: int,
    stride: int | None = None,
    batch_size: int = 1,
) -> SlidingWindows:
    """Windows whose points are those of the whole video.

    Every point of the video is taken from one window. Where the attention is local, points depend
    on ``receptive_radius`` snippets around them, and windows that overlap by twice as much give
    what the whole video gives. Where it is not, a point sees its window in place of the video.

    Args:
        num_levels: Of the pyramid.
        receptive_radius: Snippets to either side that a point depends on; ``None``: all.
        top_k: Candidates that are kept of a window.
        length: Snippets in a window.
        stride: Snippets from one window to the next, a multiple of the stride of the last level.
            Default: the largest with which nothing changes; without a ``receptive_radius``, half of
            ``length``.
        batch_size: Windows that are predicted at the same time.

    Raises:
        ValueError: A window is too short, or ``stride`` is not such a multiple.
    """
    step = 2 ** (num_levels - 1)
    radius = length // 4 if receptive_radius is None else receptive_radius
    if stride is None:
        stride = (length - 2 * radius) // step * step
        if stride < step:
            raise ValueError(
                f'windows of length={length} are too short: a point depends on {radius} '
                f'snippets to either side, so that length must be at least '
                f'{2 * radius + step}'
            )
    if stride % step:
        raise ValueError(
            f'windows with stride={stride}: expected a multiple of {step}, the stride of '
            'the last level'
        )
    return SlidingWindows(length, stride, fixed=False, top_k=top_k, batch_size=batch_size)
