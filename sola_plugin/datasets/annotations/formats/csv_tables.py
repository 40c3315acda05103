"""Tables in text files, and tables of durations. Standard library only."""

from __future__ import annotations

import csv
import dataclasses
import difflib
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sola_plugin.csv_cells import from_cell, to_line

from .records import AnnotationError, parse_number, read_text, write_text

#: Names of the columns of a table of durations; ``seconds`` is that of BSN's
#: ``video_info_new.csv``.
_VIDEO_NAMES = ('video', 'video_id', 'video_name')
_DURATION_NAMES = ('duration', 'seconds')


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A table with a header.

    Attributes:
        path: The file.
        columns: Names in lower case, without blanks around them.
        rows: Number of the line, and the texts of the row by column, without blanks around them.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]

    def require(self, needed: Collection[str], optional: Collection[str] = ()) -> list[str]:
        """Check the columns.

        Returns:
            The columns that are neither needed nor optional.

        Raises:
            AnnotationError: A column is missing.
        """
        others = [column for column in self.columns if column not in {*needed, *optional}]
        missing = [column for column in needed if column not in self.columns]
        if missing:
            close = difflib.get_close_matches(missing[0], others, n=1, cutoff=0.75)
            hint = f': rename {close[0]!r}?' if close else ''
            more = f' (and may have {", ".join(optional)})' if optional else ''
            raise AnnotationError(
                f'{self.path}: expected a header with {", ".join(needed)}{more}, got '
                f'{", ".join(map(repr, self.columns))}; {missing[0]!r} is missing{hint}'
            )
        return others


def header(text: str) -> tuple[str, ...]:
    """Names of the columns, in lower case, from the first line that is not empty."""
    line = _first_line(text)
    return _names(next(csv.reader([line], delimiter=_delimiter(line)), []))


def read_table(path: Path) -> TextTable:
    """Read a table with a header; cells are apart by commas, semicolons or tabs, as in the header.

    Columns without a name that are empty, and empty cells behind the last column, as spreadsheets
    write them, do not count.

    Raises:
        AnnotationError: The file is empty or no table, or a row has another number of cells.
        FileNotFoundError: There is no such file.
    """
    text = read_text(path)
    lines = list(_lines(path, text))
    if not lines:
        raise AnnotationError(f'{path}: the file is empty: expected a header and rows')
    (_, head), *rows = lines
    rows = [(number, _fit(path, number, cells, _names(head))) for number, cells in rows]
    kept = [
        column
        for column, name in enumerate(head)
        if name.strip() or any(cells[column].strip() for _, cells in rows)
    ]
    columns = _names(head[column] for column in kept)
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise AnnotationError(
            f'{path}: expected one column of each name, got several {repeated[0]!r}'
        )
    if not rows:
        raise AnnotationError(
            f'{path}: expected rows below the header {", ".join(columns)}, got none'
        )
    return TextTable(
        path,
        columns,
        tuple(
            (number, dict(zip(columns, (from_cell(cells[column].strip()) for column in kept))))
            for number, cells in rows
        ),
    )


def _fit(path: Path, number: int, cells: list[str], columns: Sequence[str]) -> list[str]:
    """Cells of a row, as many as columns; what is empty behind the last name may be more or less.

    Raises:
        AnnotationError: There are others.
    """
    named = max((place for place, name in enumerate(columns, 1) if name), default=0)
    while len(cells) > len(columns) and not cells[-1].strip():
        cells = cells[:-1]
    if not named <= len(cells) <= len(columns):
        raise AnnotationError(
            f'{path}: line {number}: expected {named} cells as in the header, '
            f'got {len(cells)}: put texts with commas in quotes'
        )
    return cells + [''] * (len(columns) - len(cells))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table, atomically.

    Numbers have the digits it takes to read the same number back; text is written so that no
    spreadsheet computes it (:mod:`sola_plugin.csv_cells`).
    """
    lines = [to_line(columns), *(to_line(row.get(key, '') for key in columns) for row in rows)]
    write_text(path, ''.join(lines))


def require_cell(text: str, name: str, video_id: str) -> None:
    """Check that a text is read back from a table as it is.

    Args:
        text: The text.
        name: What it is.
        video_id: Of which video.

    Raises:
        AnnotationError: It is not.
    """
    if text != text.strip() or not text:
        raise AnnotationError(
            f'{video_id!r}: a CSV cannot hold {name} {text!r}: it is empty or has blanks around it'
        )


def read_durations(path: Path) -> dict[str, dict[str, float]]:
    """Read the durations of videos from a table.

    Its columns are ``video`` (or ``video_id``, ``video_name``) and ``duration`` (or ``seconds``).

    Args:
        path: A table such as EPIC-Kitchens' ``EPIC_100_video_info.csv``.

    Returns:
        ``duration`` in seconds of every video, and ``fps`` where the table has it.

    Raises:
        AnnotationError: It is no such table; a video stands there twice with different values.
        FileNotFoundError: There is no such file.
    """
    table = read_table(path)
    names = dict(duration=_first(table, _DURATION_NAMES))
    if 'fps' in table.columns:
        names['fps'] = 'fps'
    video_column = _first(table, _VIDEO_NAMES)
    found: dict[str, dict[str, float]] = {}
    for line, row in table.rows:
        values = {
            key: positive(row[name], name, f'{path}: line {line}')
            for key, name in names.items()
            if row[name] or key == 'duration'
        }
        video_id = row[video_column]
        if found.setdefault(video_id, values) != values:
            raise AnnotationError(
                f'{path}: line {line}: expected one line for {video_id!r}, got another '
                f'with {values}'
            )
    return found


def positive(text: str, column: str, where: str) -> float:
    """The positive number that a cell holds.

    Raises:
        AnnotationError: It holds something else.
    """
    value = parse_number(text)
    if value is None or value <= 0:
        raise AnnotationError(f'{where}: expected a positive number under {column!r}, got {text!r}')
    return value


def by_video(table: TextTable, video_column: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Rows as :func:`~.records.group_rows` wants them: video id, place and row.

    Raises:
        AnnotationError: A row has no video.
    """
    for line, row in table.rows:
        if not row[video_column]:
            raise AnnotationError(
                f'{table.path}: line {line}: expected a video id under {video_column!r}, '
                'got nothing'
            )
        yield row[video_column], f'line {line}', row


def _lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of all rows that are not empty."""
    reader = csv.reader(
        io.StringIO(text, newline=''), delimiter=_delimiter(_first_line(text)), strict=True
    )
    try:
        yield from ((reader.line_num, cells) for cells in reader if any(map(str.strip, cells)))
    except csv.Error as error:
        raise AnnotationError(
            f'{path}: line {reader.line_num}: not a table of texts ({error}): check the quotes'
        ) from error


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), '')


def _delimiter(line: str) -> str:
    return max(',;\t', key=line.count)


def _names(cells: Iterable[str]) -> tuple[str, ...]:
    return tuple(cell.strip().lower() for cell in cells)


def _first(table: TextTable, names: Sequence[str]) -> str:
    found = [name for name in names if name in table.columns]
    if not found:
        raise AnnotationError(
            f'{table.path}: expected a column {" or ".join(names)}, got '
            f'{", ".join(map(repr, table.columns))}'
        )
    return found[0]
