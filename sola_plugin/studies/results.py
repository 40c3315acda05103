"""What a study found: table, picture, file of all figures."""
from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sola_plugin.utils import atomic_write
from sola_plugin.visualization import (
    Column,
    Table,
    build_table,
    encode_figure,
    plot_comparison,
    to_markdown,
)

from .runner import Outcome
from .study import Study

_COLUMNS = (
    Column('mAP', 'mAP', scale=100, difference=True),
    Column('mAP@0.5', 'mAP@0.5', scale=100),
    Column('AR@10', 'AR@10', scale=100),
    Column('probe', 'probe', scale=100),
    Column('pretrain_seconds', 'pretrain, s', digits=0),
    Column('train_seconds', 'train, s', digits=0),
)


@dataclass(frozen=True)
class Written:
    """What :func:`write_study` gave.

    Attributes:
        table: ``None`` if no cell succeeded with every seed.
        files: Names in the study's folder.
        failures: One line for each cell and seed that failed.
    """

    table: Table | None
    files: tuple[str, ...]
    failures: tuple[str, ...]


def write_study(study: Study, outcomes: Sequence[Outcome], work_dir: Path, command: str) -> Written:
    """Write ``results.md``, ``results.csv`` and ``results.png``.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.
        work_dir: Where to.
        command: What was called.

    Returns:
        Table, names of the files, and failures.
    """
    failed = tuple(f'{o.cell.name or study.title}, seed {o.seed}: {o.error}'
                   for o in outcomes if o.figures is None)
    write_figures(work_dir / 'results.csv', outcomes)
    figures = figures_by_cell(outcomes)
    text = [f'## {study.title}', '', f'`{command}`, commit `{commit()}`', '']
    table, files = None, ['results.csv', 'results.md']
    if figures:
        table = study_table(study, outcomes)
        _write_picture(work_dir / 'results.png', study, figures)
        text += [to_markdown(table), '']
        files.append('results.png')
    if failed:
        text += ['Failed, and left out of the table:', '', *(f'- {line}' for line in failed), '']
    with atomic_write(work_dir / 'results.md') as file:
        file.write('\n'.join(text))
    return Written(table, tuple(files), failed)


def commit() -> str:
    """Commit of the code that runs, with ``+`` if files were changed since; ``'unknown'`` outside of git."""
    folder = Path(__file__).parent
    try:
        return subprocess.run(['git', 'describe', '--always', '--dirty=+', '--abbrev=7', '--exclude=*'],
                              cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def _write_picture(path: Path, study: Study, figures: dict[str, dict[str, list[float]]]) -> None:
    baselines = {study.baseline_of(cell).name for cell in study.cells} & set(figures)
    figure = plot_comparison(
        {name: [100 * value for value in own['mAP']] for name, own in figures.items()},
        baseline=baselines.pop() if study.baseline and len(baselines) == 1 else None)
    with atomic_write(path, 'wb') as file:
        file.write(encode_figure(figure, 'png').data)


def figures_by_cell(outcomes: Sequence[Outcome]) -> dict[str, dict[str, list[float]]]:
    """Figures of the cells of which every seed succeeded.

    Args:
        outcomes: Of :func:`~.runner.run_study`.

    Returns:
        Name of the cell → name of the figure → one value for each seed.
    """
    cells: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        cells.setdefault(outcome.cell.name, []).append(outcome)
    return {name: {key: [o.figures[key] for o in own if o.figures] for key in own[0].figures or ()}
            for name, own in cells.items() if all(o.figures for o in own)}


def study_table(study: Study, outcomes: Sequence[Outcome]) -> Table:
    """Mean, spread, and paired difference to the baseline with a bootstrap interval.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`. Cells of which a seed failed are left out.

    Returns:
        One row for each cell.

    Raises:
        ValueError: No cell succeeded with every seed.
    """
    figures = figures_by_cell(outcomes)
    baselines = {cell.name: study.baseline_of(cell).name for cell in study.cells if study.baseline}
    known = {name: other for name, other in baselines.items() if name in figures and other in figures}
    factors = ' · '.join(study.cells[0].levels) or 'cell'
    return build_table(figures, _COLUMNS, row_title=factors, baseline=known, with_interval=True)


def write_figures(path: str | os.PathLike, outcomes: Sequence[Outcome]) -> None:
    """Write every figure of every cell and seed as CSV; a failed one has its reason under ``error``.

    Args:
        path: File to write.
        outcomes: Of :func:`~.runner.run_study`.
    """
    keys = list(dict.fromkeys(key for outcome in outcomes for key in outcome.figures or ()))
    with atomic_write(path) as file:
        writer = csv.writer(file)
        writer.writerow([*_factors(outcomes), 'seed', *keys, 'error'])
        for outcome in outcomes:
            values = [(outcome.figures or {}).get(key, '') for key in keys]
            writer.writerow([*outcome.cell.levels.values(), outcome.seed, *values, outcome.error])


def _factors(outcomes: Sequence[Outcome]) -> list[str]:
    return list(outcomes[0].cell.levels) if outcomes else []
