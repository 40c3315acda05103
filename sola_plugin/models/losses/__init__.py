"""Losses as pure functions."""
from .similarity_matching import interval_target, similarity_matching_loss, temporal_similarity

__all__ = ['interval_target', 'similarity_matching_loss', 'temporal_similarity']
