"""Layers and tensor functions shared by the localizers."""
from .resize import pad_features, resize_features

__all__ = ['pad_features', 'resize_features']
