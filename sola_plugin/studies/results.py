"""What a study found: its figures by groups, tables, Markdown, a file of all figures."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Mapping, Sequence

from sola_plugin.csv_cells import to_cell
from sola_plugin.io import atomic_write
from sola_plugin.visualization import Column, Table, build_table, to_markdown

from .runner import Outcome
from .study import Condition, Study

_COLUMNS = (
    Column('mAP', 'mAP', scale=100, difference=True),
    Column('mAP@0.5', 'mAP@0.5', scale=100),
    Column('AR@10', 'AR@10', scale=100),
    Column('probe', 'probe', scale=100),
    Column('probe_balanced', 'probe, balanced', scale=100),
    Column('pretrain_seconds', 'pretrain, s', digits=0),
    Column('train_seconds', 'train, s', digits=0),
)
#: What a value of a study with folds is of, for the notes of tables.
_FOLDED = ('fold and seed', 'pairs of fold and seed')


@dataclasses.dataclass(frozen=True)
class Row:
    """One cell of which every seed (of every fold) succeeded.

    Attributes:
        cell: The experiment.
        outcomes: One for each fold and seed.
    """

    cell: Condition
    outcomes: tuple[Outcome, ...]

    @property
    def figures(self) -> dict[str, list[float]]:
        """Name of the figure → one value for each fold and seed."""
        own = [outcome.figures or {} for outcome in self.outcomes]
        # Of stages that an earlier version did, some figures may be missing.
        keys = [key for key in own[0] if all(key in figures for figures in own)]
        return {key: [figures[key] for figures in own] for key in keys}


def study_groups(study: Study, outcomes: Sequence[Outcome]) -> dict[str, dict[str, Row]]:
    """Sort the cells into groups of one baseline each.

    The groups are those of the factors that the baseline does not name.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.

    Returns:
        Name of the group (empty if there is only one) → name of the row → the row. Cells of which a
        seed failed are left out.
    """
    own = study.row_factors()
    cells: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        cells.setdefault(outcome.cell.name, []).append(outcome)
    groups: dict[str, dict[str, Row]] = {}
    for of_cell in cells.values():
        if all(outcome.figures is not None for outcome in of_cell):
            levels = of_cell[0].cell.levels
            group = ' · '.join(level for factor, level in levels.items() if factor not in own)
            name = ' · '.join(levels[factor] for factor in own) or study.title
            groups.setdefault(group, {})[name] = Row(of_cell[0].cell, tuple(of_cell))
    return groups


def study_tables(study: Study, outcomes: Sequence[Outcome]) -> dict[str, Table]:
    """Mean, spread, and paired difference to the baseline with a bootstrap interval.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.

    Returns:
        Name of the group → table with one row for each cell of it; see :func:`study_groups`.
    """
    title = ' · '.join(study.row_factors()) or 'cell'
    return {
        group: _table(rows, title, baseline_row(study))
        for group, rows in study_groups(study, outcomes).items()
    }


def baseline_row(study: Study) -> str:
    """Name of the row, in every group, that differences are taken to; empty if there is none."""
    return (
        ' · '.join(study.baseline[factor] for factor in study.row_factors())
        if study.baseline
        else ''
    )


def _table(rows: Mapping[str, Row], title: str, baseline: str) -> Table:
    known = dict.fromkeys(rows, baseline) if baseline in rows else {}
    return build_table(
        {name: row.figures for name, row in rows.items()},
        _COLUMNS,
        row_title=title,
        baseline=known,
        with_interval=True,
        unit=_FOLDED if any(row.cell.fold for row in rows.values()) else ('seed', 'seeds'),
    )


def failures(study: Study, outcomes: Sequence[Outcome]) -> list[str]:
    """One line for each cell and seed that failed.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.
    """
    return [
        f'{outcome.cell.name or study.title}, {outcome.where}: {outcome.error}'
        for outcome in outcomes
        if outcome.figures is None
    ]


def study_markdown(
    study: Study,
    outcomes: Sequence[Outcome],
    command: str,
    summaries: Mapping[str, Table] | None = None,
) -> str:
    """All tables as Markdown, with the command and the versions of the code that measured them.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.
        command: What was called.
        summaries: Title → table, which stand before the others.
    """
    lines = [
        f'## {study.title}',
        '',
        f'`{command}`, measured at commit {code_versions(outcomes)}.',
        '',
    ]
    for title, table in (summaries or {}).items():
        lines += [f'### {title}', '', to_markdown(table)]
    tables = study_tables(study, outcomes)
    for number, (group, table) in enumerate(tables.items(), start=1):
        if number < len(tables):
            table = dataclasses.replace(table, note='')  # one note for all of them
        lines += [f'### {group}', ''] * bool(group) + [to_markdown(table)]
    if failed := failures(study, outcomes):
        lines += ['Failed, and left out of the table:', '', *(f'- {line}' for line in failed), '']
    return '\n'.join(lines)


def code_versions(outcomes: Sequence[Outcome]) -> str:
    """Versions of the code that did the stages; see :func:`~.stages.code_version`."""
    return ' and '.join(sorted(set().union(*(outcome.code for outcome in outcomes)))) or '-'


def write_figures(path: str | os.PathLike, outcomes: Sequence[Outcome]) -> None:
    """Write the figures of every cell and seed as CSV.

    ``folder`` has the checkpoint and the detections, ``commit`` tells the versions of the code, and
    ``error`` the reason of a failed one.

    Args:
        path: File to write.
        outcomes: Of :func:`~.runner.run_study`.
    """
    keys = list(dict.fromkeys(key for outcome in outcomes for key in outcome.figures or ()))
    factors = list(outcomes[0].cell.levels) if outcomes else []
    folded = any(outcome.cell.fold for outcome in outcomes)
    with atomic_write(path) as file:
        writer = csv.writer(file)
        writer.writerow([*factors, *['fold'] * folded, 'seed', *keys, 'folder', 'commit', 'error'])
        for outcome in outcomes:
            values = [(outcome.figures or {}).get(key, '') for key in keys]
            which = [*outcome.cell.levels.values(), *[outcome.cell.fold] * folded, outcome.seed]
            origin = (outcome.stages[-1].name, ' and '.join(sorted(outcome.code)))
            writer.writerow(map(to_cell, [*which, *values, *origin, outcome.error]))
