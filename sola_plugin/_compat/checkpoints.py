"""Mend of reading mmengine's checkpoints."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import ModuleType


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
