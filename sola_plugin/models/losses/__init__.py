"""Losses as pure functions."""

from .diou import diou_loss
from .focal import sigmoid_focal_loss
from .gtad_loss import GTADLoss, balanced_logistic_loss, balanced_regression_loss
from .similarity_matching import interval_target, similarity_matching_loss, temporal_similarity

__all__ = [
    'GTADLoss',
    'balanced_logistic_loss',
    'balanced_regression_loss',
    'diou_loss',
    'interval_target',
    'sigmoid_focal_loss',
    'similarity_matching_loss',
    'temporal_similarity',
]
