"""Sub-graph localization."""

from .localizer import GTAD

__all__ = ['GTAD']
