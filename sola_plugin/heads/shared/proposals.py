"""From maps to proposals, and these on the time axis of their video; NumPy only, for servers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def boundary_peaks(scores: np.ndarray) -> np.ndarray:
    """Candidate boundaries inside a video: local peaks, and whatever exceeds half of the maximum.

    Args:
        scores: Boundary scores ``(T,)``.

    Returns:
        Bool ``(T,)``; the first and the last cell are left to the caller.
    """
    peaks = np.zeros(len(scores), dtype=bool)
    inner = scores[1:-1]
    peaks[1:-1] = ((inner > scores[2:]) & (inner > scores[:-2])) | (inner > 0.5 * scores.max())
    return peaks


def proposals_from_maps(
    start: np.ndarray,
    end: np.ndarray,
    confidence: np.ndarray,
    candidates_only: bool = True,
    boundary_scores: bool = True,
) -> np.ndarray:
    """Every pair of a candidate start and a candidate end (BMN, https://arxiv.org/abs/1907.09702).

    Cell ``(d, s)`` of a map is the proposal ``[s, s + d + 1]`` in cells. As in mmaction2, one that
    ends with the last cell (``s + d + 1 = T``) is trained but never proposed.

    Args:
        start: Scores ``(T,)`` that an action starts in a cell.
        end: Scores ``(T,)`` that an action ends in a cell.
        confidence: Confidence maps ``(2, D, T)``, regression and classification.
        candidates_only: Whether only candidates count, see :func:`boundary_peaks`, or every cell.
        boundary_scores: Whether the scores of start and end are part of the proposal's.

    Returns:
        ``(P, 3)`` float64: start and end as fractions of T, and the product of the scores.
    """
    size = len(start)
    starts, ends = (boundary_peaks(v) | (not candidates_only) for v in (start, end))
    starts[0] = ends[-1] = True
    duration, first = np.nonzero(np.broadcast_to(starts, confidence.shape[1:]))
    last = first + duration + 1
    keep = last < size
    keep[keep] = ends[last[keep]]
    duration, first, last = duration[keep], first[keep], last[keep]
    regression, classification = confidence[:, duration, first]
    score = start[first] * end[last] if boundary_scores else 1.0
    score = score * classification * regression
    return np.stack([first / size, last / size, score.astype(np.float64)], axis=1)


def proposals_in_seconds(
    proposals: np.ndarray,
    span: tuple[float, float],
    duration: float,
    top_k: int,
    labels: Sequence[str] | None = None,
) -> list[dict]:
    """Best proposals, or detections, on the time axis of the video.

    Args:
        proposals: ``(P, 3)`` or more columns: start and end as fractions of the span, score.
        span: ``(start, end)`` in seconds of what the features cover.
        duration: Length of the video in seconds; proposals are cut to it.
        top_k: Number of proposals kept.
        labels: Label of each proposal.

    Returns:
        ``[dict(score=float, segment=[start, end])]``, best first; with labels also ``label``.
    """
    order = proposals[:, 2].argsort()[::-1][:top_k]
    proposals = proposals[order]
    segments = times_in_seconds(proposals[:, :2], span, duration)
    results: list[dict] = [
        dict(score=float(score), segment=[float(start), float(end)])
        for (start, end), score in zip(segments, proposals[:, 2])
    ]
    if labels is not None:
        for result, index in zip(results, order):
            result['label'] = labels[index]
    return results


def times_in_seconds(
    fractions: np.ndarray, span: tuple[float, float], duration: float
) -> np.ndarray:
    """Starts or ends of proposals on the time axis of the video.

    Args:
        fractions: Of the span, any shape.
        span: ``(start, end)`` in seconds of what the features cover.
        duration: Length of the video in seconds; what is beyond it is cut to it.

    Returns:
        Seconds in ``[0, duration]``, of the same shape.

    Example:
        >>> times_in_seconds(np.array([0.0, 0.5, 1.0]), (1.0, 9.0), 8.0).tolist()
        [1.0, 5.0, 8.0]
    """
    begin, end = span
    return (begin + fractions.clip(0, 1) * (end - begin)).clip(0, duration)


def results_in_seconds(
    videos: Sequence[np.ndarray],
    data_samples: Sequence,
    interval: int,
    top_k: int,
    classes: Sequence[str] | None = None,
) -> list[dict]:
    """What a localizer predicts for a batch.

    Args:
        videos: Proposals of each video, ``(P_i, 3)``: start and end as fractions of what its
            features cover, score; with ``classes``, ``(P_i, 4)``: the number of the class behind
            them.
        data_samples: Their data samples, see :func:`covered_span` for the meta information.
        interval: See there.
        top_k: Number of proposals kept of each.
        classes: Labels in the order of their numbers; ``None``: the proposals have none.

    Returns:
        For each video ``dict(video_name=str, proposal_list=[dict(score, segment)])``, best first,
        with ``classes`` also ``label``.
    """
    results = []
    for proposals, sample in zip(videos, data_samples):
        span, duration = covered_span(sample.metainfo, interval)
        labels = (
            None if classes is None else [classes[number] for number in proposals[:, 3].astype(int)]
        )
        results.append(
            dict(
                video_name=sample.metainfo['video_name'],
                proposal_list=proposals_in_seconds(proposals, span, duration, top_k, labels),
            )
        )
    return results


def covered_span(metainfo: dict, interval: int) -> tuple[tuple[float, float], float]:
    """What the features of a video cover, and the video's duration, both in seconds.

    Args:
        metainfo: Meta information of a data sample: ``feature_span`` and ``duration`` of this
            package, or mmaction2's ``duration_frame`` and ``duration_second``.
        interval: Frames between two snippets; mmaction2 cuts its videos to a multiple of it.

    Raises:
        KeyError: Neither is there.
    """
    if 'feature_span' in metainfo:
        start, end = metainfo['feature_span']
        return (start, end), metainfo['duration']
    missing = [key for key in ('duration_frame', 'duration_second') if key not in metainfo]
    if missing:
        raise KeyError(
            f'the data sample of {metainfo.get("video_name")!r} lacks {missing}: add them to '
            'meta_keys of PackLocalizationInputs'
        )
    frames = metainfo['duration_frame']
    covered = float(frames // interval * interval) / frames * metainfo['duration_second']
    return (0.0, covered), covered
