"""Own videos in, files that people look at out: what ``tools/localize.py`` does."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from sola_plugin.commands.extraction.encoding import VideoFeatures
from sola_plugin.commands.extraction.extract import find_videos
from sola_plugin.datasets.features.archive import OBJECT_SUFFIXES, may_hold_many
from sola_plugin.datasets.features.lazy import LazyFeatures, stored_features
from sola_plugin.datasets.features.open import open_features
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.datasets.features.store import FeatureStore
from sola_plugin.datasets.video import VIDEO_SUFFIXES
from sola_plugin.evaluation.detection_files import write_detections
from sola_plugin.file_names import check_file_names, file_name
from sola_plugin.visualization.timeline_page import clock, write_timeline_page

from .export import NO_LABEL, viewing_threshold, write_csv, write_srt
from .localizing import class_names, detect_actions
from .video_features import (
    array_features,
    check_length,
    dataset_options,
    open_feature_file,
    time_axis,
)


@dataclass(frozen=True)
class LocalizationInput:
    """One video to localize.

    Attributes:
        name: Its id, and the name of its files.
        read: Opens its features, or makes them; with them ``stride``, ``offset`` and ``duration``
            where these are known.
        video: The video file, if there is one.
    """

    name: str
    read: Callable[[], tuple[LazyFeatures, dict[str, float]]]
    video: Path | None = None


def find_inputs(
    paths: Iterable[str | Path],
    reading: Mapping[str, Any],
    encode: Callable[[Path], VideoFeatures] | None = None,
    videos: Path | None = None,
) -> tuple[list[LocalizationInput], dict[str, str]]:
    """Find out what the arguments of the command line are.

    Args:
        paths: Feature files, folders (or ``.h5`` and ``.npz`` files) of the features of many
            videos, videos, and with ``encode`` folders of videos.
        reading: Options of :func:`~sola_plugin.datasets.features.open.open_features`.
        encode: Makes the features of a video.
        videos: Folder with the videos of the feature files, to be shown with them.

    Returns:
        The inputs, and why others cannot be read, by path.

    Raises:
        ValueError: A video is there, but no encoder, or two inputs have one name.
    """
    found: list[LocalizationInput] = []
    failed: dict[str, str] = {}
    for path in _with_videos_of_folders(map(Path, paths), encode is not None):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            if encode is None:
                raise ValueError(
                    f'{path} is a video: say what encodes it, as for the training of the '
                    'localizer, with '
                    '--recognizer CONFIG CHECKPOINT (or --encoder), --length, --stride and --fps'
                )
            found.append(
                LocalizationInput(path.stem, functools.partial(_encode, encode, path), path)
            )
            continue
        try:
            found += _feature_inputs(path, reading, videos)
        except (ValueError, OSError) as error:
            failed[str(path)] = str(error)
    for name, times in collections.Counter(file_name(item.name) for item in found).items():
        if times > 1:
            raise ValueError(
                f'{times} inputs have the name {name!r}, so that their files would overwrite '
                'each other: localize them into different folders'
            )
    return found, failed


def _with_videos_of_folders(paths: Iterable[Path], encodes: bool) -> Iterator[Path]:
    """The paths, with the videos of a folder in its place where videos are to be encoded."""
    for path in paths:
        if not (encodes and path.is_dir()):
            yield path
            continue
        try:
            yield from find_videos(path).values()
        except ValueError:  # it has features
            yield path


def refuse_folder_of_inputs(paths: Iterable[str | Path], out: Path) -> None:
    """Refuse to write among feature files: ``.csv`` is a format of features, too.

    Raises:
        ValueError: ``out`` is a folder of features.
    """
    for path in map(Path, paths):
        folder = path if path.is_dir() else path.parent
        is_video = path.suffix.lower() in VIDEO_SUFFIXES
        alone = path.is_file() and len(list(folder.glob(f'*{path.suffix}'))) == 1
        if not (is_video or alone) and folder.resolve() == out.resolve():
            raise ValueError(
                f'--out {out} is the folder of the features: the .csv and .json that are written '
                'would be taken for features afterwards; choose another folder'
            )


def _feature_inputs(
    path: Path, reading: Mapping[str, Any], videos: Path | None
) -> Iterator[LocalizationInput]:
    store, ids = _open(path, reading)
    for video_id in ids:
        files = (
            [] if videos is None else [videos / f'{video_id}{suffix}' for suffix in VIDEO_SUFFIXES]
        )
        video = next((file for file in files if file.is_file()), None)
        yield LocalizationInput(video_id, functools.partial(_read, store, video_id), video)


def _open(path: Path, reading: Mapping[str, Any]) -> tuple[FeatureStore, list[str]]:
    """A store, and the ids that are meant."""
    if path.is_dir():
        store = open_features(path, **reading)
        return store, store.ids()
    if may_hold_many(path) and reading.get('key') is None:
        try:
            store = open_features(path, **reading)
        except FeatureError:
            if path.suffix.lower() not in OBJECT_SUFFIXES:
                raise  # else it may be the array of one video
        else:
            if len(store) > 1:
                return store, store.ids()
    store, video_id = open_feature_file(path, reading)
    return store, [video_id]


def _read(store: FeatureStore, video_id: str) -> tuple[LazyFeatures, dict[str, float]]:
    return stored_features(store, video_id), {}


def _encode(
    encode: Callable[[Path], VideoFeatures], path: Path
) -> tuple[LazyFeatures, dict[str, float]]:
    encoded = encode(path)
    return (
        array_features(encoded.features, path.stem),
        dict(stride=encoded.stride, offset=encoded.offset, duration=encoded.duration),
    )


def check_outputs(folder: Path, item: LocalizationInput) -> None:
    """See whether there can be the files of :func:`write_localized`, before a video is encoded.

    Raises:
        FileNameError: No files can have the name of the video.
    """
    check_file_names(folder, item.name, ('.json', '.csv', '.srt', '.html'))


def localize_input(
    model: nn.Module, item: LocalizationInput, classifier: Any = None, **given: float | None
) -> tuple[list[dict], float]:
    """Localize one input.

    Args:
        model: Result of :func:`~sola_plugin.commands.localization.localizing.load_localizer`.
        item: The input.
        classifier: See :func:`~sola_plugin.commands.localization.localizing.localize`.
        **given: ``stride``, ``offset`` and ``duration`` that come before what is known otherwise.

    Returns:
        The detections, best first, and the length of the video in seconds.

    Raises:
        ValueError, OSError: The input cannot be read; the message names it.
    """
    features, known = item.read()
    times = {**known, **{key: value for key, value in given.items() if value is not None}}
    axis = time_axis(
        item.name, features.shape[1], dataset_options(getattr(model, 'cfg', None)), **times
    )
    if not known:
        check_length(item.name, features.shape[1], axis)
    return detect_actions(model, features, axis, item.name, classifier), axis.duration


def write_localized(
    folder: Path,
    item: LocalizationInput,
    detections: Sequence[dict],
    duration: float,
    model: nn.Module,
    threshold: float | None = None,
) -> None:
    """Write ``.json``, ``.csv``, ``.srt`` and ``.html`` of one video.

    Args:
        folder: Where to.
        item: The video.
        detections: Best first.
        duration: Length of the video in seconds.
        model: The localizer, for its name and its classes.
        threshold: Smallest score in the subtitles, and at first on the page; ``None``: see
            :func:`~sola_plugin.commands.localization.export.viewing_threshold`.
    """
    path = folder / file_name(item.name)
    threshold = viewing_threshold(detections) if threshold is None else threshold
    write_detections(f'{path}.json', {item.name: detections})
    write_csv(f'{path}.csv', {item.name: detections})
    write_srt(f'{path}.srt', detections, threshold)
    labelled = [{'label': NO_LABEL, **detection} for detection in detections]
    write_timeline_page(
        f'{path}.html',
        labelled,
        duration,
        title=item.name,
        video=item.video,
        threshold=threshold,
        lead=f'{len(detections)} detections of {type(model).__name__} in {clock(duration)}',
        classes=class_names(model) or None,
    )
