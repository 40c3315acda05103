"""What features a neck was trained on: written down in a few numbers, and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sola_plugin.datasets.window_sources import open_videos
from sola_plugin.messages import first_few

from .lazy import stored_features
from .store import FeatureStore

#: Videos that are looked into. Other features differ in every video.
_NUM_SAMPLES = 8

#: Parts of the channels that are measured apart, so that exchanged sources show.
_NUM_PARTS = 4

#: Relative difference of values that are the same; float16 has 3 decimal digits.
_TOLERANCE = 2e-3


def record_features(features: Any) -> dict[str, Any]:
    """Describe features by what stays the same when they are copied, moved or packed.

    Ids and number of all videos; of 8 videos the number of snippets, and of their middle snippet
    the L2 norm of each quarter of the channels. Sizes, times and paths of files are left out: the
    same features lie elsewhere, in another form, on another machine. That a single video was
    extracted again may go unnoticed; other features in all videos do not.

    Args:
        features: See :class:`~sola_plugin.datasets.windows.SoLaWindowDataset`.

    Returns:
        ``dict(source=folder, videos=number, ids=hash, channels=C, samples={id: [T, norm, ...]})``,
        plain values. ``source`` is the last folder of the path, for readers; it is not compared.

    Raises:
        FeatureError: Features cannot be read.
    """
    store, videos = open_videos(features)
    names = {str(video): video for video in videos}
    samples, channels = {}, 0
    for name in sorted(names)[:: -(-len(names) // _NUM_SAMPLES) or 1]:
        channels, samples[name] = _sample(store, names[name])
    folders: list[str] = []
    if isinstance(store, FeatureStore):
        folders = [path.parent.name for path in store.files(videos[0])]
    ids = hashlib.sha256('\n'.join(sorted(names)).encode()).hexdigest()[:16]
    return dict(
        source=' + '.join(dict.fromkeys(folders)),
        videos=len(names),
        ids=ids,
        channels=channels,
        samples=samples,
    )


def feature_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Compare two records.

    Args:
        before: Result of :func:`record_features`.
        now: Another.

    Returns:
        What differs, in words; empty for the same features.

    Raises:
        ValueError: ``before`` is no record.
    """
    _check_record(before)
    changes = []
    if before['channels'] != now['channels']:
        changes.append(f'features of {before["channels"]} channels, now {now["channels"]}')
    if before['videos'] != now['videos']:
        changes.append(f'{before["videos"]} videos, now {now["videos"]}')
    elif before['ids'] != now['ids']:
        changes.append(f'{before["videos"]} videos with other ids')
    shared = [name for name in before['samples'] if name in now['samples']]
    others = [
        repr(name)
        for name in shared
        if not np.allclose(
            before['samples'][name], now['samples'][name], rtol=_TOLERANCE, atol=1e-6
        )
    ]
    if others and before['channels'] == now['channels']:
        changes.append(
            f'other features in {len(others)} of {len(shared)} videos that were looked at: '
            f'{first_few(others)}'
        )
    return changes


def other_features(before: Mapping[str, Any], features: Any) -> list[str]:
    """Compare a record with features of some of the same videos, and perhaps of others.

    Args:
        before: Result of :func:`record_features`.
        features: See there.

    Returns:
        What differs in the videos that both have; empty if nothing does, or if they share none.

    Raises:
        FeatureError: Features cannot be read.
        ValueError: ``before`` is no record.
    """
    _check_record(before)
    store, videos = open_videos(features)
    now = dict(before, samples={})
    for video in videos:
        if str(video) in before['samples']:
            now['channels'], now['samples'][str(video)] = _sample(store, video)
    return feature_changes(before, now)


def _sample(store: Any, video: Any) -> tuple[int, list]:
    """Channels of a video, and what a record holds of it."""
    features = (
        stored_features(store, video) if isinstance(store, FeatureStore) else store.load(video)
    )
    channels, length = features.shape
    middle = features[:, length // 2 : length // 2 + 1][:, 0]
    parts = np.array_split(middle.astype(np.float64), _NUM_PARTS)
    return channels, [length, *(float(f'{np.linalg.norm(part):.6g}') for part in parts)]


def _check_record(record: Mapping[str, Any]) -> None:
    """Refuse what a file may hold in the place of a record."""
    kinds = dict(channels=int, videos=int, ids=str, samples=Mapping)
    samples = record.get('samples')
    if any(not isinstance(record.get(key), kind) for key, kind in kinds.items()) or not all(
        isinstance(sample, (list, tuple))
        and len(sample) == 1 + _NUM_PARTS
        and all(isinstance(number, (int, float)) for number in sample)
        for sample in (samples or {}).values()
    ):
        raise ValueError(
            'the record of the features that a neck was trained on is damaged: train it again'
        )
