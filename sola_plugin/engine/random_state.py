"""Random numbers of the run."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """State of the generators of Python, NumPy and torch, on the CPU and the current GPU.

    Returns:
        Plain values and tensors, so that a checkpoint that holds them can be read weights-only.
    """
    kind, keys, *rest = np.random.get_state()
    state = dict(
        python=random.getstate(),
        numpy=(kind, [int(key) for key in keys], *rest),
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put the generators back.

    Args:
        state: Result of :func:`random_state`; its tensors may be on any device.
    """
    random.setstate(state['python'])
    kind, keys, *rest = state['numpy']
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


@contextlib.contextmanager
def keep_random_state() -> Iterator[None]:
    """Whatever is drawn or seeded inside, the generators of Python, NumPy and torch go on as if it
    were not.

    The state is put back after an error as well.
    """
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
