"""Transformer pyramid whose points classify and regress."""

from .localizer import ActionFormer

__all__ = ['ActionFormer']
