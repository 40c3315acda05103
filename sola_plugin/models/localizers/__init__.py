"""Localizers: mmaction2's with neck support, and others."""

from .actionformer import ActionFormer
from .bmn import BMN
from .gtad import GTAD
from .localizer import Localizer
from .neck_mixin import NeckMixin
from .tcanet import TCANet
from .tem import TEM

__all__ = ['ActionFormer', 'BMN', 'GTAD', 'Localizer', 'NeckMixin', 'TCANet', 'TEM']
