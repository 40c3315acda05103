"""What a study chooses by a rule that was fixed before, kept as a config for another study."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from sola_plugin.io import atomic_write

from .results import baseline_row, failures, study_groups
from .runner import Outcome
from .study import Study
from .study_checks import RULES
from .summary import pool

#: Of a line of the config.
_WIDTH = 100


def choose(study: Study, outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Apply the study's rule to each of its summaries.

    ``'worst case'``: the row whose smallest mean difference to the baseline, over the groups of the
    summary, is the largest. ``'long enough'``: rows are lengths in ascending order; the first one
    that the next is not better than by a standard error of the paired difference; the last one
    where each is better than the one before.

    Args:
        study: Whose folds test on validation videos.
        outcomes: Of :func:`~.runner.run_study`.

    Returns:
        Title of the summary → name of the row.

    Raises:
        ValueError: The study has no rule, or a run failed: with fewer trials the choice would be
            another one.
    """
    if not study.rule or not study.summaries:
        raise ValueError(
            f'{study.path} chooses nothing: it needs summaries and rule, one of {list(RULES)}'
        )
    by_rule = dict(zip(RULES, (_best_worst_case, _long_enough)))[study.rule]
    if failed := failures(study, outcomes):
        raise ValueError(f'nothing is chosen, as {len(failed)} runs failed: {failed[0]}')
    groups, baseline = study_groups(study, outcomes), baseline_row(study)
    return {
        title: by_rule(
            {
                name: (row.worst[1], np.concatenate(list(row.values.values())))
                for name, row in pool(groups, baseline, pattern).items()
            }
        )
        for title, pattern in study.summaries.items()
    }


def _best_worst_case(rows: Mapping[str, tuple[float, np.ndarray]]) -> str:
    return max(rows, key=lambda name: rows[name][0])


def _long_enough(rows: Mapping[str, tuple[float, np.ndarray]]) -> str:
    names = list(rows)
    for name, longer in zip(names, names[1:]):
        change = rows[longer][1] - rows[name][1]
        if change.mean() < change.std(ddof=1) / np.sqrt(len(change)):
            return name
    return names[-1]


def write_choices(path: str | os.PathLike, chosen: Mapping[str, str], command: str) -> None:
    """Write a config with the choices, which a study inherits as ``_choices``.

    Args:
        path: File to write; one that is there is replaced, as choices come from one run.
        chosen: Of :func:`choose`.
        command: What was called, for the first lines.
    """
    head = f'Chosen on validation videos by: {" ".join(command.split())}'
    comment = textwrap.wrap(
        head, _WIDTH, initial_indent='# ', subsequent_indent='# ', break_on_hyphens=False
    )
    lines = [f'    {title!r}: {name!r},' for title, name in chosen.items()]
    with atomic_write(path) as file:
        file.write('\n'.join([*comment, '_choices = {', *lines, '}']) + '\n')
