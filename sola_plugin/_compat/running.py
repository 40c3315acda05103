"""Mends of calls, configs, files and checkpoints, see :mod:`sola_plugin._compat`."""

from __future__ import annotations

import functools
import logging
import os
import pickle
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, MutableMapping
from importlib import metadata
from types import FunctionType, ModuleType
from typing import Any

from ..io import atomic_write, naming_file
from ..size_limits import check_torch_file
from .imports import is_installed

#: How mmengine's CheckpointHook names the best checkpoint.
_BEST = re.compile(r'(.*[/\\])?best_[^/\\]*\.pth', re.DOTALL)


def numpy_trapz(_mmaction: ModuleType) -> bool:
    """Symptom: ``module 'numpy' has no attribute 'trapz'`` in mmaction2's ``ANetMetric`` (AR@AN).

    numpy 2.0 renamed the function to ``trapezoid`` and 2.4 removed the old name.
    """
    import numpy

    if hasattr(numpy, 'trapz'):
        return False
    numpy.trapz = numpy.trapezoid  # type: ignore[attr-defined]
    return True


def _replace_body(function: FunctionType, body: Callable) -> None:
    """Give a function another body in place, so that who imported it by name sees the mend."""
    assert isinstance(body, FunctionType)
    function.__code__ = body.__code__


def pkg_resources_gone(package_utils: ModuleType) -> bool:
    """Symptom: ``No module named 'pkg_resources'`` for ``_base_ = 'mmaction::...'`` in a config.

    mmengine looks packages up with ``pkg_resources``, which setuptools 82 removed.
    """
    if is_installed('pkg_resources'):
        return False
    _replace_body(package_utils.is_installed, _is_package_installed)
    _replace_body(package_utils.get_installed_path, _package_path)
    return True


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


def list_in_metafile(config_utils: ModuleType) -> bool:
    """Symptom: ``'list' object has no attribute 'partition'`` for ``_base_ = 'mmaction::...'``.

    mmengine reads every metafile of the package, and the BSN metafile of mmaction2 1.1.0 and older
    gives a list of configs where mmengine knows a single one.
    """
    try:
        version = metadata.version('mmaction2')
    except metadata.PackageNotFoundError:
        return False
    if tuple(int(part) for part in version.split('.')[:2]) >= (1, 2):
        return False
    _replace_body(config_utils._get_cfg_metainfo, _cfg_metainfo)
    return True


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


