"""Annotations and features of the same videos: what one has and the other lacks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping

from sola_plugin.datasets.annotations.model import Video
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.datasets.features.store import FeatureStore
from sola_plugin.messages import first_few
from sola_plugin.segments import fits_duration

#: Videos whose length in features is compared with their duration.
_NUM_LENGTH_CHECKS = 32


#: Writes a line to the log: ``log(message, level=logging.INFO)``.
Log = Callable[..., None]


def videos_with_features(
    videos: dict[str, Video],
    store: FeatureStore,
    skip: bool,
    ann_file: str | os.PathLike,
    log: Log,
) -> dict[str, Video]:
    """The videos that have features.

    Args:
        videos: Of the annotations.
        store: The features.
        skip: Whether videos without features are left out, with a warning.
        ann_file: The annotations, for messages.
        log: Told what is left out.

    Raises:
        FeatureError: There are others, and they are not to be left out; or no video has features.
    """
    without = [video_id for video_id in videos if video_id not in store]
    if not without:
        return videos
    found = (
        f'{ann_file}: {len(without)} of {len(videos)} videos have no features: '
        f'{first_few(map(repr, without))}'
    )
    if not skip or len(without) == len(videos):
        raise FeatureError(
            f'{found}. Expected, for example, {store.where(without[0])}, got, for example, '
            f'{store.where(store.ids()[0])}: check data_prefix, file_prefix and suffix, or '
            "leave these videos out with missing='skip'"
        )
    log(
        f"{found}; they are left out (missing='skip'). In test data this leaves their "
        'ground truth out as well and raises mAP',
        logging.WARNING,
    )
    return {video_id: video for video_id, video in videos.items() if video_id in store}


def report_unannotated(videos: Mapping[str, Video], store: FeatureStore, log: Log) -> None:
    """Say which features are not used.

    Args:
        videos: All of the annotations.
        store: The features.
        log: Told of them.
    """
    alone = [video_id for video_id in store.ids() if video_id not in videos]
    if alone:
        log(
            f'{len(alone)} of {len(store)} videos in {store.name} '
            f'have no annotations and are not used: {first_few(map(repr, alone))}'
        )


def compare_lengths(
    videos: Mapping[str, Video], store: FeatureStore, stride: float, log: Log
) -> None:
    """Compare features and duration on some videos: a wrong stride shows in all of them.

    Args:
        videos: Of the annotations, with features.
        store: The features.
        stride: Seconds between two snippets.
        log: Told of those that differ.
    """
    ids = list(videos)[:: max(1, len(videos) // _NUM_LENGTH_CHECKS)]
    wrong = []
    for video_id in ids:
        length, duration = store.length(video_id), videos[video_id].duration
        if not fits_duration(length, stride, duration):
            wrong.append(f'{video_id!r} covers {length * stride:.1f} s of {duration:.1f} s')
    if wrong:
        log(
            f'with feature_stride={stride:g} s the features of {len(wrong)} '
            f'of {len(ids)} videos looked at are not as long as the video: '
            f'{first_few(wrong)}. Check feature_stride (seconds, not frames)',
            logging.WARNING,
        )
