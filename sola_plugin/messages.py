"""Pieces of messages; standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def first_few(items: Iterable[Any], count: int = 3) -> str:
    """List the first items for a message.

    >>> first_few(['a', 'b', 'c', 'd', 'e'])
    'a, b, c and 2 more'
    """
    texts = [str(item) for item in items]
    more = f' and {len(texts) - count} more' if len(texts) > count else ''
    return ', '.join(texts[:count]) + more
