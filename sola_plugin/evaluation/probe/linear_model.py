"""Multinomial logistic regression of standardised features, as plain arrays that can be stored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from sola_plugin.io import atomic_write
from sola_plugin.npy_headers import member_shape


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
