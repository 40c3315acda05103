"""Boundary-matching network."""

from .localizer import BMN

__all__ = ['BMN']
