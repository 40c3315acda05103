"""Localizers: mmaction2's, with neck support."""
from .bmn import BMN
from .neck_mixin import NeckMixin
from .tcanet import TCANet
from .tem import TEM

__all__ = ['BMN', 'NeckMixin', 'TCANet', 'TEM']
