"""The HTML report: one file that opens without a network, a server or a script."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from sola_plugin.io import atomic_write

from .encode import encode_figure
from .render import template_environment, to_html
from .table import Table


@dataclass(frozen=True)
class BulletList:
    """Plain-text items, one under the other."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class CodeBlock:
    """Lines to copy, as they are."""

    text: str


@dataclass(frozen=True)
class FigureBlock:
    """A picture in the report.

    Attributes:
        figure: The matplotlib figure; it is embedded in the file.
        caption: What one sees and how to read it.
        alt: What the picture shows, for readers who do not see it.
        format: ``'auto'``, ``'svg'`` or ``'png'``, see :func:`~.encode.encode_figure`.
    """

    figure: Figure
    caption: str
    alt: str
    format: str = 'auto'


@dataclass(frozen=True)
class TableBlock:
    """A table in the report; the table's own note is shown after the caption."""

    table: Table
    caption: str


#: A ``str`` is a paragraph.
Block = str | BulletList | CodeBlock | FigureBlock | TableBlock


@dataclass(frozen=True)
class Section:
    """One section of the report.

    Attributes:
        heading: Its name, here and in the table of contents.
        blocks: Paragraphs (``str``), lists, code, figures and tables, in the order of reading.
    """

    heading: str
    blocks: Sequence[Block]


def write_report(
    path: str | os.PathLike,
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = '',
    about_data: Sequence[str] = (),
    command: str = '',
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write the report; a file of that name is replaced only when the new one is complete.

    All text is plain text and is escaped: labels and video names may hold any character.

    Args:
        path: File to write, ``.html``.
        title: Heading of the page.
        sections: Content, in order.
        lead: One or two sentences under the title.
        about_data: Paragraphs of the box "What this data is" above the sections; empty: no box.
        command: Shell command(s) that make this report. With ``command`` or ``settings``, the page
            ends with a section "How to reproduce".
        settings: Name → value, shown next to the command.

    Raises:
        ValueError: No sections, a figure without alt text, or one string in place of a sequence.
        TypeError: A block of unknown type.
        OSError: The file cannot be written.
    """
    if not sections:
        raise ValueError('sections: expected at least one, got none')
    for name, value in [
        ('about_data', about_data),
        *((section.heading, section.blocks) for section in sections),
    ]:
        if isinstance(value, str):
            raise ValueError(f'{name!r}: expected a sequence of paragraphs, got one string')
    html = (
        template_environment()
        .get_template('report.html.j2')
        .render(
            title=title,
            lead=lead,
            about_data=about_data,
            sections=_numbered(sections),
            command=command.strip(),
            settings={name: str(value) for name, value in (settings or {}).items()},
        )
    )
    with atomic_write(path) as file:
        file.write(html)


def _numbered(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """Turn the sections into what the template reads; figures and tables are numbered through."""
    counts = {'figure': 0, 'table': 0}
    return [
        {
            'heading': section.heading,
            'blocks': [_block(block, section.heading, counts) for block in section.blocks],
        }
        for section in sections
    ]


def _block(block: Block, heading: str, counts: dict[str, int]) -> dict[str, Any]:
    if isinstance(block, str):
        return {'kind': 'paragraph', 'text': block}
    if isinstance(block, BulletList):
        return {'kind': 'list', 'items': block.items}
    if isinstance(block, CodeBlock):
        return {'kind': 'code', 'text': block.text}
    if isinstance(block, FigureBlock):
        if not block.alt.strip():
            raise ValueError(
                f'section {heading!r}: a figure has no alt text (caption {block.caption!r})'
            )
        counts['figure'] += 1
        return {
            'kind': 'figure',
            'number': counts['figure'],
            'image': encode_figure(block.figure, block.format),
            'caption': block.caption,
            'alt': block.alt,
        }
    if isinstance(block, TableBlock):
        counts['table'] += 1
        return {
            'kind': 'table',
            'number': counts['table'],
            'rows': to_html(block.table),
            'caption': block.caption,
            'note': block.table.note,
        }
    raise TypeError(
        f'section {heading!r}: expected str, BulletList, CodeBlock, FigureBlock or TableBlock, '
        f'got {type(block).__name__}'
    )
