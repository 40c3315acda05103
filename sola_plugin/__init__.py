"""SoLa for temporal action localization, as a plugin of mmaction2.

``import sola_plugin`` (or ``custom_imports = dict(imports=['sola_plugin'])`` in a config) makes the
installed mmaction2 work on the current stack and registers this package's classes in mmaction2's
registries. Both happen at the moment the part concerned is imported, by post-import hooks: so
``sola_plugin.evaluation`` needs NumPy only, and ``BMN`` is overridden only after mmaction2 has
registered its own.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import wrapt

from . import _compat

__version__ = '0.1.0'

#: mmaction2's registries import these packages when something is first built from them; our own
#: classes follow right behind.
_REGISTERED_AFTER = {
    'mmaction.models': [
        'sola_plugin.necks',
        'sola_plugin.pretraining.tasks',
        'sola_plugin.heads.actionformer',
        'sola_plugin.heads.bmn',
        'sola_plugin.heads.gtad',
        'sola_plugin.heads.stock',
        'sola_plugin.evaluation.score_files',
    ],
    'mmaction.datasets': [
        'sola_plugin.datasets.transforms',
        'sola_plugin.datasets.training_windows',
        'sola_plugin.datasets.windows',
    ],
    'mmaction.evaluation': ['sola_plugin.evaluation.tal_metric'],
    'mmaction.engine': ['sola_plugin.pretraining'],
}


#: Old module → new module, below this package; modules in an old package follow it. ``None``: a
#: package that was taken apart.
MOVED: dict[str, str | None] = {
    'apis': 'commands',
    'apis.detections.file_pair': 'commands.detections.inputs',
    'apis.extraction.job': 'commands.extraction.extract',
    'apis.localization.job': 'commands.localization.inputs',
    'apis.training': 'commands.training',
    'datasets.annotation_checks': 'datasets.annotations.checks',
    'datasets.annotation_conversion': 'datasets.annotations.conversion',
    'datasets.annotation_formats': 'datasets.annotations.formats',
    'datasets.feature_files': 'datasets.features.open',
    'datasets.feature_readers': 'datasets.features.readers',
    'datasets.feature_sources': 'datasets.features.open',
    'datasets.packed_features': 'datasets.features.packed',
    'datasets.packing': 'datasets.features.packing',
    'datasets.safe_pickle': 'datasets.features.safe_pickle',
    'datasets.tal_feature_dataset': 'datasets.tal_dataset',
    'datasets.videos': 'datasets.video',
    'engine': 'pretraining',
    'engine.pretraining': 'pretraining.run',
    'evaluation.linear_probe': 'evaluation.probe.linear_probe',
    'evaluation.metainfo': 'evaluation.tal_metric',
    'evaluation.results_io': 'evaluation.detection_files',
    'evaluation.snippets': 'segments',
    'evaluation.tiou': 'segments',
    'models': None,
    'models.encoders': 'encoders',
    'models.localizers': 'heads',
    'models.losses': 'pretraining.losses',
    'models.necks': 'necks',
    'models.pretraining': 'pretraining.tasks',
    'utils': 'io',
}


def lazy_names(package: str, module_of: Mapping[str, str]) -> Callable[[str], Any]:
    """Make a package's ``__getattr__`` that imports names when they are asked for.

    Args:
        package: ``__name__`` of the package.
        module_of: Name → the package's module that defines it.

    Returns:
        Function from a name to what it names; it raises ``AttributeError`` for other names.
    """

    def get(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        return getattr(importlib.import_module(f'{package}.{module_of[name]}'), name)

    return get


class MovedModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers an import of an old path with the new module itself.

    Both names are one module, so that nothing is registered twice and ``isinstance`` holds.

    Args:
        package: Name of the package that the paths start with.
    """

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``."""
        package, _, old = name.partition('.')
        if package != self.package or not any(f'{old}.'.startswith(f'{known}.') for known in MOVED):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        """Put the new module under the old name.

        Raises:
            ModuleNotFoundError: There is no such module any more.
        """
        name = module.__name__
        old = name.partition('.')[2]
        known = max((known for known in MOVED if f'{old}.'.startswith(f'{known}.')), key=len)
        new = MOVED[known]
        if new is not None:
            sys.modules[name] = importlib.import_module(f'{self.package}.{new}{old[len(known) :]}')
        elif old != known:
            raise ModuleNotFoundError(f'no module named {name!r}: see CHANGELOG.md', name=name)


def _mend(mend: Callable[..., bool | None], *module: ModuleType) -> None:
    """Apply a mend, and note its symptom if it was needed."""
    if mend(*module):
        symptom = (mend.__doc__ or '').partition('\n\n')[0]
        _compat.mended[mend.__name__] = ' '.join(symptom.split()).removeprefix('Symptom: ')


def _register(stock: ModuleType) -> None:
    for name in _REGISTERED_AFTER[stock.__name__]:
        importlib.import_module(name)


def _register_in_opentad(models: ModuleType) -> None:
    importlib.import_module('sola_plugin.necks.opentad').register()


for _apply in _compat.AT_ONCE:
    _mend(_apply)
for _name, _apply in _compat.AFTER_IMPORT:
    wrapt.register_post_import_hook(functools.partial(_mend, _apply), _name)
# First: folders of an earlier version may be left, with compiled files in them.
sys.meta_path.insert(0, MovedModules(__name__))
for _name in _REGISTERED_AFTER:
    wrapt.register_post_import_hook(_register, _name)
wrapt.register_post_import_hook(_register_in_opentad, 'opentad.models')
