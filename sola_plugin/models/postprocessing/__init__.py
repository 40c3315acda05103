"""Post-processing: one implementation for every head."""

from .boundary_matching import (
    boundary_peaks,
    covered_span,
    proposals_from_maps,
    proposals_in_seconds,
    results_in_seconds,
    times_in_seconds,
)
from .detections import DetectionSettings, detect, detection_candidates, suppress_candidates
from .nms import gaussian_decay, grouped_nms, hard_decay, suppress, vote_boundaries
from .soft_nms import soft_nms

__all__ = [
    'DetectionSettings',
    'boundary_peaks',
    'covered_span',
    'detect',
    'detection_candidates',
    'gaussian_decay',
    'grouped_nms',
    'hard_decay',
    'proposals_from_maps',
    'proposals_in_seconds',
    'results_in_seconds',
    'soft_nms',
    'suppress',
    'suppress_candidates',
    'times_in_seconds',
    'vote_boundaries',
]
