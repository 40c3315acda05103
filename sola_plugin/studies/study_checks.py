"""What is refused of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .study import Study

#: Names of the rules of :func:`~.choice.choose`.
RULES = ('worst case', 'long enough')


class StudyError(ValueError):
    """A study file cannot be used; the message names the file and the key."""


def check_pairs(study: Study) -> None:
    """Refuse cells that cannot be paired with their baseline."""
    for cell in study.cells:
        here, there = ((list(c.folds), c.seeds) for c in (cell, study.baseline_of(cell)))
        if here != there:
            raise StudyError(
                f'{study.path}: {cell.name} has folds and seeds {here}, its baseline {there}: '
                'differences are taken fold by fold and seed by seed, so they must be the same'
            )


def check_summary(study: Study) -> None:
    """Refuse what cannot be put together or chosen as the study says."""
    path = study.path
    if not isinstance(study.summaries, Mapping):
        raise StudyError(
            f'{path}: summaries: expected dict(title=PATTERN), got {study.summaries!r}'
        )
    if study.rule and study.rule not in RULES:
        raise StudyError(f'{path}: rule={study.rule!r} is none of {list(RULES)}')
    if (study.summaries or study.headline or study.rule) and not study.baseline:
        raise StudyError(f'{path}: summaries, headline and rule need a baseline')
    if not study.headline:
        return
    if set(study.headline) != {'row', 'against'}:
        raise StudyError(
            f'{path}: headline: expected dict(row=ROW, against=[ROW, ...]), got {study.headline!r}'
        )
    rows = study.row_names()
    for name in (study.headline['row'], *study.headline['against']):
        if name not in rows:
            raise StudyError(f'{path}: headline: {name!r} is no row of {rows}')


def refuse_levels_of_their_own(path: Path, factors: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to ask on other data what has data of its own."""
    for factor, levels in factors.items():
        for level, changes in levels.items():
            if found := {'head', 'pretrain', 'embedded', 'folds'} & set(changes):
                raise StudyError(
                    f'{path}: level {level!r} of {factor!r} has its own {found.pop()}, so it '
                    'cannot be asked on other data; write a study of your own (docs/studies.md)'
                )


def refuse_unknown(path: Path, where: str, content: Mapping[str, Any], known: set[str]) -> None:
    """Refuse keys that nothing reads."""
    # A leading underscore marks what a file only uses itself.
    unknown = [key for key in content if key not in known and not key.startswith('_')]
    if unknown:
        raise StudyError(
            f'{path}: {where}unknown key {unknown[0]!r}, expected some of {sorted(known)}'
        )
