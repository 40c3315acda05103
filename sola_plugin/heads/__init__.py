"""TAL heads (localizers): mmaction2's with neck support, and others; one folder a head.

Importing this package registers them in mmaction2's registry.
"""

from .actionformer import ActionFormer
from .bmn import BMN
from .gtad import GTAD
from .shared.localizer import Localizer
from .shared.neck_support import NeckMixin
from .stock import TEM, TCANet

__all__ = ['ActionFormer', 'BMN', 'GTAD', 'Localizer', 'NeckMixin', 'TCANet', 'TEM']
