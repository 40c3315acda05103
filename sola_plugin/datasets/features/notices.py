"""What a user should know of how files are read, said once."""

from __future__ import annotations

import functools
import logging


@functools.lru_cache(maxsize=64)
def say_once(message: str) -> None:
    """Write a warning to the log, the first time that there is this message."""
    from mmengine.logging import print_log  # which brings torch

    print_log(message, 'current', logging.WARNING)
