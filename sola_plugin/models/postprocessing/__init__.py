"""Post-processing: one implementation for every head."""
from .boundary_matching import (
    boundary_peaks,
    covered_span,
    proposals_from_maps,
    proposals_in_seconds,
)
from .soft_nms import soft_nms

__all__ = ['boundary_peaks', 'covered_span', 'proposals_from_maps', 'proposals_in_seconds', 'soft_nms']
