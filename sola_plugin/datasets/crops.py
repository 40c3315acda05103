"""Windows of a training video, and the actions in them: NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: How far boundaries may lie outside of a window, before and behind it.
Margin = Sequence[float]


def check_crop(scale: Sequence[float] | None, min_coverage: float, margin: Margin | None) -> None:
    """See whether the settings of a crop are ones.

    Raises:
        ValueError: ``scale`` is not ``(smallest, largest)`` in ``(0, 1]``, ``min_coverage`` not in
            ``[0, 1]``, or ``margin`` not two numbers of 0 or more.
    """
    if scale is not None and not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f'expected scale=(smallest, largest) in (0, 1], got {scale}')
    if not 0 <= min_coverage <= 1:
        raise ValueError(f'expected min_coverage in [0, 1], got {min_coverage}')
    if margin is not None and (len(margin) != 2 or min(margin) < 0):
        raise ValueError(f'expected margin=(before, behind) of 0 or more, got {margin}')


def coverage(segments: np.ndarray, start: np.ndarray | float, stop: np.ndarray | float):
    """How much of every segment lies in a window.

    Args:
        segments: ``(G, 2)``, any unit.
        start: Start of the window, in the same unit, or of several windows, ``(N, 1)``.
        stop: End of it.

    Returns:
        Length of the part inside, ``(G,)`` or ``(N, G)``; below 0 for a segment that does not touch
        the window.
    """
    return np.minimum(segments[:, 1], stop) - np.maximum(segments[:, 0], start)


def window_starts(total: int, length: int, stride: int, min_rest: int = 0) -> list[int]:
    """Where windows at a fixed stride begin; the last one may end with the video instead.

    Args:
        total: Snippets of the video.
        length: Snippets of a window.
        stride: Snippets from one window to the next.
        min_rest: The window at the end is added when more snippets than this are left over.

    Example:
        >>> window_starts(21, 8, 4), window_starts(21, 8, 4, min_rest=1), window_starts(5, 8, 4)
        ([0, 4, 8, 12, 13], [0, 4, 8, 12], [0])
    """
    last = max(total - length, 0)
    starts = list(range(0, last + 1, stride))
    return [*starts, last] if last - starts[-1] > min_rest else starts


def random_length(total: int, scale: Sequence[float]) -> int:
    """Draw how many of ``total`` snippets are kept, a share in ``scale``, by NumPy's generator."""
    smallest, largest = (max(round(share * total), 1) for share in scale)
    return int(np.random.randint(smallest, largest + 1))


def random_window(
    segments: np.ndarray,
    total: int,
    length: int,
    min_coverage: float = 0.5,
    margin: Margin = (0.0, 0.0),
) -> tuple[int, np.ndarray, np.ndarray]:
    """Draw a window that holds an action, by NumPy's generator.

    All windows that hold at least one action are equally probable; where there is none, all windows
    are. An action that lies in the window in part is cut.

    Args:
        segments: Actions ``(G, 2)`` in snippets.
        total: Snippets of the video.
        length: Of the window, at most ``total``.
        min_coverage: Smallest share of an action that must lie in the window and its margin.
        margin: Snippets before and behind the window up to which boundaries may lie.

    Returns:
        First snippet of the window; which actions it holds, bool ``(G,)``; these ``(K, 2)``, in
        snippets of the window.
    """
    before, behind = margin
    starts = np.arange(total - length + 1)[:, None]
    inside = coverage(segments, starts - before, starts + length + behind)
    kept = inside >= min_coverage * (segments[:, 1] - segments[:, 0])
    usable = np.flatnonzero(kept.any(1))
    start = int(np.random.choice(usable) if len(usable) else np.random.randint(len(starts)))
    chosen = kept[start]
    return start, chosen, (segments[chosen] - start).clip(0 - before, length + behind)
