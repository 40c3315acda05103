"""Repeated annotations, which ActionFormer and OpenTAD drop before they evaluate."""

from __future__ import annotations

from ._columns import PerVideo


def drop_duplicates(ground_truth: PerVideo, tolerance: float = 1e-3) -> dict[str, list]:
    """Drop annotations that are shorter than the tolerance, or repeat an earlier one.

    The evaluators of ActionFormer (``remove_duplicate_annotations`` in ``libs/utils/metrics.py``)
    and OpenTAD do so, ActivityNet's official one does not: theirs differ from it where an
    annotation file has such entries. (OpenTAD keeps segments between 0 and 1 ms.)

    Args:
        ground_truth: ``{video: [{'segment': [start, end], 'label': str}]}``, seconds.
        tolerance: Two annotations of a video are the same if their labels are and both of their
            ends differ by no more than this, seconds.

    Returns:
        The ground truth without them; every video is kept.

    Example:
        >>> entry = {'segment': [0, 10], 'label': 'run'}
        >>> drop_duplicates({'a': [entry, entry, {'segment': [5, 5], 'label': 'run'}]})
        {'a': [{'segment': [0, 10], 'label': 'run'}]}
    """
    return {video: _distinct(entries, tolerance) for video, entries in ground_truth.items()}


def _distinct(entries, tolerance: float) -> list:
    kept: list = []
    for entry in entries:
        start, end = entry['segment']
        if end - start >= tolerance and not any(
            entry['label'] == other['label']
            and abs(start - other['segment'][0]) <= tolerance
            and abs(end - other['segment'][1]) <= tolerance
            for other in kept
        ):
            kept.append(entry)
    return kept
