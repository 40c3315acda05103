"""How many operations a function asks for, and how many kernels it starts on a GPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        schema = function._schema
        is_view = any(
            value.alias_info is not None and not value.alias_info.is_write
            for value in schema.returns
        )
        name = schema.name.partition('::')[2]
        if not is_view and 'empty' not in name and name != '_unsafe_view':
            self.seen[name] += 1
        return result


def operations(function: Callable[[], object]) -> Counter[str]:
    """PyTorch's operations by name, without views of tensors and memory that is only reserved.

    On a GPU each of them starts a kernel or more; the number does not depend on the machine.

    Args:
        function: Called once without arguments.
    """
    with _Counting() as counting:
        function()
    return counting.seen


def kernels(function: Callable[[], object]) -> int:
    """Kernels, copies and fills of a GPU.

    Args:
        function: Called once without arguments, and once before.
    """
    function()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
        function()
        torch.cuda.synchronize()
    return sum(event.device_type == DeviceType.CUDA for event in trace.events())
