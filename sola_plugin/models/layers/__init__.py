"""Layers and tensor functions shared by the localizers."""

from .folded_sampling import FoldedSampling
from .proposal_grid import bmn_positions, interpolation_weights, valid_cells
from .resize import pad_features, resize_features

__all__ = [
    'FoldedSampling',
    'bmn_positions',
    'interpolation_weights',
    'pad_features',
    'resize_features',
    'valid_cells',
]
