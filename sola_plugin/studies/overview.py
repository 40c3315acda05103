"""A study in one small table: a row for each method, two columns for each group of cells."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence

import numpy as np

from sola_plugin.visualization import Cell, Difference, Table, to_markdown
from sola_plugin.visualization.table import MISSING

from .results import baseline_row, code_versions, study_groups
from .runner import Outcome
from .study import Study
from .summary import Pooled, pool


def overview_table(study: Study, outcomes: Sequence[Outcome]) -> Table:
    """mAP, and the paired difference to the baseline with its interval.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.

    Returns:
        Two columns for each of the study's ``summaries``, or for each group if it has none; of
        those of which there are results.

    Raises:
        ValueError: There are none, or no baseline.
    """
    groups, baseline = study_groups(study, outcomes), baseline_row(study)
    patterns = study.summaries or {name: glob.escape(name) for name in groups}
    found = {title: pool(groups, baseline, pattern) for title, pattern in patterns.items()}
    found = {title: rows for title, rows in found.items() if rows}
    if not found:
        raise ValueError(f'{study.path}: no overview without a baseline that has results')
    header = [' · '.join(study.row_factors())]
    lines = {name: [name] for rows in found.values() for name in rows}
    for title, rows in found.items():
        header += [title or 'mAP', 'Δ']
        for name, line in lines.items():
            line += _cells(rows.get(name), name == baseline)
    table = tuple(map(tuple, lines.values()))
    folded = any(row.cell.fold for rows in groups.values() for row in rows.values())
    return Table(tuple(header), table, _note(found, baseline, folded))


def overview_markdown(study: Study, outcomes: Sequence[Outcome], command: str) -> str:
    """The table, with the command and the versions of the code that measured it.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.
        command: What was called.

    Raises:
        ValueError: See :func:`overview_table`.
    """
    table = to_markdown(overview_table(study, outcomes))
    return f'{table.strip()} `{command}`, measured at commit {code_versions(outcomes)}.'


def _cells(row: Pooled | None, is_baseline: bool) -> list[str]:
    if row is None:
        return [MISSING, MISSING]
    groups = list(row.values.values())
    # Of several groups, every one weighs the same; what they differ by is not a spread over seeds.
    values = groups[0] if len(groups) == 1 else np.mean([group.mean() for group in groups])[None]
    shown = Cell.of(100 * values).text()
    if is_baseline:
        return [shown, MISSING]
    difference = Difference.of(100 * row.pairs, np.zeros(len(row.pairs)))
    return [shown, difference.text(with_interval=True, with_spread=False)]


def _note(found: Mapping[str, Mapping[str, Pooled]], baseline: str, folded: bool) -> str:
    pooled = [row for rows in found.values() for row in rows.values()]
    several = any(len(row.values) > 1 for row in pooled)
    sizes = sorted({len(values) for row in pooled for values in row.values.values()})
    number = ' or '.join(map(str, sizes)) + (' pairs of fold and seed' if folded else ' seeds')
    return (
        f'Average mAP, %, {"mean over the groups" if several else "mean ± standard deviation"}. Δ: '
        f'difference to {baseline}, {"pair by pair" if folded else "seed by seed"}: mean, 95% '
        f'bootstrap interval of it, how many improved. {number}{" in each group" * several}.'
    )
