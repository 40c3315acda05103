"""From files to model inputs: annotations, feature files, datasets and windows.

The classes below are registered in mmaction2's registries as soon as ``mmaction.datasets`` is
imported, which is at once if it is already there. Until then nothing here imports torch, so that
``annotations``, ``feature_files`` and ``safe_pickle`` can be used without it.
"""
from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import wrapt

_MODULE_OF = {
    'TALFeatureDataset': 'tal_feature_dataset',
    'LoadFeatures': 'transforms',
    'PackTALInputs': 'transforms',
    'SoLaWindowDataset': 'windows',
    'WindowSampler': 'windows',
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_MODULE_OF[name]}'), name)


@wrapt.when_imported('mmaction.datasets')
def _register(_module: ModuleType) -> None:
    for module in sorted(set(_MODULE_OF.values())):
        importlib.import_module(f'{__name__}.{module}')
