"""Feature files of every format, for tests."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import torch


def write(path: Path, array: np.ndarray) -> None:
    """Write an array as it lies in the format of the file's name."""
    if path.suffix == '.npy':
        np.save(path, array)
    elif path.suffix == '.npz':
        np.savez_compressed(path, features=array)
    elif path.suffix in ('.csv', '.txt'):
        np.savetxt(path, array, delimiter=',', fmt='%.9g')
    elif path.suffix in ('.pt', '.pth'):
        torch.save(torch.from_numpy(array), path)
    elif path.suffix in ('.pkl', '.pickle'):
        path.write_bytes(pickle.dumps(array))
    else:
        with h5py.File(path, 'w') as file:
            file['group/features'] = array
