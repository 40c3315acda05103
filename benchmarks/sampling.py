#!/usr/bin/env python
"""Ways to compute folded sampling: sparse products by item or by batch, CSR, a dense matrix.

    python benchmarks/sampling.py [--batch 1 8 --repeats 5 --threads 1]

Each row is forward, and forward with backward, of the layer of BMN at the sizes of ActivityNet; all
rows of a batch run in turn. On a GPU if there is one. Every result is compared with the dense
product in float64 before anything is timed.
"""

from __future__ import annotations

import argparse
import copy
import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from measure import machine, medians
from operations import operations
from torch import Tensor

import sola_plugin  # noqa: F401  (mends the stack)
from sola_plugin.heads.shared.fixed_matrix import FixedMatrix, Plan
from sola_plugin.heads.shared.sampling import (
    FoldedSampling,
    bmn_positions,
    interpolation_weights,
    valid_cells,
)

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'

PRECISIONS = dict(float32=torch.float32, bf16=torch.bfloat16)

#: Largest difference from float64, relative to the largest value.
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 0.03}


class CsrMatrix(FixedMatrix):
    """With a product of PyTorch's sparse CSR tensors, which the package does not use."""

    def multiply(self, x: Tensor, product: str, turned: bool) -> Tensor:
        """See :meth:`FixedMatrix.multiply`."""
        if product != 'csr':
            return super().multiply(x, product, turned)
        side_by_side = x.transpose(0, 1).flatten(1)
        result = self._csr(turned, x.dtype) @ side_by_side
        return result.unflatten(1, (len(x), -1)).transpose(0, 1).clone()

    @functools.cache  # noqa: B019  (lives as long as the script)
    def _csr(self, turned: bool, dtype: torch.dtype) -> Tensor:
        rows = self.turned_rows if turned else self.rows
        shape = (self.width, self.height) if turned else (self.height, self.width)
        return torch.sparse_csr_tensor(rows.offsets, rows.columns, rows.values.to(dtype), shape)


@dataclass
class Case:
    """A layer with its inputs.

    Args:
        layer: The layer.
        inputs: Features, kernel, bias, kernel of the 1×1 convolution.
        dtype: Of autocast; float32 is without.
    """

    layer: FoldedSampling
    inputs: list[Tensor]
    dtype: torch.dtype

    def forward(self) -> Tensor:
        """Output of the layer."""
        x, kernel, bias, pointwise = self.inputs
        with torch.autocast(DEVICE, self.dtype, enabled=self.dtype != torch.float32):
            return self.layer([x], [kernel], bias, pointwise)

    def inference(self) -> None:
        """Forward without a graph."""
        with torch.no_grad():
            self.forward()

    def training(self) -> None:
        """Forward and backward."""
        torch.autograd.grad(self.forward().float().sum(), self.inputs)


def make_layer(args: argparse.Namespace) -> FoldedSampling:
    """BMN's layer."""
    positions = bmn_positions(*valid_cells(args.size, args.size), args.samples, 3, 0.5)
    layer = FoldedSampling([interpolation_weights(positions, args.size)], args.size, args.size)
    layer.combine.__class__ = CsrMatrix
    return layer.to(DEVICE)


def make_inputs(args: argparse.Namespace, batch: int) -> list[Tensor]:
    """Random features and weights."""
    generator = torch.Generator().manual_seed(0)
    shapes = (
        (batch, args.channels, args.size),
        (args.hidden, args.channels, args.samples),
        (args.hidden,),
        (args.hidden // 4, args.hidden),
    )
    inputs = [torch.randn(shape, generator=generator) for shape in shapes]
    inputs[1] /= (args.channels * args.samples) ** 0.5
    return [value.to(DEVICE).requires_grad_() for value in inputs]


def exact(layer: FoldedSampling, inputs: list[Tensor]) -> Tensor:
    """Output in float64, by a dense product."""
    x, kernel, bias, pointwise = (value.detach().double() for value in inputs)
    double = copy.deepcopy(layer).double()
    double.plan = Plan('dense', len(bias))
    return double([x], [kernel], bias, pointwise)


def cases(args: argparse.Namespace, batch: int) -> dict[str, Case]:
    """The rows of a batch."""
    base, inputs = make_layer(args), make_inputs(args, batch)
    expected = exact(base, inputs)
    found = {}
    for name in args.precision:
        dtype = PRECISIONS[name]
        for product in ('items', 'batch', 'csr', 'dense'):
            if product == 'csr' and dtype == torch.bfloat16 and DEVICE == 'cpu':
                continue  # PyTorch has none
            for chunk in sorted({64, args.hidden} if product != 'csr' else {args.hidden}):
                layer = copy.deepcopy(base)
                layer.plan = Plan(product, chunk)
                case = Case(layer, inputs, dtype)
                error = (case.forward().double() - expected).abs().max() / expected.abs().max()
                assert error < TOLERANCES[dtype], f'{product}, {name}: {error}'
                found[f'{name} | {product} | {chunk}'] = case
    return found


def print_rows(args: argparse.Namespace, batch: int) -> None:
    """Measure and print the rows of a batch."""
    of_batch = cases(args, batch)
    steps: list[Callable] = [case.inference for case in of_batch.values()]
    steps += [case.training for case in of_batch.values()]
    times = medians(steps, args.repeats, warm_up=1)
    for name, case, forward, training in zip(
        of_batch, of_batch.values(), times, times[len(times) // 2 :]
    ):
        count = operations(case.inference).total()
        print(f'| {batch} | {name} | {forward:,.1f} | {training:,.1f} | {count} |', flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    sizes = dict(size=100, channels=256, hidden=512, samples=32, repeats=5)
    for option, value in sizes.items():
        parser.add_argument(f'--{option}', type=int, default=value)
    parser.add_argument('--batch', type=int, nargs='+', default=[1, 8])
    parser.add_argument('--precision', nargs='+', choices=PRECISIONS, default=[*PRECISIONS])
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    warnings.filterwarnings('ignore', 'Sparse', UserWarning)  # CSR is in beta
    torch.set_num_threads(args.threads)
    device = torch.cuda.get_device_name() if DEVICE == 'cuda' else 'no GPU'
    print(
        f'{machine()}; {device}; {args.size} cells, {args.samples} samples, {args.channels} '
        f'channels to {args.hidden}; median of {args.repeats}, interleaved\n\n'
        '| batch | precision | product | chunk | forward, ms | forward and backward, ms '
        '| operations, forward |\n|---|---|---|---|---|---|---|',
        flush=True,
    )
    for batch in args.batch:
        print_rows(args, batch)


if __name__ == '__main__':
    main()
