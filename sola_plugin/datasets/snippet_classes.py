"""Class of every snippet of an annotated video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sola_plugin.evaluation.snippets import snippet_centers

#: Class of a snippet outside of all actions.
BACKGROUND = -1


def snippet_classes(
    segments: Sequence[Sequence[float]],
    classes: Sequence[int],
    feature_span: tuple[float, float],
    num_snippets: int,
) -> np.ndarray:
    """Give every snippet the class of the action that its centre lies in; of several, of the
    shortest.

    Args:
        segments: ``(n, 2)`` in seconds.
        classes: Number of the class of each.
        feature_span: ``(start, end)`` in seconds that all snippets together cover.
        num_snippets: T.

    Returns:
        int64 ``(T,)``, :data:`BACKGROUND` outside of all actions.

    Example:
        >>> snippet_classes([[0, 4], [1, 2]], [7, 3], (0, 6), 6).tolist()
        [7, 3, 7, 7, -1, -1]
    """
    labels = np.full(num_snippets, BACKGROUND, dtype=np.int64)
    centers = snippet_centers(feature_span, num_snippets)
    for (start, end), number in sorted(
        zip(segments, classes), key=lambda pair: pair[0][0] - pair[0][1]
    ):
        labels[(centers >= start) & (centers <= end)] = number
    return labels
