"""The files that a study leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sola_plugin.utils import atomic_write
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


@dataclass(frozen=True)
class Written:
    """What :func:`write_study` gave.

    Attributes:
        tables: Name of the group → table; empty if no cell succeeded with every seed.
        markdown: Content of ``results.md``.
        files: Names in the study's folder.
        failures: One line for each cell and seed that failed.
    """

    tables: dict[str, Table]
    markdown: str
    files: tuple[str, ...]
    failures: tuple[str, ...]


def write_study(study: Study, outcomes: Sequence[Outcome], work_dir: Path, command: str) -> Written:
    """Write ``results.md``, ``results.csv`` and, if there are results, ``results.png`` and
    ``report.html``.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.
        work_dir: Where to.
        command: What was called.

    Returns:
        Tables, text, names of the files, and failures.
    """
    tables, markdown = study_tables(study, outcomes), study_markdown(study, outcomes, command)
    write_figures(work_dir / 'results.csv', outcomes)
    with atomic_write(work_dir / 'results.md') as file:
        file.write(markdown)
    files = ['results.csv', 'results.md']
    if tables:
        figure = comparison_figure(study_groups(study, outcomes), baseline_row(study))
        with atomic_write(work_dir / 'results.png', 'wb') as file:
            file.write(encode_figure(figure, 'png').data)
        write_study_report(work_dir / 'report.html', study, outcomes, command)
        files += ['results.png', 'report.html']
    return Written(tables, markdown, tuple(files), tuple(failures(study, outcomes)))
