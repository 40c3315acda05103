"""From class-agnostic proposals to detections: sources of class scores.

All have ``classify(video_name, features, feature_span, proposals)``, which returns ``top_k``
detections for every proposal, scored by the proposal's score times the class score. One with
``needs_features = False`` is asked without features and feature span. Registered in mmaction2's
``TASK_UTILS``, so that a config names them inside of ``TALMetric``.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from mmaction.registry import DATASETS, TASK_UTILS
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from rich.progress import track

from sola_plugin.evaluation.probe.linear_model import LinearModel
from sola_plugin.segments import segment_means

from .score_files import ScoreError, ScoreFile, checked_top_k, top_detections

__all__ = [
    'LinearClassifier',
    'ScoreError',
    'ScoreFile',
    'StoredClassifier',
    'feature_span',
    'read_metainfo',
    'top_detections',
]

#: What mmaction2 notes of the time axis.
_STOCK_KEYS = ('duration_second', 'duration_frame', 'feature_frame')


class _SegmentClassifier:
    """Classifies the mean feature of a segment by a linear model."""

    top_k: int
    model: LinearModel
    name: str

    def classify(
        self,
        video_name: str,
        features: np.ndarray,
        feature_span: tuple[float, float],
        proposals: Sequence[Mapping[str, Any]],
    ) -> list[dict]:
        """Give every proposal the most probable classes of its mean feature.

        Args:
            video_name: Names the video in errors.
            features: Raw features of the video ``(C, T)``; see
                :func:`~sola_plugin.segments.segment_means` for what they may be.
            feature_span: ``(start, end)`` in seconds that they cover.
            proposals: Dicts with ``segment`` (seconds) and ``score``.

        Returns:
            Detections ``segment, label, score``.

        Raises:
            ValueError: The features have other channels than the training data, or the training
                data is not fit for use.
        """
        means = segment_means(features, feature_span, [p['segment'] for p in proposals])
        channels = len(self.model.mean)
        if means.shape[1] != channels:
            raise ValueError(
                f'features of {video_name!r} have {means.shape[1]} channels, but '
                f'{self.name} was fitted on {channels}'
            )
        if not len(proposals):
            return []
        return top_detections(
            proposals, self.model.probabilities(means), self.model.labels.tolist(), self.top_k
        )


@TASK_UTILS.register_module()
class LinearClassifier(_SegmentClassifier):
    """Linear classifier of mean features, fitted on the annotated segments of a dataset.

    A sample is the mean of the raw snippet features inside of one annotated segment; features are
    standardised and classified by multinomial logistic regression. It is fitted at its first use,
    without random numbers, so every rank gets the same.

    Args:
        dataset: The training data: a dataset, or its config. It is iterated once, and should load
            features without augmentation. Its items are ``dict(inputs=(C, T) tensor,
            data_samples=...)`` with ``annotations`` and ``feature_span`` (or mmaction2's
            ``duration_second``, ``duration_frame``, ``feature_frame``) in the metainfo.
        top_k: Number of classes that each proposal gets.
        C: Inverse of the regularisation, scikit-learn's.
        save_to: ``.npz`` file for the fitted weights, which :class:`StoredClassifier` reads.
    """

    name = 'LinearClassifier'

    def __init__(
        self, dataset: Any, top_k: int = 2, C: float = 1.0, save_to: str | os.PathLike | None = None
    ) -> None:
        self.dataset, self.top_k, self.C, self.save_to = dataset, checked_top_k(top_k), C, save_to

    @property
    def settings(self) -> str:
        """What the weights depend on, as text; of a dataset that is no config, nothing is known."""
        dataset = dict(self.dataset) if isinstance(self.dataset, Mapping) else None
        return json.dumps(dict(dataset=dataset, C=self.C), default=str, sort_keys=True)

    @cached_property
    def model(self) -> LinearModel:  # type: ignore[override]
        """The fitted weights."""
        samples, labels = self._training_samples()
        model = LinearModel.fit(samples, labels, self.C, self.settings)
        if self.save_to is not None and is_main_process():
            try:
                model.save(self.save_to)
            except OSError as error:
                print_log(
                    f'the weights of the linear classifier are not stored: {error}',
                    'current',
                    logging.WARNING,
                )
        return model

    def _training_samples(self) -> tuple[np.ndarray, list[str]]:
        """One row ``(C,)`` and one label for every annotated segment."""
        dataset = self.dataset
        if isinstance(dataset, Mapping):
            dataset = DATASETS.build(dict(dataset))
        means, labels = [], []
        for index in track(
            range(len(dataset)),
            'Fitting the linear classifier',
            transient=True,
            disable=not is_main_process(),
        ):
            item = dataset[index]
            meta = item['data_samples'].metainfo
            annotations = read_metainfo(meta, 'annotations')
            means.append(
                segment_means(
                    item['inputs'].float().numpy(),
                    feature_span(meta),
                    [a['segment'] for a in annotations],
                )
            )
            labels += [a['label'] for a in annotations]
        if not labels:
            raise ValueError(
                f'LinearClassifier: none of the {len(dataset)} items of its dataset '
                'has an annotated segment'
            )
        return np.concatenate(means), labels


@TASK_UTILS.register_module()
class StoredClassifier(_SegmentClassifier):
    """A :class:`LinearClassifier` without its training data.

    Args:
        path: File that ``LinearClassifier(save_to=...)`` has written; ``tools/test.py`` leaves a
            ``classifier.npz`` in its work dir.
        top_k: Number of classes that each proposal gets.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not such a file.
    """

    def __init__(self, path: str | os.PathLike, top_k: int = 2) -> None:
        self.model, self.top_k = LinearModel.load(path), checked_top_k(top_k)
        self.name = f'the classifier {os.fspath(path)}'


def read_metainfo(metainfo: Mapping[str, Any], key: str) -> Any:
    """Return ``metainfo[key]``.

    Raises:
        ValueError: The key is missing; the message says how to get it into the metainfo.
    """
    if key not in metainfo:
        raise ValueError(_missing(metainfo, repr(key)))
    return metainfo[key]


def feature_span(metainfo: Mapping[str, Any]) -> tuple[float, float]:
    """Return the ``(start, end)`` in seconds that a video's features cover.

    With mmaction2's own annotation keys, the features cover ``feature_frame`` of ``duration_frame``
    frames from the start of the video.

    Raises:
        ValueError: Neither ``feature_span`` nor all of mmaction2's keys are there.
    """
    if 'feature_span' in metainfo:
        start, end = metainfo['feature_span']
        return float(start), float(end)
    if any(key not in metainfo for key in _STOCK_KEYS):
        stock = ', '.join(map(repr, _STOCK_KEYS))
        raise ValueError(_missing(metainfo, f"'feature_span' (or {stock})"))
    seconds, frames, covered = (float(metainfo[key]) for key in _STOCK_KEYS)
    return 0.0, covered / frames * seconds


def _missing(metainfo: Mapping[str, Any], keys: str) -> str:
    return (
        f'the data sample of video {metainfo.get("video_name", "?")!r} has no {keys} in its '
        "metainfo: add it to 'meta_keys' of the packing transform (PackLocalizationInputs) in "
        "this dataset's pipeline"
    )
