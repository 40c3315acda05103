"""Products with a fixed sparse matrix, computed as suits the device."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Tensor, nn

#: The ways to multiply, see :meth:`FixedMatrix.multiply`.
PRODUCTS = ('items', 'batch', 'dense')

#: A larger matrix is not made dense, in bytes.
DENSE_LIMIT = 2**28

#: Of what a GPU works on at a time, in bytes.
WORK_LIMIT = 2**30


class Plan(NamedTuple):
    """How a product with a :class:`FixedMatrix` is computed.

    Attributes:
        product: One of :data:`PRODUCTS`.
        chunk: Columns that are worked on at a time.
    """

    product: str
    chunk: int


class SparseRows(nn.Module):
    """A sparse matrix by rows; not stored in checkpoints.

    Args:
        matrix: ``(I, J)`` float32.
    """

    columns: Tensor
    offsets: Tensor
    values: Tensor

    def __init__(self, matrix: csr_array) -> None:
        super().__init__()
        self.register_buffer('columns', torch.from_numpy(matrix.indices), persistent=False)
        self.register_buffer('offsets', torch.from_numpy(matrix.indptr), persistent=False)
        self.register_buffer('values', torch.from_numpy(matrix.data), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(J, C)`` to ``(I, C)``."""
        return F.embedding_bag(
            self.columns,
            x,
            self.offsets,
            mode='sum',
            per_sample_weights=self.values.to(x.dtype),
            include_last_offset=True,
        )


class FixedMatrix(nn.Module):
    """A fixed sparse matrix A that is applied to every item of a batch; not stored in checkpoints.

    Args:
        matrix: ``(I, J)`` float32.
    """

    def __init__(self, matrix: csr_array) -> None:
        super().__init__()
        self.height, self.width = matrix.shape
        self.rows = SparseRows(matrix)
        self.turned_rows = SparseRows(matrix.T.tocsr())
        self._dense: Tensor | None = None

    def forward(self, x: Tensor, product: str = 'items') -> Tensor:
        """Multiply; the backward, a product with A^T, needs nothing kept.

        Args:
            x: ``(B, J, C)``.
            product: See :meth:`multiply`.

        Returns:
            Tensor ``(B, I, C)``.

        Raises:
            ValueError: There are not J rows.
        """
        if x.shape[1] != self.width:
            raise ValueError(
                f'got {x.shape[1]} rows (temporal_dim * samples of each source), the weights '
                f'were made for {self.width}: resize the features to temporal_dim'
            )
        if torch.onnx.is_in_onnx_export():  # which knows no sparse products, nor the function
            return self.dense().to(x.dtype) @ x
        return _Multiply.apply(x, self, product, False)

    def multiply(self, x: Tensor, product: str, turned: bool) -> Tensor:
        """Multiply, without a graph.

        Args:
            x: ``(B, J, C)``, or ``(B, I, C)`` for the transposed matrix.
            product: ``'items'``: a sparse product for every item. ``'batch'``: one for all of them,
                side by side. ``'dense'``: a product with the dense matrix, which is kept in the
                precision of ``x``; sums are at least float32 in each of them.
            turned: Multiply with A^T.
        """
        if product == 'dense':
            matrix = self._dense_like(x)
            return torch.bmm((matrix.t() if turned else matrix).expand(len(x), -1, -1), x)
        rows = self.turned_rows if turned else self.rows
        result = x.new_empty(len(x), self.width if turned else self.height, x.shape[2])
        if product == 'batch':
            side_by_side = rows(x.transpose(0, 1).flatten(1))
            return result.copy_(side_by_side.unflatten(1, (len(x), -1)).transpose(0, 1))
        if product != 'items':
            raise ValueError(f'product={product!r}: expected one of {PRODUCTS}')
        for item, out in zip(x, result):
            out.copy_(rows(item))
        return result

    def plan(self, x: Tensor, channels: int, chunk: int) -> Plan:
        """What is fastest for features ``x``.

        A CPU takes the items one by one, in chunks that stay in its caches. Elsewhere one product
        serves the batch: a dense one where arithmetic is nearly free (half precision and TF32), if
        the matrix is not too large.

        Args:
            x: Features ``(B, ...)``, before autocast.
            channels: Columns of an item, all chunks together.
            chunk: Columns at a time on a CPU.
        """
        kind = x.device.type
        if kind == 'cpu':
            return Plan('items', chunk)
        dtype = x.dtype
        if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
        is_cheap = dtype.itemsize == 2 or (dtype == torch.float32 and _has_tf32())
        fits = self.height * self.width * dtype.itemsize <= DENSE_LIMIT
        column = len(x) * max(self.height, self.width) * dtype.itemsize
        fitting = max(chunk, WORK_LIMIT // column // chunk * chunk)
        return Plan('dense' if is_cheap and fits else 'batch', min(channels, fitting))

    def dense(self) -> Tensor:
        """The matrix ``(I, J)`` with its zeros, float32."""
        rows = self.rows
        lengths = rows.offsets.diff()
        row = torch.arange(self.height, device=lengths.device).repeat_interleave(
            lengths, output_size=len(rows.values)
        )
        matrix = rows.values.new_zeros(self.height, self.width)
        matrix[row, rows.columns.long()] = rows.values
        return matrix

    def _dense_like(self, x: Tensor) -> Tensor:
        """The dense matrix where and in what precision ``x`` is; made once."""
        if self._dense is None or (self._dense.dtype, self._dense.device) != (x.dtype, x.device):
            with torch.inference_mode(False):  # it may be used in training later
                self._dense = self.dense().to(x)
        return self._dense

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_dense': None}


def _has_tf32() -> bool:
    """Whether products of float32 matrices may be computed in TF32 on a GPU."""
    settings = torch.backends.cuda.matmul
    if hasattr(settings, 'fp32_precision'):  # of torch 2.9, where the other must not be asked
        return settings.fp32_precision == 'tf32'
    return settings.allow_tf32


class _Multiply(torch.autograd.Function):
    """Product with A or A^T."""

    @staticmethod
    def forward(ctx, x: Tensor, matrix: FixedMatrix, product: str, turned: bool) -> Tensor:
        ctx.how = matrix, product, turned
        return matrix.multiply(x.detach(), product, turned)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        matrix, product, turned = ctx.how
        return _Multiply.apply(grad, matrix, product, not turned), None, None, None
