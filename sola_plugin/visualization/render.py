"""One table, shown on the console, in Markdown and in HTML from the same rows."""

from __future__ import annotations

import io

import rich.box
import rich.table
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Console
from rich.text import Text

from sola_plugin.messages import printable

from .table import Table


def template_environment() -> Environment:
    """Environment of the templates in ``visualization/templates``."""
    return Environment(
        loader=PackageLoader('sola_plugin.visualization'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def to_markdown(table: Table) -> str:
    """Render as a Markdown table (GitHub's dialect), numbers to the right, note below."""
    lines = [table.header, ['---'] + ['---:'] * (len(table.header) - 1), *table.rows]
    text = '\n'.join(
        '| ' + ' | '.join(_markdown_cell(cell) for cell in line) + ' |' for line in lines
    )
    return f'{text}\n\n{_markdown_cell(table.note)}\n' if table.note else f'{text}\n'


def to_html(table: Table) -> Markup:
    """Render as ``<thead>`` and ``<tbody>`` of an HTML table, all text escaped; no note."""
    head = Markup('').join(Markup('<th scope="col">{}</th>').format(cell) for cell in table.header)
    body = Markup('\n').join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            row[0], Markup('').join(Markup('<td>{}</td>').format(cell) for cell in row[1:])
        )
        for row in table.rows
    )
    return Markup('<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody>').format(head, body)


def to_rich(table: Table) -> rich.table.Table:
    """Render for a rich console.

    Text in brackets is shown, not read as rich's markup, and control characters of labels as
    escapes. A console that is too narrow cuts cells off; :func:`to_text` does not.
    """
    grid = rich.table.Table(
        box=rich.box.SIMPLE_HEAD,
        caption=Text(printable(table.note, lines=True)) if table.note else None,
        caption_justify='left',
    )
    for index, title in enumerate(table.header):
        grid.add_column(Text(printable(title)), justify='right' if index else 'left', no_wrap=True)
    for row in table.rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    return grid


def to_text(table: Table) -> str:
    """Render as plain text, as wide as it needs to be: no figure is cut off on a narrow screen."""
    wide = Console(file=io.StringIO(), width=10_000, color_system=None)
    grid = to_rich(table)
    width = max(wide.measure(grid).maximum, 40)
    buffer = io.StringIO()
    Console(file=buffer, width=width, color_system=None).print(grid)
    lines = buffer.getvalue().splitlines()
    return '\n'.join(line.rstrip() for line in lines).strip('\n') + '\n'


def _markdown_cell(text: str) -> str:
    text = printable(text.replace('\n', ' '))
    return text.replace('<', '&lt;').replace('|', '\\|')
