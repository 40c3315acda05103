"""Models for training a neck without labels."""
from .similarity_matcher import SimilarityMatcher

__all__ = ['SimilarityMatcher']
