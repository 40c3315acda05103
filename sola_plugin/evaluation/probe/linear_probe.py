"""Linear probe: how well a linear classifier tells action snippets from background."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score
from sklearn.preprocessing import normalize

from sola_plugin.segments import snippet_labels

from .boundary_distance import KINDS, accuracy_by_distance, boundary_distances

#: Inverse of the probe's regularisation, scikit-learn's ``C``. Normalised features that share a
#: large mean differ little, and at the usual 1 the penalty decides: the figures then tell how far a
#: method spreads the features, not whether they can be separated (docs/evaluation.md).
DEFAULT_C = 100.0
#: Units of the distance to a boundary.
UNITS = ('snippets', 'seconds')


class VideoFeatures(NamedTuple):
    """Features and segments of one video.

    Attributes:
        features: ``(C, T)``.
        feature_span: ``(start, end)`` in seconds that they cover.
        segments: ``(n, 2)`` in seconds; may be empty.
    """

    features: np.ndarray
    feature_span: tuple[float, float]
    segments: Sequence[Sequence[float]]


@dataclass(frozen=True)
class ProbeData:
    """Labelled snippets, one row each.

    Attributes:
        features: ``(n, C)``.
        labels: bool ``(n,)``, True for foreground (action); see
            :func:`~.segments.snippet_labels`.
        videos: int64 ``(n,)``, number of the video, 0, 1, ...
        distance: float64 ``(n,)``, signed distance to the nearest boundary, in the unit asked for;
            see :func:`~.boundary_distance.boundary_distances`.
        kind: int8 ``(n,)``, kind of this boundary.
    """

    features: np.ndarray
    labels: np.ndarray
    videos: np.ndarray
    distance: np.ndarray
    kind: np.ndarray

    @property
    def num_videos(self) -> int:
        """Number of videos."""
        return int(self.videos[-1]) + 1

    @classmethod
    def of(cls, videos: Iterable[VideoFeatures], unit: str = 'snippets') -> ProbeData:
        """Label the snippets of videos.

        Args:
            videos: At least one; taken one at a time.
            unit: Of the distance: ``'snippets'``, which are the same steps in videos of different
                strides, or ``'seconds'``.

        Raises:
            ValueError: Unknown ``unit``, or no videos.
        """
        if unit not in UNITS:
            raise ValueError(f'unit of the distance: expected one of {UNITS}, got {unit!r}')
        rows = [_rows(number, video, unit) for number, video in enumerate(videos)]
        if not rows:
            raise ValueError('expected at least one video, got none')
        return cls(*(np.concatenate(column) for column in zip(*rows)))


def _rows(number: int, video: VideoFeatures, unit: str) -> tuple[np.ndarray, ...]:
    features, (start, end), segments = video
    length = features.shape[1]
    distance, kind = boundary_distances(segments, (start, end), length)
    if unit == 'snippets':
        distance = distance / ((end - start) / length)
    return (
        features.T,
        snippet_labels(segments, (start, end), length),
        np.full(length, number),
        distance,
        kind,
    )


#: Names of the figures, and of the rows and columns of everything that shows them.
METRICS = ('accuracy', 'balanced_accuracy', 'average_precision')


def linear_probe(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    C: float = DEFAULT_C,
    tol: float = 1e-6,
    max_iter: int = 5000,
    balanced: bool = False,
) -> dict[str, float]:
    """Fit foreground/background on L2-normalised snippet features and score it on other snippets.

    The probe of the SoLa paper: one linear layer on normalised snippet features, here fitted to
    convergence by logistic regression, so that the result has no seed.

    Args:
        train_features: ``(n, C)``, one row a snippet.
        train_labels: bool ``(n,)``, True for foreground; see :func:`~.segments.snippet_labels`.
        test_features: ``(m, C)``.
        test_labels: bool ``(m,)``.
        C: Inverse of the regularisation, scikit-learn's.
        tol: Largest gradient at which the solver stops. Entries of normalised features are small,
            and so are gradients: at scikit-learn's 1e-4 the fit is not over.
        max_iter: Upper limit on the solver's iterations.
        balanced: Let foreground and background weigh the same in the fit. Where one of them is
            rare, the fit otherwise calls everything by the other's name.

    Returns:
        ``accuracy``, ``balanced_accuracy`` and ``average_precision`` (of foreground) on the test
        snippets, fractions in ``[0, 1]``.

    Raises:
        ValueError: Shapes do not fit, or one of the parts has only foreground or only background.
    """
    probe = _Probe(
        train_features, train_labels, test_features, test_labels, C, tol, max_iter, balanced
    )
    return probe.scores(probe.confidence())


@dataclass(frozen=True)
class SeededProbe:
    """Figures of the probe on resampled training videos; fractions in ``[0, 1]``.

    Attributes:
        all_videos: Metric → figure of :func:`linear_probe` on every training video once.
        scores: Metric → ``(S,)``, one figure for each seed.
        by_distance: ``'start'`` and ``'end'`` → ``(S, B)``, accuracy of each seed in bins of the
            distance to the nearest boundary; NaN in empty bins.
        counts: ``'start'`` and ``'end'`` → ``(B,)``, test snippets in each bin.
    """

    all_videos: dict[str, float]
    scores: dict[str, np.ndarray]
    by_distance: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]


def probe_over_seeds(
    train: ProbeData,
    test: ProbeData,
    seeds: Sequence[int],
    edges: Sequence[float] | np.ndarray,
    C: float = DEFAULT_C,
    balanced: bool = False,
) -> SeededProbe:
    """Repeat the probe on bootstrap samples of the training videos.

    Logistic regression has one solution, so its own seed would change nothing. What a result does
    depend on is which videos happened to be annotated. A seed therefore draws as many training
    videos as there are, with replacement; whole videos, because snippets of one video are alike and
    resampling them one by one would make the spread too small. The same seed draws the same videos
    for every method, so differences between methods can be paired. All seeds are tested on the same
    snippets.

    Args:
        train: Snippets to fit on, of at least two videos.
        test: Snippets to score.
        seeds: At least one.
        edges: ``(B + 1,)``, edges of the bins of the distance, see
            :func:`~.boundary_distance.accuracy_by_distance`.
        C: Inverse of the regularisation, scikit-learn's.
        balanced: See :func:`linear_probe`.

    Returns:
        See :class:`SeededProbe`.

    Raises:
        ValueError: As :func:`linear_probe`; too few videos; a seed draws only foreground or only
            background; bad edges.
    """
    if not seeds:
        raise ValueError('seeds: expected at least one, got none')
    if train.num_videos < 2:
        raise ValueError('seeds resample the training videos: expected at least 2, got 1')
    probe = _Probe(train.features, train.labels, test.features, test.labels, C, balanced=balanced)
    scores, binned = [], []
    for seed in seeds:
        weights = bootstrap_weights(train.videos, seed)
        _check_both(f'training videos drawn with seed {seed}', train.labels[weights > 0])
        confidence = probe.confidence(weights)
        scores.append(probe.scores(confidence))
        binned.append(
            accuracy_by_distance(test.distance, test.kind, (confidence > 0) == test.labels, edges)
        )
    return SeededProbe(
        all_videos=probe.scores(probe.confidence()),
        scores={metric: np.array([score[metric] for score in scores]) for metric in METRICS},
        by_distance={kind: np.stack([bins[kind].accuracy for bins in binned]) for kind in KINDS},
        counts={kind: binned[0][kind].num_snippets for kind in KINDS},
    )


def bootstrap_weights(videos: np.ndarray, seed: int) -> np.ndarray:
    """How often each snippet's video is drawn when whole videos are drawn with replacement.

    Args:
        videos: int ``(n,)``, number of the video of each snippet, from 0 on without gaps.
        seed: Of the draw.

    Returns:
        int64 ``(n,)``.

    Example:
        >>> bootstrap_weights(np.array([0, 0, 1, 2, 2]), 0).tolist()
        [0, 0, 2, 1, 1]
    """
    number = int(videos.max()) + 1
    drawn = np.random.default_rng(seed).integers(number, size=number)
    return np.bincount(drawn, minlength=number)[videos]


class _Probe:
    """The classifier on checked, normalised snippets, with :func:`linear_probe`'s arguments."""

    def __init__(
        self,
        train_features: np.ndarray,
        train_labels: np.ndarray,
        test_features: np.ndarray,
        test_labels: np.ndarray,
        C: float,
        tol: float = 1e-6,
        max_iter: int = 5000,
        balanced: bool = False,
    ) -> None:
        train = _check('train', train_features, train_labels)
        test = _check('test', test_features, test_labels)
        if train[0].shape[1] != test[0].shape[1]:
            raise ValueError(
                f'train features have {train[0].shape[1]} channels, test features have '
                f'{test[0].shape[1]}: expected the same'
            )
        self.train, self.train_labels = normalize(train[0]), train[1]
        self.test, self.test_labels = normalize(test[0]), test[1]
        self.options = dict(C=C, tol=tol, max_iter=max_iter)
        self.balanced = balanced

    def confidence(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Fit, each snippet as often as its weight says, and return the test logits ``(m,)``."""
        model = LogisticRegression(**self.options)
        if self.balanced:
            weights = _balance(self.train_labels, weights)
        return model.fit(self.train, self.train_labels, weights).decision_function(self.test)

    def scores(self, confidence: np.ndarray) -> dict[str, float]:
        """Score test logits ``(m,)``."""
        values = (
            accuracy_score(self.test_labels, confidence > 0),
            balanced_accuracy_score(self.test_labels, confidence > 0),
            average_precision_score(self.test_labels, confidence),
        )
        # Average precision sums many fractions and may end a rounding error above 1.
        return {metric: min(float(value), 1.0) for metric, value in zip(METRICS, values)}


def _balance(labels: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Scale weights so that both classes have half of their sum."""
    weights = np.ones(labels.size) if weights is None else np.asarray(weights, dtype=np.float64)
    foreground, total = weights[labels].sum(), weights.sum()
    return weights * np.where(labels, total / (2 * foreground), total / (2 * (total - foreground)))


def _check(part: str, features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features, labels = np.asarray(features), np.asarray(labels, dtype=bool)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f'{part}: expected features (n, C) and labels (n,), got {features.shape} '
            f'and {labels.shape}'
        )
    _check_both(part, labels)
    return features, labels


def _check_both(part: str, labels: np.ndarray) -> None:
    if labels.all() or not labels.any():
        raise ValueError(
            f'{part}: {int(labels.sum())} of {labels.size} snippets are foreground; the linear '
            'probe needs both foreground and background'
        )
