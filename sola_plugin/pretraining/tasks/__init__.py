"""Pretext tasks that train a neck before the head: similarity matching, and its rivals."""

from .boundary_sensitive import BoundarySensitive
from .pretext import Pretext
from .pseudo_localization import PseudoActionLocalization
from .similarity_matcher import SimilarityMatcher
from .temporally_sensitive import TemporallySensitive

__all__ = [
    'BoundarySensitive',
    'Pretext',
    'PseudoActionLocalization',
    'SimilarityMatcher',
    'TemporallySensitive',
]
