"""Rows of the table of a GPU: checked against float64, timed in turn, as a CUDA graph, memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from measure import medians
from operations import kernels, operations

ON_GPU = torch.cuda.is_available()
DEVICE = 'cuda' if ON_GPU else 'cpu'

#: Of the table.
HEADER = (
    '| what | precision | ours, ms | peer, ms | ratio | as CUDA graph, ms | MB, ours / peer '
    '| kernels, ours / peer | from float64 | TFLOP/s |\n|---|---|---|---|---|---|---|---|---|---|'
)

#: Largest relative difference from float64 that a row may have.
TOLERANCES = dict(float32=1e-4, TF32=2e-2, bf16=1e-1)


@dataclass(frozen=True)
class Comparison:
    """What a row compares.

    Args:
        what: Its name.
        precision: A key of :data:`TOLERANCES`.
        ours: Called without arguments, inside the precision.
        peer: The same of others; ``None``: there is none.
        error: Largest difference of ours from float64, relative to the largest value.
        graph: Function that can be a CUDA graph: no transfers, no new memory of the host.
        operations: Multiplications and additions of ours; 0: not counted.
        repeats: Calls of each, as a part of those that were asked for.
    """

    what: str
    precision: str
    ours: Callable[[], object]
    peer: Callable[[], object] | None
    error: Callable[[], float]
    graph: Callable[[], object] | None = None
    operations: float = 0.0
    repeats: float = 1.0


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Products of float32 in themselves (``'float32'``) or in TF32 (``'TF32'``, ``'bf16'``)."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision('highest' if name == 'float32' else 'high')
    torch.backends.cudnn.allow_tf32 = name != 'float32'
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def autocast(function: Callable, name: str) -> Callable:
    """The function under autocast if the precision is bf16.

    Every call for itself: casts of weights are kept until the outermost autocast ends.
    """

    def run() -> object:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=name == 'bf16'):
            return function()

    return run


def row(comparison: Comparison, repeats: int) -> str:
    """Check, measure, and make the row of the table.

    Raises:
        AssertionError: Ours differs from float64 by more than the precision explains.
    """
    kind = comparison.precision
    with precision(kind):
        error = autocast(comparison.error, kind)()
        assert error < TOLERANCES[kind], f'{comparison.what}: differs by {error}'
        functions = [autocast(comparison.ours, kind)]
        if comparison.peer is not None and _fits(peer_function := autocast(comparison.peer, kind)):
            functions.append(peer_function)
        memory, count = [_peak(f) for f in functions], [_count(f) for f in functions]
        times = medians(functions, max(2, round(repeats * comparison.repeats)), warm_up=1)
        graph = _graph_time(comparison.graph and autocast(comparison.graph, kind), repeats)
    best, peer = times[0], times[1] if len(times) > 1 else None
    if comparison.peer is None:
        told = '– | –'
    elif peer is None:
        told = 'out of memory | –'
    else:
        told = f'{peer:,.2f} | {peer / best:.2f}×'
    rate = f'{comparison.operations / best / 1e9:.1f}' if comparison.operations else '–'
    return (
        f'| {comparison.what} | {comparison.precision} | {best:,.2f} | {told} | {graph} '
        f'| {_pair(memory)} | {_pair(count)} | {error:.0e} | {rate} |'
    )


def difference(ours: object, exact: object) -> float:
    """Largest difference of float tensors, each relative to the largest value of the exact one."""
    pairs = zip(_tensors(ours), _tensors(exact), strict=True)
    return max(
        float((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(min=1e-12))
        for a, b in pairs
    )


def _tensors(values: object) -> list[torch.Tensor]:
    found = [values] if isinstance(values, torch.Tensor) else list(values)  # type: ignore[call-overload]
    return [v.detach() for v in found if isinstance(v, torch.Tensor) and v.is_floating_point()]


def _pair(values: list[float]) -> str:
    return ' / '.join('–' if value < 0 else f'{value:,.0f}' for value in values)


def _fits(function: Callable[[], object]) -> bool:
    """Whether the GPU has the memory for it."""
    try:
        function()
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return False
    return True


def _peak(function: Callable[[], object]) -> float:
    """Memory that a call adds, in MB; on a CPU -1."""
    if not ON_GPU:
        return -1
    function()  # what is made once
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    function()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def _count(function: Callable[[], object]) -> int:
    """Kernels on a GPU, on a CPU the operations that would be some."""
    return kernels(function) if ON_GPU else operations(function).total()


def _graph_time(function: Callable[[], object] | None, repeats: int) -> str:
    """Median time of a function that was recorded as a CUDA graph, or why there is none."""
    if function is None or not ON_GPU:
        return '–'
    try:
        graph = _recorded(function)
    except RuntimeError as error:
        torch.cuda.synchronize()
        return 'not recorded: ' + str(error).splitlines()[0][:60].replace('|', '/')
    return f'{medians([graph.replay], max(repeats, 10), warm_up=3)[0]:,.2f}'


def _recorded(function: Callable[[], object]) -> torch.cuda.CUDAGraph:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph
