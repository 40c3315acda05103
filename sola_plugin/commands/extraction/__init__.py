"""From videos to features: frozen encoders run over snippets, into a folder that can be resumed."""

from .encoding import (
    Encoder,
    SnippetSampling,
    build_encoder,
    build_recognizer_encoder,
    encode_video,
)
from .extract import extract_features, find_videos, passed_over

__all__ = [
    'Encoder',
    'SnippetSampling',
    'build_encoder',
    'build_recognizer_encoder',
    'encode_video',
    'extract_features',
    'find_videos',
    'passed_over',
]
