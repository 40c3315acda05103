"""Necks: what stands between the frozen features and the head, ``(N, C, T)`` in and out."""

from .baselines import Standardization, TemporalSmoothing
from .checkpoint import build_sola, load_sola_weights, read_sola, save_sola
from .neck import Neck
from .sola import SoLa

__all__ = [
    'Neck',
    'SoLa',
    'Standardization',
    'TemporalSmoothing',
    'build_sola',
    'load_sola_weights',
    'read_sola',
    'save_sola',
]
