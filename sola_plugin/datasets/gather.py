"""Many windows out of one array of snippets, in one call."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

#: Windows that are copied at once.
_CHUNK = 8

#: Batches in flight: the one that is trained on, the next one, and one that is kept by a caller.
_MAX_BUFFERS = 3


class WindowGather:
    """Cuts windows out of rows of snippets.

    The snippets of a window lie one after the other, so that a window is copied and not turned:
    the result is a view ``(B, C, length)`` of memory in the order ``(B, length, C)``.

    On the CPU the memory of a batch is used again when nobody holds that batch, or a part of it,
    any more. New memory costs more than what is written to it: the system has to clear every page.

    Args:
        rows: ``(N, C)`` float32 or float16, on any device.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._buffers: list[np.ndarray] = []

    def __getstate__(self) -> dict[str, Any]:
        """Leave the memory of old batches out."""
        return {**self.__dict__, '_buffers': []}

    def __call__(self, begins: np.ndarray, length: int) -> Tensor:
        """Cut windows.

        Args:
            begins: Int64 ``(B,)``, the first row of each window.
            length: Snippets in a window.

        Returns:
            Float32 ``(B, C, length)``, on the device of the rows.

        Raises:
            ValueError: A worker process asks for rows on a GPU.
        """
        if self.rows.device.type != 'cpu':
            return self._on_device(begins, length)
        size = self.rows.shape[1]
        windows = self._buffer((len(begins), length, size))
        index = torch.from_numpy((begins[:, None] + np.arange(length)).ravel())
        out = windows.view(-1, size)
        # By way of memory that stays in the processor's cache: also without widening, copying there
        # and on takes less than half the time of rows that are copied one by one.
        for part, rows in zip(out.split(_CHUNK * length), index.split(_CHUNK * length)):
            part.copy_(self.rows.index_select(0, rows))
        return windows.transpose(1, 2)

    def _on_device(self, begins: np.ndarray, length: int) -> Tensor:
        device = self.rows.device
        if get_worker_info() is not None:
            raise ValueError(
                f'features on {device} cannot be read by worker processes: set num_workers=0, or '
                "features_on='host'"
            )
        first = torch.from_numpy(begins).to(device)
        index = first[:, None] + torch.arange(length, device=device)
        return self.rows[index].float().transpose(1, 2)

    def _buffer(self, shape: tuple[int, ...]) -> Tensor:
        """Memory that nobody else sees."""
        size = math.prod(shape)
        for array, count in zip(self._buffers, _reference_counts(self._buffers)):
            if array.size >= size and count == _ALONE:
                return torch.from_numpy(array[:size].reshape(shape))
        # NumPy asks for large pages, which are cleared faster.
        fresh = np.empty(size, np.float32)
        self._buffers = [*self._buffers[1 - _MAX_BUFFERS :], fresh]
        return torch.from_numpy(fresh.reshape(shape))


def _reference_counts(arrays: list[np.ndarray]) -> list[int]:
    return [sys.getrefcount(array) for array in arrays]


#: The count of an array that only its list holds. A tensor, and all of its views, hold theirs.
_ALONE = _reference_counts([np.empty(0)])[0]


def tensor_of(rows: np.ndarray) -> Tensor:
    """A tensor that shares the memory of an array, which may be a file that is only read."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'The given NumPy array is not writable')
        return torch.from_numpy(rows)
