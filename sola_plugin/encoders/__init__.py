"""Frozen snippet encoders: snippets ``(N, length, H, W, 3)`` to vectors ``(N, C)``."""

from .image import EfficientNetLite0, FrameTransform, center_view
from .recognizer import RecognizerEncoder

__all__ = ['EfficientNetLite0', 'FrameTransform', 'RecognizerEncoder', 'center_view']
