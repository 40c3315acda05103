"""What a study says over several of its groups: pooled differences, the worst group, p values."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import permutation_test

from sola_plugin.visualization import Cell, Difference, Table

from .results import Row, baseline_row, study_groups
from .runner import Outcome
from .study import Study

#: Sign flips that are tried at most; with 13 pairs or fewer all are.
_FLIPS = 9999
_NOTE = (
    'mAP: mean over the groups ± standard deviation over them. Δ: difference to {}, fold by fold '
    'and seed by seed, over all pairs of all groups: mean ± standard deviation, 95% bootstrap '
    'interval of the mean, pairs that improved. p: two-sided, from flipping the signs of the pairs '
    '(those of one group share videos, so that it is somewhat too small). Worst: the group with '
    'the smallest mean Δ.'
)


@dataclass(frozen=True)
class Pooled:
    """One row in several groups.

    Attributes:
        values: Group → one mAP for each pair of fold and seed.
        differences: Group → the same as difference to the baseline.
    """

    values: Mapping[str, np.ndarray]
    differences: Mapping[str, np.ndarray]

    @property
    def pairs(self) -> np.ndarray:
        """All differences, one after another."""
        return np.concatenate(list(self.differences.values()))

    @property
    def worst(self) -> tuple[str, float]:
        """The group with the smallest mean difference, and that."""
        means = {group: float(values.mean()) for group, values in self.differences.items()}
        group = min(means, key=means.__getitem__)
        return group, means[group]


def pool(
    groups: Mapping[str, Mapping[str, Row]], baseline: str, pattern: str = '*'
) -> dict[str, Pooled]:
    """Collect each row over the groups whose names match a shell pattern.

    Args:
        groups: Of :func:`~.results.study_groups`.
        baseline: Name of the row that differences are taken to.
        pattern: Of the names of groups.

    Returns:
        Name of the row → the row, of those that every one of these groups has; empty if a group
        lacks the baseline, or none matches.
    """
    chosen = {group: rows for group, rows in groups.items() if fnmatch.fnmatch(group, pattern)}
    if not chosen or any(baseline not in rows for rows in chosen.values()):
        return {}
    values = {
        group: {name: np.asarray(row.figures['mAP']) for name, row in rows.items()}
        for group, rows in chosen.items()
    }
    names = [
        name for name in next(iter(values.values())) if all(name in of for of in values.values())
    ]
    return {
        name: Pooled(
            {group: of[name] for group, of in values.items()},
            {group: of[name] - of[baseline] for group, of in values.items()},
        )
        for name in names
    }


def summary_tables(study: Study, outcomes: Sequence[Outcome]) -> dict[str, Table]:
    """One table for each summary of several groups, and one of the headline comparisons.

    Args:
        study: The study.
        outcomes: Of :func:`~.runner.run_study`.

    Returns:
        Title → table, of the summaries of which there are results.
    """
    groups, baseline = study_groups(study, outcomes), baseline_row(study)
    found = {title: pool(groups, baseline, pattern) for title, pattern in study.summaries.items()}
    # Of a single group its own table says as much.
    tables = {
        title: _table(rows, baseline)
        for title, rows in found.items()
        if rows and len(next(iter(rows.values())).values) > 1
    }
    if study.headline:
        table = headline_table(groups, study.summaries, **study.headline)
        if table.rows:
            tables['Headline comparisons'] = table
    return tables


def _table(rows: Mapping[str, Pooled], baseline: str) -> Table:
    cells = []
    for name, row in rows.items():
        of_groups = Cell.of([100 * values.mean() for values in row.values.values()])
        texts = ['–'] * 4
        if name != baseline:
            group, worst = row.worst
            better = sum(values.mean() > 0 for values in row.differences.values())
            texts = [
                _difference(row.pairs),
                _p(sign_flip_p(row.pairs)),
                f'{100 * worst:+.1f} ({group})',
                f'{better}/{len(row.differences)}',
            ]
        cells.append((name, of_groups.text(), *texts))
    header = ('', 'mAP', 'Δ mAP', 'p', 'worst', 'groups above 0')
    return Table(header, tuple(cells), _NOTE.format(baseline))


def headline_table(
    groups: Mapping[str, Mapping[str, Row]],
    summaries: Mapping[str, str],
    row: str,
    against: Sequence[str],
) -> Table:
    """One row against several others, in each summary, with Holm's correction over all of them.

    Args:
        groups: Of :func:`~.results.study_groups`.
        summaries: Title → shell pattern of the names of groups.
        row: What is compared.
        against: Names of the rows that it is compared with.
    """
    found = []
    for title, pattern in summaries.items():
        for other in against:
            if row in (rows := pool(groups, other, pattern)):
                found.append((title, other, rows[row].pairs))
    corrected = holm([sign_flip_p(pairs) for _, _, pairs in found])
    cells = tuple(
        (title, other, _difference(pairs), _p(p))
        for (title, other, pairs), p in zip(found, corrected)
    )
    return Table(
        ('', f'{row} against', 'Δ mAP', 'p, corrected'),
        cells,
        f"p: Holm's correction over these {len(cells)} comparisons.",
    )


def sign_flip_p(differences: np.ndarray) -> float:
    """Two-sided p value of the mean of paired differences, by flipping signs.

    Args:
        differences: ``(n,)``; a single one has the p value 1.

    Example:
        >>> sign_flip_p(np.array([1.0, 2.0, 3.0]))
        0.25
    """
    if len(differences) < 2 or not differences.any():
        return 1.0
    result = permutation_test(
        (differences,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type='samples',
        vectorized=True,
        n_resamples=_FLIPS,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number (Holm, Scandinavian Journal of Statistics 6, 1979).

    Example:
        >>> holm([0.04, 0.01, 0.03])
        [0.06, 0.03, 0.06]
    """
    order = np.argsort(p_values, kind='stable')
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _difference(pairs: np.ndarray) -> str:
    return Difference.of(100 * pairs, np.zeros(len(pairs))).text(with_interval=True)


def _p(value: float) -> str:
    return '< 0.001' if value < 0.001 else f'{value:.3f}'
