"""Temporal action localization on frozen features: annotations and the features of their videos."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmaction.registry import DATASETS
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from sola_plugin.datasets.annotations.exclusion import excluded_videos
from sola_plugin.datasets.annotations.formats.records import Durations
from sola_plugin.datasets.annotations.model import (
    AnnotationError,
    Video,
    check_segments,
    choose_subset,
    load_annotations,
)
from sola_plugin.datasets.features.open import open_features, rooted, settle_time
from sola_plugin.datasets.features.store import FeatureStore
from sola_plugin.messages import first_few

from .pairing import compare_lengths, report_unannotated, videos_with_features
from .transforms import LoadFeatures, PackTALInputs


@DATASETS.register_module()
class TALFeatureDataset(BaseDataset):
    """Videos as native-length frozen features with the segments of their actions.

    Args:
        ann_file: Annotations, JSON or CSV, plain or gzipped; see
            :func:`~sola_plugin.datasets.annotations.model.load_annotations`. Durations that it does
            not give are those of the features, which needs ``feature_stride``.
        data_root: Folder that relative paths start from.
        data_prefix: ``dict(features=SOURCE)``: a folder of feature files, a file of all videos, a
            packed folder, or a list of them that are fused; see
            :func:`~sola_plugin.datasets.features.open.open_features`.
        subset: Subset or subsets of the annotation file, such as ``'training'``; ``None``: all.
        videos: Shell pattern or patterns of the ids of the videos that are read, such as the folds
            of a cross validation: ``'salad_1_*'``, or all but these: ``'!salad_1_*'``.
        exclude: Ids of videos that are left out, such as blocked ones, or a file of them, one a
            line or a JSON list.
        classes: Labels in the order of their numbers. ``None``: ``metainfo['classes']``, or else
            the sorted labels of the whole file, which are the same for every subset.
        suffix: See :class:`~sola_plugin.datasets.features.folder.FeatureFolder`, as for the next
            five. Fused sources may have their own.
        key: See there.
        layout: See there.
        crops: See there; ``'random'`` is one crop at random unless ``test_mode`` is set, or sources
            are fused.
        crop_axis: See there.
        feat_dim: See there; of fused sources, that of all together.
        file_prefix: Start of the feature files' (arrays', packed) names that is not part of the
            video id.
        feature_stride: Seconds between two snippets. ``None``: what is noted in ``features.json``
            beside the features (by ``tools/extract_features.py``; of fused sources, if all have the
            same). Without it the features cover what the annotations say (``feature_frame``), or
            else the whole video.
        feature_offset: Second at which the first snippet starts; needs a stride. ``None``:
            likewise, or else 0.
        missing: What to do with videos that have no features: ``'error'``, or ``'skip'`` with a
            warning.
        filter_empty: Whether to leave out videos without a usable segment. ``None``: in training
            yes, in ``test_mode`` no.
        pipeline: Transforms. ``None``: ``LoadFeatures`` and ``PackTALInputs``.
        test_mode: See mmengine's ``BaseDataset``.
        **kwargs: ``metainfo``, ``indices``, ``serialize_data``, ``lazy_init``, ``max_refetch``:
            see mmengine's ``BaseDataset``.

    An item is ``dict(inputs, data_samples)``: ``inputs`` is float32 ``(C, T)``;
    ``data_samples.gt_instances`` holds ``gt_bbox``, float64 ``(G, 2)`` in fractions of the stretch
    that the features cover, and ``gt_labels``, int64 ``(G,)``; ``data_samples.metainfo`` holds
    ``video_name``, ``duration`` (s), ``feature_span`` (s), ``annotations`` as in the file, and
    ``classes``.

    Raises:
        AnnotationError: The annotations cannot be used, or have no such subset or classes.
        FeatureError: Videos have no features, or these cannot be read, or ``features.json`` says
            another stride or offset.
        ValueError: An argument is none of the known ones, or no video is left.
    """

    METAINFO = dict(dataset_type='TALFeatureDataset', task_name='temporal action localization')

    def __init__(
        self,
        ann_file: str,
        data_root: str = '',
        data_prefix: dict | None = None,
        subset: str | Sequence[str] | None = None,
        videos: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        suffix: str | None = None,
        file_prefix: str = '',
        key: str | None = None,
        layout: str | None = None,
        crops: str | int | None = None,
        crop_axis: int = 1,
        feat_dim: int | None = None,
        feature_stride: float | None = None,
        feature_offset: float | None = None,
        missing: str = 'error',
        filter_empty: bool | None = None,
        pipeline: Sequence[dict | Callable] | None = None,
        test_mode: bool = False,
        **kwargs,
    ) -> None:
        if missing not in ('error', 'skip'):
            raise ValueError(f"missing is {missing!r}, expected 'error' or 'skip'")
        if feature_stride is not None and feature_stride <= 0:
            raise ValueError(f'feature_stride is {feature_stride}, expected seconds above 0')
        data_prefix = dict(features='') if data_prefix is None else dict(data_prefix)
        if 'features' not in data_prefix:
            raise ValueError(f'data_prefix is {data_prefix}, expected dict(features=FOLDER)')
        self.subsets = (subset,) if isinstance(subset, str) else subset
        self.patterns = (videos,) if isinstance(videos, str) else videos
        self.feature_stride, self.feature_offset = settle_time(
            rooted(data_prefix['features'], data_root or ''), feature_stride, feature_offset
        )
        self.missing = missing
        self.exclude = exclude
        self.filter_empty = not test_mode if filter_empty is None else filter_empty
        self.file_prefix = file_prefix
        self._classes = classes
        self._source_options: dict[str, Any] = dict(
            suffix=suffix,
            prefix=file_prefix,
            key=key,
            layout=layout,
            crops=crops,
            crop_axis=crop_axis,
            feat_dim=feat_dim,
        )
        self._store: FeatureStore
        if pipeline is None:
            pipeline = (LoadFeatures(), PackTALInputs())
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix,
            pipeline=pipeline,
            test_mode=test_mode,
            **kwargs,
        )

    @property
    def feature_store(self) -> FeatureStore:
        """The features; loads the data if ``lazy_init`` has put that off."""
        self.full_init()
        return self._store

    @property
    def known_classes(self) -> list[str] | None:
        """The labels in the order of their numbers, where they were given."""
        classes = self._classes if self._classes is not None else self._metainfo.get('classes')
        return None if classes is None else list(classes)

    def open_features(self) -> FeatureStore:
        """Open the features.

        Raises:
            FeatureError: There are none.
        """
        return open_features(self.data_prefix['features'], **self._source_options)

    def durations(self, store: FeatureStore) -> Durations | None:
        """Ends of the features, for videos of which the annotations give no duration.

        Args:
            store: The features.

        Returns:
            Duration by video id, seconds; ``None`` without ``feature_stride``.
        """
        stride = self.feature_stride
        if stride is None:
            return None

        def end(video_id: str) -> float:
            # A video without features is refused or left out before its duration is used.
            return (
                self.feature_offset + store.length(video_id) * stride
                if video_id in store
                else math.inf
            )

        return end

    def without_excluded(self, videos: dict[str, Video]) -> dict[str, Video]:
        """Leave out the videos that ``exclude`` lists, and say in the log how many there were.

        Args:
            videos: Of the annotations, by id.

        Raises:
            AnnotationError: None of the listed videos is there.
            OSError: There is no such file.
        """
        if self.exclude is None:
            return videos
        in_file = isinstance(self.exclude, str)
        excluded, note = excluded_videos(
            rooted(self.exclude, self.data_root or '') if in_file else self.exclude, videos
        )
        self._log(note)
        return {name: video for name, video in videos.items() if name not in excluded}

    def load_data_list(self) -> list[dict]:
        """Read the annotations, list the features, and check one against the other.

        Returns:
            One dict a video: what :class:`~sola_plugin.datasets.transforms.LoadFeatures` requires
            but for ``feature_store``, and the ``annotations`` as in the file.
        """
        self._store = self.open_features()
        videos = load_annotations(self.ann_file, self.durations(self._store))
        report_unannotated(videos, self._store, self._log)
        classes = self._set_classes(videos)
        try:
            chosen = videos_with_features(
                choose_subset(self.without_excluded(videos), self.subsets, self.patterns),
                self._store,
                self.missing == 'skip',
                self.ann_file,
                self._log,
            )
            clean, dropped = check_segments(chosen, classes)
        except AnnotationError as error:
            raise AnnotationError(f'{self.ann_file}: {error}') from error
        if dropped:
            self._log(
                f'{len(dropped)} segments are left out of the training targets, because they '
                'are reversed, have no length or lie outside their video: '
                f'{first_few(dropped)}',
                logging.WARNING,
            )
        # An unclear orientation is an error of the set-up: found here, not in a loader's worker.
        _ = self._store.channels
        if self.feature_stride is not None:
            compare_lengths(chosen, self._store, self.feature_stride, self._log)
        numbers = {label: number for number, label in enumerate(classes)}
        return [
            self._data_info(video_id, video, clean[video_id], numbers)
            for video_id, video in chosen.items()
        ]

    def filter_data(self) -> list[dict]:
        """Leave out videos without a usable segment, if ``filter_empty``."""
        kept = self.data_list
        if self.filter_empty:
            kept = [info for info in self.data_list if info['gt_segments']]
            if len(kept) < len(self.data_list):
                self._log(
                    f'{len(self.data_list) - len(kept)} of {len(self.data_list)} videos have '
                    'no usable segment and are left out (filter_empty=False keeps them)'
                )
        if not kept:
            raise ValueError(
                f'{self.ann_file}: no video is left of {len(self.data_list)}; '
                'expected at least one with an action (filter_empty=False keeps those '
                'without)'
            )
        return kept

    def prepare_data(self, idx: int | tuple[int, int, int]) -> dict:
        """Run the pipeline on one video; see the class for what comes out.

        Args:
            idx: Number of the video, or with it first snippet and number of snippets of a window,
                as :class:`~sola_plugin.datasets.training_windows.TrainingWindowSampler` draws them.
        """
        index, *window = idx if isinstance(idx, tuple) else (idx,)
        return self.pipeline(
            {
                **self.get_data_info(index),
                **(dict(feature_window=tuple(window)) if window else {}),
                'feature_store': self.feature_store,
                'training': not self.test_mode,
                'classes': tuple(self._metainfo['classes']),
            }
        )

    def load_features(self, index: int) -> np.ndarray:
        """Features of the video ``index``, float32 ``(C, T)``.

        Raises:
            FeatureError: They cannot be read.
        """
        return self.feature_store.load(self.get_data_info(index)['video_name'])

    def _join_prefix(self) -> None:
        """Let relative paths start from ``data_root``; mmengine's own method knows no lists."""
        features = self.data_prefix.pop('features')
        super()._join_prefix()
        self.data_prefix['features'] = rooted(features, self.data_root or '')

    def _data_info(
        self, video_id: str, video: Video, clean: Video, numbers: dict[str, int]
    ) -> dict:
        return dict(
            video_name=video_id,
            duration=video.duration,
            feature_span=video.feature_span,
            feature_stride=self.feature_stride,
            feature_offset=self.feature_offset,
            annotations=list(video.annotations),
            gt_segments=[action['segment'] for action in clean.annotations],
            gt_classes=[numbers[action['label']] for action in clean.annotations],
        )

    def _set_classes(self, videos: dict[str, Video]) -> list[str]:
        classes = self.known_classes
        if classes is None:
            classes = sorted(
                {action['label'] for video in videos.values() for action in video.annotations}
            )
        self._metainfo['classes'] = list(classes)
        return self._metainfo['classes']

    def _log(self, message: str, level: int = logging.INFO) -> None:
        print_log(message, logger='current', level=level)
