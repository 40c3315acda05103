"""The one place that mends the installed stack.

Each mend names the symptom that it cures and tests that it is needed. A mend is applied when the
module concerned is imported, and a stack that works is left alone. Measured on Python 3.11, torch
2.13, numpy 2.4, setuptools 81 and later, mmengine 0.10.7, mmaction2 1.1.0 and 1.2.0.
"""

from __future__ import annotations

import functools
import importlib.util
import pickle
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import wrapt

from ._checkpoint_guard import checkpoints_do_not_act
from ._file_writing import config_copies, log_errors, whole_files


def install() -> None:
    """Arrange for every mend; nothing of the stack is imported by this call."""
    importlib_metadata()
    needless_warnings()
    for module, mend in (
        ('mmaction', missing_drn_folder),
        ('mmaction', numpy_trapz),
        ('mmengine.utils.package_utils', pkg_resources_gone),
        ('mmengine.config.config', repeated_layout),
        ('mmengine.config.utils', list_in_metafile),
        ('mmengine.config.config', config_copies),
        ('mmengine.fileio.backends.local_backend', whole_files),
        ('mmengine.logging.logger', log_errors),
        ('mmengine.runner.checkpoint', weights_only_checkpoints),
        ('mmengine.runner.checkpoint', checkpoints_do_not_act),
    ):
        wrapt.register_post_import_hook(mend, module)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _replace_body(function: FunctionType, body: Callable) -> None:
    """Give a function another body in place, so that who imported it by name sees the mend."""
    assert isinstance(body, FunctionType)
    function.__code__ = body.__code__


def needless_warnings() -> None:
    """Symptom: every command begins with warnings that the user can do nothing about.

    mmcv-lite misses a CUDA operator that no part of this package uses; mmengine uses
    ``pkg_resources``.
    """
    for message in (
        'Fail to import ``MultiScaleDeformableAttention``',
        'pkg_resources is deprecated',
    ):
        warnings.filterwarnings('ignore', message=message, category=UserWarning)


def importlib_metadata() -> None:
    """Symptom: ``No module named 'importlib_metadata'`` on ``import mmaction.utils``.

    mmaction2 imports the backport without declaring it. The standard library has had the same names
    since Python 3.8.
    """
    if not _is_installed('importlib_metadata'):
        sys.modules['importlib_metadata'] = metadata


