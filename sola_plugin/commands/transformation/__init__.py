"""From features to the features that a trained neck makes of them, for any toolkit."""

from .transform import TransformationResult, transform_features

__all__ = ['TransformationResult', 'transform_features']
