"""Frozen snippet encoders: snippets ``(N, length, H, W, 3)`` to vectors ``(N, C)``."""

from .efficientnet import EfficientNetLite0
from .frames import FrameTransform, center_view
from .recognizer import RecognizerEncoder

__all__ = ['EfficientNetLite0', 'FrameTransform', 'RecognizerEncoder', 'center_view']
