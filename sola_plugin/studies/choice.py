"""The best level of every group of a study, fold by fold, kept as a config for another study."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from sola_plugin.io import atomic_write

from .results import Row, failures, study_groups
from .runner import Outcome
from .study import Study

#: Of a line of the config.
_WIDTH = 100


def best_levels(
    study: Study, outcomes: Sequence[Outcome], figure: str = 'mAP'
) -> dict[str, dict[str, str]]:
    """Choose by the mean over seeds; of equal ones the first.

    Every fold chooses for itself, so that what one fold tests on decides for no other.

    Args:
        study: Whose folds test on validation videos.
        outcomes: Of :func:`~.runner.run_study`.
        figure: The larger, the better.

    Returns:
        Name of the group → fold (empty if there are none) → name of the row.

    Raises:
        ValueError: A run failed: with fewer trials the choice would be another one.
    """
    if failed := failures(study, outcomes):
        raise ValueError(f'nothing is chosen, as {len(failed)} runs failed: {failed[0]}')
    chosen: dict[str, dict[str, str]] = {}
    for group, rows in study_groups(study, outcomes).items():
        means = {name: _means(row, figure) for name, row in rows.items()}
        chosen[group] = {
            fold: max(means, key=lambda name: means[name][fold])
            for fold in next(iter(means.values()))
        }
    return chosen


def _means(row: Row, figure: str) -> dict[str, float]:
    of_fold: dict[str, list[float]] = {}
    for outcome, value in zip(row.outcomes, row.figures[figure]):
        of_fold.setdefault(outcome.cell.fold, []).append(value)
    return {fold: float(np.mean(values)) for fold, values in of_fold.items()}


def write_choices(
    path: str | os.PathLike, chosen: Mapping[str, Mapping[str, str]], command: str
) -> None:
    """Write a config with the choices, which a study inherits as ``_choices``.

    Args:
        path: File to write; one that is there is replaced, as choices come from one run.
        chosen: Of :func:`best_levels`.
        command: What was called, for the first lines.
    """
    head = f'Chosen on validation videos by: {" ".join(command.split())}'
    comment = textwrap.wrap(
        head, _WIDTH, initial_indent='# ', subsequent_indent='# ', break_on_hyphens=False
    )
    lines = [*comment, '_choices = {']
    for group, folds in chosen.items():
        lines.append(f'    {group!r}: {{')
        lines += [f'        {fold!r}: {name!r},' for fold, name in folds.items()]
        lines.append('    },')
    with atomic_write(path) as file:
        file.write('\n'.join([*lines, '}']) + '\n')
