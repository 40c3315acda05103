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
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from mmaction.registry import DATASETS, TASK_UTILS
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from rich.progress import track

from sola_plugin import lazy_names
from sola_plugin.io import atomic_write
from sola_plugin.segments import segment_means
from sola_plugin.size_limits import member_shape

from .tal_metric import feature_span, read_metainfo

#: Score files build on what is here, and are found here too.
__getattr__ = lazy_names(
    'sola_plugin.evaluation', dict.fromkeys(('ScoreError', 'ScoreFile'), 'score_files')
)


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


def checked_top_k(top_k: int) -> int:
    """Return a number of classes for each proposal, or refuse it."""
    if top_k < 1:
        raise ValueError(f'top_k must be at least 1, got {top_k}')
    return top_k


@dataclass(frozen=True)
class LinearModel:
    """Fitted weights.

    Attributes:
        labels: ``(K,)`` text, the classes.
        mean: ``(C,)``, subtracted from the features.
        scale: ``(C,)``, what they are then divided by.
        weight: ``(K, C)``.
        bias: ``(K,)``.
        settings: What the weights were fitted on, as text.
    """

    labels: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    settings: str = ''

    @classmethod
    def fit(
        cls, samples: np.ndarray, labels: Sequence[str], C: float = 1.0, settings: str = ''
    ) -> LinearModel:
        """Fit by scikit-learn, without random numbers.

        Args:
            samples: ``(n, C)``.
            labels: One for each; at least one.
            C: Inverse of the regularisation, scikit-learn's.
            settings: See the class.

        Returns:
            The weights; of a single class all zero, so that its probability is 1.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(samples)
        classes = np.unique(np.array(labels))
        weight, bias = np.zeros((len(classes), samples.shape[1])), np.zeros(len(classes))
        if len(classes) > 1:
            fitted = LogisticRegression(C=C, max_iter=1000).fit(scaler.transform(samples), labels)
            # Of two classes there is one row, the second one's; the first one's logit is 0.
            weight[-len(fitted.coef_) :], bias[-len(fitted.coef_) :] = (
                fitted.coef_,
                fitted.intercept_,
            )
        return cls(classes, scaler.mean_, scaler.scale_, weight, bias, settings)

    def probabilities(self, samples: np.ndarray) -> np.ndarray:
        """Class probabilities.

        Args:
            samples: ``(n, C)``.

        Returns:
            float64 ``(n, K)``, rows sum to 1.
        """
        logits = (samples - self.mean) / self.scale @ self.weight.T + self.bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def save(self, path: str | os.PathLike) -> None:
        """Write a ``.npz`` file; it appears under its name only when it is complete."""
        arrays: dict[str, Any] = {
            field.name: np.asarray(getattr(self, field.name)) for field in fields(self)
        }
        with atomic_write(path, 'wb') as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> LinearModel:
        """Read a file of :meth:`save`; no code in it is run.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is not such a file.
        """
        names = [field.name for field in fields(cls)]
        try:
            with np.load(path, allow_pickle=False) as file:
                for info in file.zip.infolist():
                    member_shape(file.zip, info)
                content = {name: file[name] for name in names}
        except FileNotFoundError:
            raise FileNotFoundError(f'classifier {os.fspath(path)} does not exist') from None
        except Exception as error:  # NumPy raises many kinds for a torn or foreign file
            raise ValueError(
                f'cannot read the classifier {os.fspath(path)}: {error}. Expected a .npz file '
                f'with {", ".join(names)}, as tools/test.py writes it'
            ) from error
        return cls(**dict(content, settings=str(content['settings'])))


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
