"""Cells of CSV files that read back as they were, and that no spreadsheet computes.

Standard library only.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

#: What spreadsheets take for a formula. Ids such as YouTube's may begin with a hyphen: of
#: letters, digits, hyphens and underscores alone, nothing can be called.
_FORMULA = re.compile(r"'*(?!-[\w-]*$)[=+\-@\t\r]", re.ASCII)


def to_cell(value: Any) -> Any:
    """Return what to write for a value: text that begins like a formula after an apostrophe.

    Args:
        value: Text, or a number, which stays one.

    >>> to_cell('=1+1'), to_cell(-1.5), to_cell('-aB3_x-1'), to_cell("'@x")
    ("'=1+1", -1.5, '-aB3_x-1', "''@x")
    """
    if not isinstance(value, str):
        return value
    # No encoding has lone surrogates, which JSON may hold.
    text = value.encode('utf-8', 'backslashreplace').decode('utf-8')
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(text: str) -> str:
    """Return the text that :func:`to_cell` was given.

    >>> from_cell("'=1+1"), from_cell("''@x"), from_cell("'s")
    ('=1+1', "'@x", "'s")
    """
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def to_line(values: Iterable[Any]) -> str:
    r"""Return a row as text, with the line break.

    >>> to_line(['a,b', '=c', 1.5, 'd\re'])
    '"a,b",\'=c,1.5,"d\re"\n'
    """
    text = io.StringIO(newline='')
    # What is part of the line break is put in quotes, so it is '\r\n' until the cells are done.
    csv.writer(text, lineterminator='\r\n').writerow(map(to_cell, values))
    return text.getvalue().removesuffix('\r\n') + '\n'
