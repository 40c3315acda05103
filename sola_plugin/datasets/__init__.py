"""From files to model inputs: annotations, feature files, datasets and windows.

What is named below is imported when they are asked for (and by ``sola_plugin`` when mmaction2's own
datasets are), so that ``annotations``, ``feature_sources``, ``packing`` and ``safe_pickle`` do without torch.
"""
from __future__ import annotations

import importlib
from typing import Any

_MODULE_OF = {
    'TALFeatureDataset': 'tal_feature_dataset',
    'CropFeatures': 'transforms',
    'LoadFeatures': 'transforms',
    'PackTALInputs': 'transforms',
    'SoLaWindowDataset': 'windows',
    'WindowSampler': 'windows',
    'open_features': 'feature_sources',
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_MODULE_OF[name]}'), name)
