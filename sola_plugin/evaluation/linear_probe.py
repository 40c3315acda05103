"""Linear probe: how well a linear classifier tells action snippets from background."""
from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score
from sklearn.preprocessing import normalize

from .snippets import snippet_labels

__all__ = ['linear_probe', 'snippet_labels']


def linear_probe(train_features: np.ndarray,
                 train_labels: np.ndarray,
                 test_features: np.ndarray,
                 test_labels: np.ndarray,
                 C: float = 1.0,
                 max_iter: int = 1000) -> dict[str, float]:
    """Fit foreground/background on L2-normalised snippet features and score it on other snippets.

    The probe of the SoLa paper: one linear layer on normalised snippet features, here fitted to
    convergence by logistic regression, so that the result has no seed.

    Args:
        train_features: ``(n, C)``, one row a snippet.
        train_labels: bool ``(n,)``, True for foreground; see :func:`snippet_labels`.
        test_features: ``(m, C)``.
        test_labels: bool ``(m,)``.
        C: Inverse of the regularisation, scikit-learn's.
        max_iter: Upper limit on the solver's iterations.

    Returns:
        ``accuracy``, ``balanced_accuracy`` and ``average_precision`` (of foreground) on the test
        snippets, fractions in ``[0, 1]``.

    Raises:
        ValueError: Shapes do not fit, or one of the parts has only foreground or only background.
    """
    train = _check('train', train_features, train_labels)
    test = _check('test', test_features, test_labels)
    if train[0].shape[1] != test[0].shape[1]:
        raise ValueError(f'train features have {train[0].shape[1]} channels, test features have '
                         f'{test[0].shape[1]}: expected the same')
    model = LogisticRegression(C=C, max_iter=max_iter).fit(normalize(train[0]), train[1])
    confidence = model.decision_function(normalize(test[0]))
    predicted = confidence > 0
    return {
        'accuracy': float(accuracy_score(test[1], predicted)),
        'balanced_accuracy': float(balanced_accuracy_score(test[1], predicted)),
        'average_precision': float(average_precision_score(test[1], confidence))
    }


def _check(part: str, features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features, labels = np.asarray(features), np.asarray(labels, dtype=bool)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(f'{part}: expected features (n, C) and labels (n,), got {features.shape} '
                         f'and {labels.shape}')
    if labels.all() or not labels.any():
        raise ValueError(
            f'{part}: {int(labels.sum())} of {labels.size} snippets are foreground; the linear '
            'probe needs both foreground and background')
    return features, labels
