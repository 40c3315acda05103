"""Blocks of a hand-written document that a tool writes: between two marks, the rest is left
alone."""

from __future__ import annotations

import os
from pathlib import Path

from sola_plugin.utils import atomic_write


def update_document(path: str | os.PathLike, name: str, text: str) -> None:
    """Put text between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``, each on a line of its
    own.

    Args:
        path: The document. Marks that it lacks, and a missing document, are written: the block is
            then the last.
        name: Of the block.
        text: Its new content.

    Raises:
        ValueError: A mark is there twice or without the other one, or the end is before the
            beginning.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), 'page.md')
        >>> _ = file.write_text('By hand.\\n')
        >>> update_document(file, 'speed', 'fast')
        >>> update_document(file, 'speed', 'faster')
        >>> print(file.read_text())
        By hand.
        <BLANKLINE>
        <!-- begin speed -->
        faster
        <!-- end speed -->
        <BLANKLINE>
    """
    path = Path(path)
    begin, end = f'<!-- begin {name} -->', f'<!-- end {name} -->'
    lines = path.read_text(encoding='utf-8').splitlines() if path.is_file() else []
    counts = lines.count(begin), lines.count(end)
    if counts == (0, 0):
        lines += [''] * bool(lines) + [begin, end]
    elif counts != (1, 1) or lines.index(end) < lines.index(begin):
        raise ValueError(
            f'{path}: expected the lines {begin!r} and {end!r} once each, in this order, got '
            f'{counts[0]} and {counts[1]}'
        )
    lines[lines.index(begin) + 1 : lines.index(end)] = text.strip('\n').split('\n')
    with atomic_write(path) as file:
        file.write('\n'.join(lines) + '\n')
