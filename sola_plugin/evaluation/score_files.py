"""Class scores of whole videos for class-agnostic proposals: files of classifiers of others."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmaction.registry import TASK_UTILS
from mmengine.fileio import load

from sola_plugin.messages import first_few

from .classifiers import checked_top_k, top_detections


class ScoreError(ValueError):
    """A file of class scores cannot be used."""


#: What :class:`ScoreFile` can make probabilities with.
TRANSFORMS = ('sigmoid', 'softmax')


@TASK_UTILS.register_module()
class ScoreFile:
    """Class scores of whole videos, read from a file.

    Args:
        path: JSON, either ``{video: {label: score}}`` or, as in the files of CUHK's ActivityNet
            classifier that many proposal papers use, ``{'results': {video: [score, ...]}, 'class':
            [label, ...]}``, or as ActivityNet's challenges have it, ``{'results': {video:
            [{'label', 'score'}, ...]}}``.
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
        self.path, self.top_k, self.prefix = path, checked_top_k(top_k), prefix
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
        if 'class' not in content and _is_challenge(content.get('results')):
            # A label that is given twice counts with its better score.
            return {
                video: {
                    entry['label']: entry['score']
                    for entry in sorted(entries, key=lambda entry: entry['score'])
                }
                for video, entries in content['results'].items()
            }
        if not set(content) >= {'results', 'class'}:
            return content
        labels, results = content['class'], content['results']
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise ScoreError(
                f"{self.path}: expected a list of labels under 'class', got {reprlib.repr(labels)}"
            )
        if not isinstance(results, dict):
            raise ScoreError(
                f"{self.path}: expected {{video: [score, ...]}} under 'results', got a "
                f'{type(results).__name__}'
            )
        for video, scores in results.items():
            if not isinstance(scores, list):
                raise ScoreError(
                    f'{self.path}: video {video!r}: expected a list of scores, got '
                    f'{reprlib.repr(scores)}'
                )
            if len(scores) != len(labels):
                raise ScoreError(
                    f'{self.path}: video {video!r} has {len(scores)} scores for '
                    f'{len(labels)} classes'
                )
        return {video: dict(zip(labels, scores)) for video, scores in results.items()}

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


def _is_challenge(results: Any) -> bool:
    return isinstance(results, dict) and all(
        isinstance(entries, list)
        and all(
            isinstance(entry, dict)
            and isinstance(entry.get('label'), str)
            and isinstance(entry.get('score'), (int, float))
            for entry in entries
        )
        for entries in results.values()
    )