def missing_drn_folder(mmaction: ModuleType) -> None:
    """Symptom: ``No module named 'mmaction.models.localizers.drn'`` on ``import mmaction.models``.

    The wheel of mmaction2 1.2.0 lacks that folder. The folder itself is looked for: a dotted
    ``find_spec`` would import the package that fails.
    """
    assert mmaction.__file__ is not None
    folder = Path(mmaction.__file__).parent / 'models' / 'localizers'
    if not folder.is_dir() or (folder / 'drn').is_dir() or (folder / 'drn.py').is_file():
        return

    class DRN:
        """Placeholder of the localizer that the installed mmaction2 wheel lacks."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError(
                f'DRN is not part of the installed mmaction2 (its wheel lacks {folder / "drn"}): '
                'install mmaction2 from its source to use it'
            )

    package = ModuleType('mmaction.models.localizers.drn')
    package.__path__ = []
    module = ModuleType('mmaction.models.localizers.drn.drn')
    for stub in (package, module):
        stub.DRN = DRN  # type: ignore[attr-defined]
        sys.modules[stub.__name__] = stub


def numpy_trapz(_mmaction: ModuleType) -> None:
    """Symptom: ``module 'numpy' has no attribute 'trapz'`` in mmaction2's ``ANetMetric`` (AR@AN).

    numpy 2.0 renamed the function to ``trapezoid`` and 2.4 removed the old name.
    """
    import numpy

    if not hasattr(numpy, 'trapz'):
        numpy.trapz = numpy.trapezoid  # type: ignore[attr-defined]


def pkg_resources_gone(package_utils: ModuleType) -> None:
    """Symptom: ``No module named 'pkg_resources'`` for ``_base_ = 'mmaction::...'`` in a config.

    mmengine looks packages up with ``pkg_resources``, which setuptools 82 removed.
    """
    if _is_installed('pkg_resources'):
        return
    _replace_body(package_utils.is_installed, _is_package_installed)
    _replace_body(package_utils.get_installed_path, _package_path)


def _is_package_installed(package):
    import importlib.util
    from importlib import metadata

    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None
    return True


def _package_path(package):
    import importlib.util
    import os
    from importlib import metadata

    module = package
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        pass
    else:
        # A distribution may have another name than its module (mmaction2 and mmaction).
        if not os.path.exists(str(distribution.locate_file(package))):
            module = (distribution.read_text('top_level.txt') or package).split()[0]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f'{package} is not installed, or is a namespace package')
    return os.path.dirname(spec.origin)


def list_in_metafile(config_utils: ModuleType) -> None:
    """Symptom: ``'list' object has no attribute 'partition'`` for ``_base_ = 'mmaction::...'``.

    mmengine reads every metafile of the package, and the BSN metafile of mmaction2 1.1.0 and older
    gives a list of configs where mmengine knows a single one.
    """
    try:
        version = metadata.version('mmaction2')
    except metadata.PackageNotFoundError:
        return
    if tuple(int(part) for part in version.split('.')[:2]) < (1, 2):
        _replace_body(config_utils._get_cfg_metainfo, _cfg_metainfo)


def _cfg_metainfo(package_path, cfg_path):
    import os

    from mmengine.fileio import load

    folder = os.path.join(package_path, '.mim')
    found: dict = {}
    for meta_path in load(os.path.join(folder, 'model-index.yml'))['Import']:
        for model in load(os.path.join(folder, meta_path))['Models']:
            configs = model.get('Config', [])
            for config in [configs] if isinstance(configs, str) else configs:
                # The first of several weights for one config counts, as in mmengine.
                found.setdefault(config.partition('/')[-1], {**model, 'Config': config})
    if cfg_path not in found:
        raise ValueError(f'no config {cfg_path!r} in {package_path}: there are {sorted(found)}')
    return found[cfg_path]


def repeated_layout(config: ModuleType) -> None:
    """Symptom: a run spends seconds, with many checkpoints minutes, on the layout of its config.

    mmengine lets yapf lay the same text out four times at the start of a run and once more for
    every checkpoint: 0.02 to 0.8 s each time, most with long paths. The last texts are remembered;
    what is written stays the same.
    """
    lay_out = getattr(config, 'FormatCode', None)
    if lay_out is None:
        return

    @functools.lru_cache(maxsize=16)
    def remembered(text: str, style: tuple, options: tuple) -> Any:
        return lay_out(text, style_config=dict(style), **dict(options))

    @functools.wraps(lay_out)
    def once(text: str, style_config: dict, **options: Any) -> Any:
        return remembered(text, tuple(style_config.items()), tuple(options.items()))

    config.FormatCode = once  # type: ignore[attr-defined]


def weights_only_checkpoints(_checkpoint: ModuleType) -> None:
    """Symptom: ``Weights only load failed ... HistoryBuffer`` on mmengine's own checkpoints.

    Since torch 2.6 ``torch.load`` unpickles tensors and named classes only. mmengine's checkpoints
    also hold its log history, and the one-cycle scheduler: these classes, and the NumPy arrays in
    them, are named here. Both keep some of their own methods by ``getattr``, which is admitted for
    these methods alone. The safety stays.
    """
    import numpy
    import torch

    if not hasattr(torch.serialization, 'add_safe_globals'):
        return
    if tuple(int(part) for part in torch.__version__.split('.')[:2]) < (2, 6):
        return
    from mmengine.logging.history_buffer import HistoryBuffer
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

    HistoryBuffer()  # fills the table of statistics
    methods = {
        HistoryBuffer: set(HistoryBuffer._statistics_methods),
        OneCycleParamScheduler: {'_annealing_cos', '_annealing_linear'},
    }

    def method(owner: type, name: str) -> Callable:
        if name not in methods.get(owner, ()):
            raise pickle.UnpicklingError(
                f'a checkpoint asks for the attribute {name!r} of {owner!r}'
            )
        return getattr(owner, name)

    array = numpy.zeros(1)
    # The name of the module in the file depends on the NumPy version that wrote it.
    builders: list = [
        (value.__reduce__()[0], f'numpy.{core}.multiarray.{name}')
        for value, name in ((array, '_reconstruct'), (array[0], 'scalar'))
        for core in ('core', '_core')
    ]
    torch.serialization.add_safe_globals(
        [
            *methods,
            (method, 'builtins.getattr'),
            numpy.ndarray,
            numpy.dtype,
            *(type(numpy.dtype(kind)) for kind in ('float64', 'float32', 'int64', 'int32', 'bool')),
            *builders,
        ]
    )
