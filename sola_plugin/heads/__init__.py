"""TAL heads (localizers): mmaction2's with neck support, and others; one folder a head.

The modules of the heads register them in mmaction2's registry. Names are imported when they are
asked for, so that post-processing, ``shared.proposals``, ``shared.suppression`` and
``shared.detections``, needs NumPy only.
"""

from typing import TYPE_CHECKING

from sola_plugin import lazy_names

if TYPE_CHECKING:
    from .actionformer import ActionFormer
    from .bmn import BMN
    from .gtad import GTAD
    from .shared.localizer import Localizer
    from .shared.neck_support import NeckMixin
    from .stock import TEM, TCANet

__all__ = ['ActionFormer', 'BMN', 'GTAD', 'Localizer', 'NeckMixin', 'TCANet', 'TEM']

__getattr__ = lazy_names(
    'sola_plugin.heads',
    {
        'ActionFormer': 'actionformer',
        'BMN': 'bmn',
        'GTAD': 'gtad',
        'Localizer': 'shared.localizer',
        'NeckMixin': 'shared.neck_support',
        'TCANet': 'stock',
        'TEM': 'stock',
    },
)
