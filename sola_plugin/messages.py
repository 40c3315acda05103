"""Pieces of messages; standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

#: What moves the cursor, colours, begins a line or turns the direction of writing, and halves of
#: surrogate pairs.
_UNPRINTABLE = re.compile(
    '[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]'
)


def printable(text: object, lines: bool = False) -> str:
    r"""Escape what a terminal would obey, or could not show, in text that comes from a file.

    Args:
        text: Such as a label, an id or an error that quotes them.
        lines: Whether line breaks are left as they are.

    >>> print(printable('\x1b[31mred\nJosé'))
    \x1b[31mred\nJosé
    """
    return _UNPRINTABLE.sub(
        lambda found: (
            '\n'
            if lines and found[0] == '\n'
            else found[0].encode('unicode_escape').decode('ascii')
        ),
        str(text),
    )


def first_few(items: Iterable[Any], count: int = 3) -> str:
    """List the first items for a message.

    >>> first_few(['a', 'b', 'c', 'd', 'e'])
    'a, b, c and 2 more'
    """
    texts = [str(item) for item in items]
    more = f' and {len(texts) - count} more' if len(texts) > count else ''
    return ', '.join(texts[:count]) + more
