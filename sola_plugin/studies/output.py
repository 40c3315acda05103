"""The files that a study leaves, and blocks of documents that it writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sola_plugin.io import atomic_write
from sola_plugin.temporary_files import remove_abandoned
from sola_plugin.visualization import Table, encode_figure

from .report import comparison_figure, write_study_report
from .results import (
    baseline_row,
    failures,
    study_groups,
    study_markdown,
    study_tables,
    write_figures,
)
from .runner import Outcome
from .study import Study
from .summary import summary_tables


def update_document(path: str | os.PathLike, name: str, text: str) -> None:
    r"""Put text between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``, each on its own line.

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
        >>> _ = file.write_text('By hand.\n')
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


@dataclass(frozen=True)
class Written:
    """What :func:`write_study` gave.

    Attributes:
        tables: Name of the group → table; empty if no cell succeeded with every seed.
        summaries: Title → table, see :func:`~.summary.summary_tables`.
        markdown: Content of ``results.md``.
        files: Names in the study's folder.
        failures: One line for each cell and seed that failed.
    """

    tables: dict[str, Table]
    summaries: dict[str, Table]
    markdown: str
    files: tuple[str, ...]
    failures: tuple[str, ...]


def write_study(study: Study, outcomes: Sequence[Outcome], work_dir: Path, command: str) -> Written:
    """Write the results of a study.

    They are ``results.md``, ``results.csv`` and, if a cell has results, ``results.png`` and
    ``report.html``.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.
        work_dir: Where to.
        command: What was called.

    Returns:
        Tables, text, names of the files, and failures.
    """
    tables, summaries = study_tables(study, outcomes), summary_tables(study, outcomes)
    markdown = study_markdown(study, outcomes, command, summaries)
    remove_abandoned(work_dir)
    write_figures(work_dir / 'results.csv', outcomes)
    with atomic_write(work_dir / 'results.md') as file:
        file.write(markdown)
    files = ['results.csv', 'results.md']
    if tables:
        figure = comparison_figure(study_groups(study, outcomes), baseline_row(study))
        with atomic_write(work_dir / 'results.png', 'wb') as file:
            file.write(encode_figure(figure, 'png').data)
        write_study_report(work_dir / 'report.html', study, outcomes, command, summaries)
        files += ['results.png', 'report.html']
    return Written(tables, summaries, markdown, tuple(files), tuple(failures(study, outcomes)))
