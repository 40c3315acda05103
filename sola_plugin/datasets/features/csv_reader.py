"""Features in ``.csv`` files: numbers, and what spreadsheets and pandas put beside them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from .notices import say_once

#: Rows that count without a header are an index from so many on.
_MIN_COUNTED = 8


def read_csv(path: Path) -> np.ndarray:
    """Read a table of numbers, with a header or without.

    Cells are apart by commas, semicolons, tabs or blanks. A first column that numbers the rows, as
    pandas writes it, is left out, and a line of the log says so.

    Args:
        path: The file.

    Returns:
        ``(rows, columns)`` float32.

    Raises:
        ValueError: It is no such table.
    """
    with path.open(encoding='utf-8-sig') as file:
        first, second = (file.readline().rstrip('\r\n') for _ in range(2))
    # Blanks come last: they may stand beside others.
    separator = next((mark for mark in ',;\t' if mark in first + second), None)
    cells = [cell.strip().strip('"') for cell in first.split(separator)]
    has_header = _is_header(cells)
    with warnings.catch_warnings():
        # The caller refuses an array without rows, and says whose it is.
        warnings.filterwarnings('ignore', 'loadtxt: input contained no data')
        rows = np.loadtxt(
            path,
            dtype=np.float32,
            delimiter=separator,
            skiprows=int(has_header),
            ndmin=2,
            encoding='utf-8-sig',
        )
    if _numbers_rows(rows, cells[0] if has_header else None):
        say_once(
            f'{path.parent}: the first column of the .csv files numbers their rows, as pandas '
            'writes it, and is left out'
        )
        return rows[:, 1:]
    return rows


def _numbers_rows(rows: np.ndarray, name: str | None) -> bool:
    """Whether the first column of a table counts 0, 1, 2, ... or 1, 2, 3, ....

    Few rows may count by chance: then the header has to have no name for the column, or one of an
    index.
    """
    count, columns = rows.shape
    if columns < 2 or not count or rows[0, 0] not in (0, 1):
        return False
    named = name is not None and (
        name.lower() in ('', 'index', 'id', 'row', 'frame', 'snippet') or name.startswith('Unnamed')
    )
    counts = bool((rows[:, 0] == np.arange(count) + rows[0, 0]).all())
    return counts and (named or count >= _MIN_COUNTED)


def _is_header(cells: list[str]) -> bool:
    """Whether a first line names columns: it is not numeric, or counts 0, 1, 2, ... as pandas does.

    Fewer than 16 columns that count could be a snippet of made-up data, so they are read as one.
    """
    if len(cells) >= 16 and cells == [str(column) for column in range(len(cells))]:
        return True
    try:
        [float(cell) for cell in cells]
    except ValueError:
        return True
    return False
