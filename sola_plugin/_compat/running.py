"""Mends of calls, files and checkpoints, see :mod:`sola_plugin._compat`."""

from __future__ import annotations

import functools
import logging
import os
import pickle
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from types import ModuleType
from typing import Any

from ..io import atomic_write, naming_file
from ..size_limits import check_torch_file

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