def unknown_package(config: ModuleType) -> bool:
    """Symptom: ``mmengine does not support to load sola_plugin config`` for ``sola_plugin::...``.

    mmengine inherits from the configs of the packages in its own table only, and takes the name of
    the package for that of the registries that its classes are in: ours are in mmaction2's.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    package = __name__.partition('.')[0]
    MODULE2PACKAGE.setdefault(package, package)
    find = config.Config._get_cfg_path

    @functools.wraps(find)
    def path_and_scope(*args: Any, **kwargs: Any) -> tuple[str, str | None]:
        path, scope = find(*args, **kwargs)
        return path, 'mmaction' if scope == package else scope

    config.Config._get_cfg_path = staticmethod(path_and_scope)
    return True


def repeated_layout(config: ModuleType) -> bool:
    """Symptom: a run spends seconds, with many checkpoints minutes, on the layout of its config.

    mmengine lets yapf lay the same text out four times at the start of a run and once more for
    every checkpoint: 0.02 to 0.8 s each time, most with long paths. The last texts are remembered;
    what is written stays the same.
    """
    lay_out = getattr(config, 'FormatCode', None)
    if lay_out is None:
        return False

    @functools.lru_cache(maxsize=16)
    def remembered(text: str, style: tuple, options: tuple) -> Any:
        return lay_out(text, style_config=dict(style), **dict(options))

    @functools.wraps(lay_out)
    def once(text: str, style_config: dict, **options: Any) -> Any:
        return remembered(text, tuple(style_config.items()), tuple(options.items()))

    config.FormatCode = once  # type: ignore[attr-defined]
    return True


def whole_files(local_backend: ModuleType) -> bool:
    """Symptom: a kill or a full disk in the middle of a checkpoint leaves a torn file.

    The error does not name it. mmengine writes checkpoints, and whatever else it dumps, in place.
    """

    def put(self: Any, obj: bytes | memoryview, filepath: Any) -> None:
        with atomic_write(filepath, 'wb') as file:
            file.write(obj)

    backend = local_backend.LocalBackend
    backend.put = functools.wraps(backend.put)(put)
    return True


def log_errors(logger: ModuleType) -> bool:
    """Symptom: on a full disk every line of the log becomes a traceback of twenty lines.

    The run goes on without its log. The error of the system ends the run, with the name of the log
    file.
    """
    init = logger.MMLogger.__init__

    @functools.wraps(init)
    def init_and_name(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        for handler in self.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.handleError = functools.partial(_raise, handler)  # type: ignore

    logger.MMLogger.__init__ = init_and_name
    return True


def figures_of_one_rank(logger_hook: ModuleType) -> bool:
    """Symptom: after a test every rank writes the figures, all to one file.

    mmengine's LoggerHook does so, and then only.
    """
    from mmengine.dist import master_only

    if not hasattr(logger_hook, 'dump'):
        return False
    logger_hook.dump = master_only(logger_hook.dump)  # type: ignore[attr-defined]
    return True


def config_copies(config: ModuleType) -> bool:
    """Symptom: a full disk ends a command with ``No space left on device`` and no file name.

    mmengine reads a config from a copy that it writes to the folder of temporary files.
    """
    read = config.Config._file2dict

    @functools.wraps(read)
    def read_and_name(*args: Any, **kwargs: Any) -> Any:
        with naming_file(tempfile.gettempdir()):
            return read(*args, **kwargs)

    config.Config._file2dict = staticmethod(read_and_name)
    return True


def _raise(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    error = sys.exception()
    if not isinstance(error, OSError):
        logging.FileHandler.handleError(handler, record)
        return
    with naming_file(handler.baseFilename):
        raise error


def weights_only_checkpoints(_checkpoint: ModuleType) -> bool:
    """Symptom: ``Weights only load failed ... HistoryBuffer`` on mmengine's own checkpoints.

    Since torch 2.6 ``torch.load`` unpickles tensors and named classes only. mmengine's checkpoints
    also hold its log history, and the one-cycle scheduler: these classes, and the NumPy arrays in
    them, are named here. Both keep some of their own methods by ``getattr``, which is admitted for
    these methods alone. The safety stays.
    """
    import numpy
    import torch

    if not hasattr(torch.serialization, 'add_safe_globals'):
        return False
    if tuple(int(part) for part in torch.__version__.split('.')[:2]) < (2, 6):
        return False
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
    return True


def checkpoints_do_not_act(checkpoint: ModuleType) -> bool:
    """Symptom: resuming a run from a checkpoint runs a program in it, or deletes what it names.

    mmengine's Runner executes ``meta['config']`` as a Python config, to look up a number of GPUs
    that no version since 0.1 writes; and its CheckpointHook deletes the file or folder that the
    message hub calls the best checkpoint, and those whose numbers it lists, when better ones come.
    A file that would take far more memory than it is large is refused before that.

    Args:
        checkpoint: The module ``mmengine.runner.checkpoint``, through which all files are read.
    """
    loader = checkpoint.CheckpointLoader
    load = loader.load_checkpoint.__func__

    @functools.wraps(load)
    def load_checkpoint(cls: type, filename: str, *args: Any, **kwargs: Any) -> Any:
        if os.path.isfile(filename):
            check_torch_file(filename)
        return without_orders(load(cls, filename, *args, **kwargs))

    loader.load_checkpoint = classmethod(load_checkpoint)
    return True


def without_orders(checkpoint: Any) -> Any:
    """Take out what mmengine would execute or delete.

    Args:
        checkpoint: What a file holds; changed in place.

    Returns:
        The same.
    """
    if not isinstance(checkpoint, Mapping):
        return checkpoint
    meta, hub = checkpoint.get('meta'), checkpoint.get('message_hub')
    if isinstance(meta, MutableMapping):
        meta.pop('config', None)
    info = hub.get('runtime_info') if isinstance(hub, Mapping) else None
    if isinstance(info, MutableMapping):
        for key in [key for key, value in info.items() if _deletes(key, value)]:
            del info[key]
    return checkpoint


def _deletes(key: Any, value: Any) -> bool:
    """Whether mmengine would delete something else than a checkpoint of its own."""
    if str(key).startswith('best_ckpt'):
        return not (isinstance(value, str) and _BEST.fullmatch(value))
    if key == 'keep_ckpt_ids':
        return not (isinstance(value, (list, tuple)) and all(type(step) is int for step in value))
    return False
