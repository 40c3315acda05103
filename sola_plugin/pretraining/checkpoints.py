"""Checkpoint files, as far as the user is told what is wrong with them."""

from __future__ import annotations

import os
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or is that of another model."""


def read_checkpoint(path: str | os.PathLike) -> Any:
    """Read a checkpoint file, weights-only.

    Args:
        path: The file.

    Returns:
        What it holds.

    Raises:
        CheckpointError: It is torn, or no checkpoint.
        FileNotFoundError: No such file.
    """
    path = os.fspath(path)
    try:
        return CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
    except FileNotFoundError:
        raise FileNotFoundError(f'checkpoint {path} does not exist') from None
    except Exception as error:  # torch raises many kinds for a torn file
        raise CheckpointError(
            f'cannot read the checkpoint {path}: {error}. Is it complete?'
        ) from error
