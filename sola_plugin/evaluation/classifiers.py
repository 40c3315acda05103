"""From class-agnostic proposals to detections: sources of class scores.

All have ``classify(video_name, features, feature_span, proposals)``, which returns ``top_k``
detections for every proposal, scored by the proposal's score times the class score. One with
``needs_features = False`` is asked without features and feature span. Registered in mmaction2's
``TASK_UTILS``, so that a config names them inside of ``TALMetric``.
"""

from __future__ import annotations

import json
import logging
import math
import os
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from mmaction.registry import DATASETS, TASK_UTILS
from mmengine.dist import is_main_process
from mmengine.fileio import load
from mmengine.logging import print_log
from rich.progress import track

from sola_plugin.evaluation.probe.linear_model import LinearModel
from sola_plugin.messages import first_few
from sola_plugin.segments import segment_means

#: What mmaction2 notes of the time axis.
_STOCK_KEYS = ('duration_second', 'duration_frame', 'feature_frame')


class ScoreError(ValueError):
    """A file of class scores cannot be used."""


#: What :class:`ScoreFile` can make probabilities with.
TRANSFORMS = ('sigmoid', 'softmax')


def top_detections(
    proposals: Sequence[Mapping[str, Any]],
    class_scores: np.ndarray,
    labels: Sequence[str],
    top_k: int,
) -> list[dict]:
    """Give every proposal its best classes.

    Args:
        proposals: ``n`` dicts with ``segment`` (seconds) and ``score``.
        class_scores: ``(n, n_class)``, or ``(1, n_class)`` for all proposals alike.
        labels: The ``n_class`` names.
        top_k: Number of classes that each proposal gets.

    Returns:
        ``n * min(top_k, n_class)`` dicts ``segment, label, score``, proposal after proposal, the
        best class first.
    """
    class_scores = np.broadcast_to(class_scores, (len(proposals), len(labels)))
    best = np.argsort(-class_scores, axis=1, kind='stable')[:, :top_k]
    return [
        {
            'segment': list(proposal['segment']),
            'label': labels[c],
            'score': float(proposal['score'] * scores[c]),
        }
        for proposal, scores, classes in zip(proposals, class_scores, best)
        for c in classes
    ]


@TASK_UTILS.register_module()
class ScoreFile:
    """Class scores of whole videos, read from a file.

    Args:
        path: JSON, either ``{video: {label: score}}`` or, as in the files of CUHK's ActivityNet
            classifier that many proposal papers use, ``{'results': {video: [score, ...]}, 'class':
            [label, ...]}``.
        top_k: Number of classes that each proposal gets.
        prefix: Put before the video ids of the file, which may lack the ``v_`` of the dataset's
            ids.
        transform: What makes probabilities of the numbers of the file: ``'sigmoid'``, ``'softmax'``
            (over the classes of the file), or ``None``: they are probabilities.

    Raises:
        ValueError: The file has another form, a score is no probability, or there are not as many
            scores as classes; the message names file and video.
    """

    needs_features = False

    def __init__(
        self,
        path: str | os.PathLike,
        top_k: int = 2,
        prefix: str = '',
        transform: str | None = None,
    ) -> None:
        if transform not in (None, *TRANSFORMS):
            raise ValueError(f'expected transform to be one of {TRANSFORMS}, got {transform!r}')
        self.path, self.top_k, self.prefix = path, _positive(top_k), prefix
        self.transform = transform
        self._scores = {
            prefix + video: self._check(video, scores) for video, scores in self._read().items()
        }

    def _read(self) -> dict[str, dict[str, float]]:
        """Return the content of the file in the form ``{video: {label: score}}``."""
        try:
            content = load(os.fspath(self.path), file_format='json')
        except ValueError as error:
            raise ScoreError(f'{self.path}: not a JSON file, or cut short: {error}') from error
        if not isinstance(content, dict):
            raise ScoreError(
                f'{self.path}: expected {{video: {{label: score}}}}, got a {type(content).__name__}'
            )
        if not set(content) >= {'results', 'class'}:
            return content
        labels = content['class']
        for video, scores in content['results'].items():
            if len(scores) != len(labels):
                raise ScoreError(
                    f'{self.path}: video {video!r} has {len(scores)} scores for '
                    f'{len(labels)} classes'
                )
        return {video: dict(zip(labels, scores)) for video, scores in content['results'].items()}

    def _check(self, video: str, scores: Any) -> tuple[list[str], np.ndarray]:
        """Return the labels and scores of one video, or raise."""
        if (
            not isinstance(scores, dict)
            or not scores
            or not all(
                isinstance(score, (int, float)) and math.isfinite(score)
                for score in scores.values()
            )
        ):
            raise ScoreError(
                f'{self.path}: video {video!r}: expected {{label: finite score}}, got '
                f'{reprlib.repr(scores)}'
            )
        values = np.array(list(scores.values()), dtype=np.float64)
        if self.transform == 'sigmoid':
            values = 1 / (1 + np.exp(-values))
        elif self.transform == 'softmax':
            values = np.exp(values - values.max())
            values /= values.sum()
        if values.min() < 0 or values.max() > 1:
            raise ScoreError(
                f'{self.path}: video {video!r}: expected probabilities in [0, 1], got scores from '
                f'{values.min():.4g} to {values.max():.4g}, which can turn the order of proposals '
                'round: say what makes probabilities of them, --score-transform sigmoid or softmax '
                "(dict(type='ScoreFile', transform=...))"
            )
        return list(scores), values

    def check_videos(self, names: Iterable[str]) -> None:
        """See whether there are scores for all videos.

        Raises:
            ValueError: Some have none.
        """
        missing = [name for name in names if name not in self._scores]
        if missing:
            raise ScoreError(
                f'{self.path}: no class scores for {len(missing)} videos: '
                f'{first_few(map(repr, missing))}; {self._known()}'
            )

    def _known(self) -> str:
        return (
            f'the file has {len(self._scores)} videos, the first are {list(self._scores)[:3]} '
            f'(prefix {self.prefix!r} included). If the ids differ by a prefix, give it: '
            "dict(type='ScoreFile', prefix='v_', ...)"
        )

    def classify(
        self,
        video_name: str,
        features: np.ndarray | None = None,
        feature_span: tuple[float, float] | None = None,
        proposals: Sequence[Mapping[str, Any]] = (),
    ) -> list[dict]:
        """Give every proposal the best classes of its video.

        Args:
            video_name: Whole video id.
            features: Not used.
            feature_span: Not used.
            proposals: Dicts with ``segment`` (seconds) and ``score``.

        Returns:
            Detections ``segment, label, score``.

        Raises:
            ValueError: The file does not have the video.
        """
        if video_name not in self._scores:
            raise ScoreError(
                f'{self.path}: no class scores for video {video_name!r}; {self._known()}'
            )
        labels, scores = self._scores[video_name]
        return top_detections(proposals, scores[None], labels, self.top_k)


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
        self.dataset, self.top_k, self.C, self.save_to = dataset, _positive(top_k), C, save_to

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
        self.model, self.top_k = LinearModel.load(path), _positive(top_k)
        self.name = f'the classifier {os.fspath(path)}'


def _positive(top_k: int) -> int:
    if top_k < 1:
        raise ValueError(f'top_k must be at least 1, got {top_k}')
    return top_k


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
