"""SoLa for temporal action localization, as a plugin of mmaction2.

``import sola_plugin`` (or ``custom_imports = dict(imports=['sola_plugin'])`` in a config) makes the
installed mmaction2 work on the current stack and registers this package's classes in mmaction2's
registries. Both happen at the moment the part concerned is imported, by post-import hooks: so
``sola_plugin.evaluation`` needs NumPy only, and ``BMN`` is overridden only after mmaction2 has
registered its own.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import wrapt

from . import _compat
from ._imports import MovedModules

__version__ = '0.1.0'

#: mmaction2's registries import these packages when something is first built from them; our own
#: classes follow right behind.
_REGISTERED_AFTER = {
    'mmaction.models': ['sola_plugin.necks', 'sola_plugin.pretraining.tasks', 'sola_plugin.heads'],
    'mmaction.datasets': ['sola_plugin.datasets.transforms', 'sola_plugin.datasets.windows'],
    'mmaction.evaluation': ['sola_plugin.evaluation.tal_metric'],
    'mmaction.engine': ['sola_plugin.pretraining'],
}


def _register(stock: ModuleType) -> None:
    for name in _REGISTERED_AFTER[stock.__name__]:
        importlib.import_module(name)


_compat.install()
# First: folders of an earlier version may be left, with compiled files in them.
sys.meta_path.insert(0, MovedModules(__name__))
for _name in _REGISTERED_AFTER:
    wrapt.register_post_import_hook(_register, _name)
