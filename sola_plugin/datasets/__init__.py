"""From files to model inputs: annotations, feature files, datasets and windows.

What is named below is imported when it is asked for (and by ``sola_plugin`` when mmaction2's own
datasets are), so that ``annotations`` and ``features`` do without torch.
"""

from __future__ import annotations

from sola_plugin import lazy_names

_MODULE_OF = {
    'TALFeatureDataset': 'tal_dataset',
    'CropFeatures': 'transforms',
    'LoadFeatures': 'transforms',
    'PackTALInputs': 'transforms',
    'SoLaWindowDataset': 'windows',
    'WindowSampler': 'windows',
    'TrainingWindowSampler': 'training_windows',
    'open_features': 'features.open',
}

__all__ = list(_MODULE_OF)

__getattr__ = lazy_names(__name__, _MODULE_OF)
