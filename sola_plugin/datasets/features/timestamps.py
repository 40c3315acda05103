"""Time stamps that an extractor wrote beside the features: do they say what the config says?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sola_plugin.datasets.findings import Finding, prevalence_level

from .readers import FeatureError, open_array, reading

#: Seconds of a unit, and how the names of files say it.
_UNITS = {'s': 1.0, 'ms': 1e-3, 'us': 1e-6, 'ns': 1e-9}

#: Relative difference of strides that are the same: stamps are rounded.
_SAME = 0.01

#: Deviation of a step, in steps, that is a gap and no rounding.
_GAP = 0.5


def read_timestamps(path: Path, duration: float) -> np.ndarray:
    """Read the times of the snippets of a video.

    Args:
        path: Any feature file with one array. ``x_timestamps_ms.npy`` says its unit, one of s, ms,
            us and ns; else it is the one under which the stamps end nearest to the video's end.
        duration: Length of the video, seconds.

    Returns:
        ``(T,)`` float64, seconds.

    Raises:
        FeatureError: There is no such file, or it does not hold increasing numbers.
    """
    with reading(str(path), path.suffix.lower()), open_array(path) as array:
        times = np.asarray(array[:], dtype=np.float64).squeeze()
    if times.ndim != 1 or len(times) < 2 or not np.isfinite(times).all():
        raise FeatureError(
            f'{path}: expected the time of each snippet, finite numbers along one axis, got shape '
            f'{times.shape}'
        )
    if not (np.diff(times) > 0).all():
        first = int(np.argmin(np.diff(times) > 0))
        raise FeatureError(
            f'{path}: expected times that increase, got {times[first]:g} and then '
            f'{times[first + 1]:g} (snippets {first} and {first + 1})'
        )
    unit = path.stem.rpartition('_')[2]
    if unit not in _UNITS:
        unit = min(_UNITS, key=lambda name: abs(math.log(times[-1] * _UNITS[name] / duration)))
    return times * _UNITS[unit]


def check_timestamps(
    paths: Mapping[str, Path],
    lengths: Mapping[str, int],
    durations: Mapping[str, float],
    stride: float | None,
) -> list[Finding]:
    """Compare time stamps with the number of snippets and the stride that is assumed.

    Args:
        paths: File of the time stamps by id of the video.
        lengths: T by id.
        durations: Seconds by id.
        stride: Seconds between two snippets; ``None``: nothing is said.
    """
    failed, counts, gaps, strides = [], [], [], {}
    for video_id, path in paths.items():
        try:
            times = read_timestamps(path, durations[video_id])
        except FeatureError as error:
            failed.append(str(error))
            continue
        steps = np.diff(times)
        strides[video_id] = step = float(np.median(steps))
        if len(times) != lengths[video_id]:
            counts.append(f'{video_id!r}: {len(times)} times for {lengths[video_id]} snippets')
        uneven = np.abs(steps - step) > _GAP * step
        if uneven.any():
            first = int(np.argmax(uneven))
            gaps.append(f'{video_id!r}: {steps[first]:.4g} s instead of {step:.4g} s after {first}')
    total = len(paths)
    found = [
        ('error', 'timestamps', 'time stamps cannot be used', failed),
        ('error', 'timestamps-count', 'have another number of time stamps than snippets', counts),
        (
            'warning',
            'timestamps-gaps',
            'have snippets that are not evenly spaced, which one feature_stride cannot say: '
            'segments move by the gaps; extract the features again',
            gaps,
        ),
    ]
    findings = [
        Finding.of(level, kind, f'of {len(cases)} of {total} videos: {text}', cases)
        for level, kind, text, cases in found
        if cases
    ]
    return findings + _check_stride(strides, stride)


def _check_stride(strides: Mapping[str, float], stride: float | None) -> list[Finding]:
    if not strides:
        return []
    usual = float(np.median(list(strides.values())))
    other = [
        f'{video_id!r}: {step:.6g} s'
        for video_id, step in strides.items()
        if abs(step / (usual if stride is None else stride) - 1) > _SAME
    ]
    if not other:
        said = '' if stride is None else ', as feature_stride says'
        advice = f': give feature_stride={usual:.6g}' if stride is None else ''
        text = f'the time stamps have a snippet every {usual:.6g} s{said}{advice}'
        return [Finding('info', 'timestamps-stride', text, len(strides))]
    assumed = 'others' if stride is None else f'feature_stride={stride:g}'
    level = prevalence_level(len(other), len(strides))
    return [
        Finding.of(
            level,
            'timestamps-stride',
            f'the time stamps of {len(other)} of {len(strides)} videos have another step than '
            f'{assumed}: a snippet every {usual:.6g} s in the median video',
            other,
        )
    ]
