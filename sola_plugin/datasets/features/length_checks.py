"""Checks of how long features are: against the video, and against the stride that is given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sola_plugin.datasets.annotations.model import COMMON_FPS
from sola_plugin.datasets.findings import Finding, prevalence_level
from sola_plugin.segments import fits_duration


def check_lengths(
    lengths: Mapping[str, int], durations: Mapping[str, float], stride: float | None
) -> list[Finding]:
    """Compare the number of snippets with the duration of every video.

    Args:
        lengths: T by id.
        durations: Seconds by id.
        stride: Seconds between two snippets that are assumed; ``None``: the features are taken to
            cover the video whatever their length.
    """
    if not lengths:
        return []
    fitting = float(
        np.median([durations[video_id] / length for video_id, length in lengths.items()])
    )
    findings = []
    if stride is None:
        if len(set(lengths.values())) == 1:
            return [
                Finding(
                    'info',
                    'resized',
                    f'all videos have {next(iter(lengths.values()))} snippets: '
                    'they are taken to cover the whole video',
                    len(lengths),
                )
            ]
        findings.append(
            Finding(
                'info',
                'stride',
                'no feature_stride is given: the features are taken to '
                f'cover the whole video, a snippet every {fitting:.4g} s in the median '
                'video',
                len(lengths),
            )
        )
    assumed = fitting if stride is None else stride
    wrong = [
        f'{video_id!r}: {length} snippets are {length * assumed:.1f} s of '
        f'{durations[video_id]:.1f} s'
        for video_id, length in lengths.items()
        if not fits_duration(length, assumed, durations[video_id])
    ]
    if wrong:
        level = 'warning' if stride is None else prevalence_level(len(wrong), len(lengths))
        advice = (
            _stride_hint(assumed, fitting, lengths, durations)
            if level == 'error'
            else 'are these features, and the durations in the annotations, complete?'
        )
        findings.append(
            Finding.of(
                level,
                'length',
                (
                    f'with a snippet every {assumed:.4g} s the features of {len(wrong)} of '
                    f'{len(lengths)} videos '
                    f'are not as long as the video: {advice}'
                ),
                wrong,
            )
        )
    return findings


def _stride_hint(
    stride: float, fitting: float, lengths: Mapping[str, int], durations: Mapping[str, float]
) -> str:
    """What to write instead of a stride that does not fit most videos."""
    if len(set(lengths.values())) == 1 and len(set(durations.values())) > 1:
        return (
            'all have the same number of snippets, so they were resized to cover the whole '
            'video: leave '
            'feature_stride out'
        )
    hint = f'feature_stride={fitting:.4g} would fit the median video (seconds between two snippets)'
    fps = next((fps for fps in COMMON_FPS if abs(stride / fitting / fps - 1) < 0.03), None)
    return f'{hint}; {stride:g} seem to be frames at {fps} fps: {stride:g}/{fps}' if fps else hint
