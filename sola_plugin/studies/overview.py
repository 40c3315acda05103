"""A study in one small table: a row for each method, columns for the groups of cells."""

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
    """The average mAP, and the paired difference to the baseline with its interval.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.

    Returns:
        Of a study with ``summaries`` one column for each: the mAP of the baseline, and of the
        others the difference. Else two for each group: mAP, and difference.

    Raises:
        ValueError: There are no results, or no baseline.
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
        header += [title] if study.summaries else [title or 'mAP', 'Δ']
        for name, line in lines.items():
            row = rows.get(name)
            value = MISSING if row is None else _mean(row)
            change = MISSING if row is None or name == baseline else _difference(row)
            if study.summaries:
                line.append(value if name == baseline else change)
            else:
                line += [value, change]
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


def _mean(row: Pooled) -> str:
    groups = list(row.values.values())
    # Of several groups, every one weighs the same; what they differ by is not a spread over seeds.
    values = groups[0] if len(groups) == 1 else np.mean([group.mean() for group in groups])[None]
    return Cell.of(100 * values).text()


def _difference(row: Pooled) -> str:
    difference = Difference.of(100 * row.pairs, np.zeros(len(row.pairs)))
    return difference.text(with_interval=True, with_spread=False)


def _note(found: Mapping[str, Mapping[str, Pooled]], baseline: str, folded: bool) -> str:
    pooled = [row for rows in found.values() for row in rows.values()]
    several = any(len(row.values) > 1 for row in pooled)
    sizes = sorted({len(values) for row in pooled for values in row.values.values()})
    plural = 's' * (sizes != [1])
    number = ' or '.join(map(str, sizes)) + (
        f' pair{plural} of fold and seed' if folded else f' seed{plural}'
    )
    return (
        f'Average mAP, %, {"mean over the groups" if several else "mean ± standard deviation"}; '
        f'difference to {baseline}, {"pair by pair" if folded else "seed by seed"}: mean, 95% '
        f'bootstrap interval of it, how many improved. {number}{" in each group" * several}.'
    )
