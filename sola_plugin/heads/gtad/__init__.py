"""Sub-graph localization."""

from .localizer import GTAD
from .losses import GTADLoss

__all__ = ['GTAD', 'GTADLoss']
