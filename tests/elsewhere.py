"""A device that is not the CPU, on a machine that has none: real numbers under another label.

Tensors of the device keep theirs on the CPU. As with a GPU, an operation on tensors of two devices
is an error, and so is ``numpy()``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

#: A device type that PyTorch knows and that has no kernels in its wheels.
ELSEWHERE = torch.device('lazy')


class _Tensor(torch.Tensor):
    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=ELSEWHERE,
        )
        tensor.inner = inner
        return tensor

    def new_tensor(self, data, dtype=None, **options):  # PyTorch's own knows no such device
        return torch.tensor(data, dtype=dtype or self.dtype, device=ELSEWHERE, **options)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


class Elsewhere(TorchDispatchMode):
    """Within it, :data:`ELSEWHERE` can be used as any device."""

    def __enter__(self):
        # As FakeTensorMode: torch.tensor(..., device=...) becomes a tensor of the CPU and a copy.
        self.before = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        return super().__enter__()

    def __exit__(self, *error):
        torch._C._set_only_lift_cpu_tensors(self.before)
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


def _run(function, args: tuple, kwargs: dict) -> Any:
    name = function.overloadpacket.__name__
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    is_there = any(isinstance(tensor, _Tensor) for tensor in tensors)
    strangers = [t for t in tensors if not isinstance(t, _Tensor) and t.dim() > 0]
    if is_there and strangers and name not in ('_to_copy', 'copy_'):
        raise RuntimeError(f'{function}: expected all tensors on one device, got two')
    inner_args, inner_kwargs = tree_map(
        lambda leaf: leaf.inner if isinstance(leaf, _Tensor) else leaf, (args, kwargs)
    )
    if kwargs.get('device') is not None:
        is_there = torch.device(kwargs['device']).type == ELSEWHERE.type
        inner_kwargs = {**inner_kwargs, 'device': torch.device('cpu')}
    result = function(*inner_args, **inner_kwargs)
    if inner_args and result is inner_args[0]:  # in place
        return args[0]
    if not is_there:
        return result
    return tree_map(lambda leaf: _Tensor(leaf) if isinstance(leaf, torch.Tensor) else leaf, result)
