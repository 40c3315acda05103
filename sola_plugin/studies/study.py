"""Studies: one experiment, factors that change it, and the grid of cells that they span."""

from __future__ import annotations

import fnmatch
import itertools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .study_checks import (
    StudyError,
    check_pairs,
    check_summary,
    refuse_levels_of_their_own,
    refuse_unknown,
)

__all__ = ['Condition', 'Study', 'StudyError', 'load_study']

#: What the experiment of a study, and every level of a factor, may say.
_CONFIGS = ('head', 'pretrain')
_OPTIONS = ('embedded', 'head_options', 'pretrain_options')
#: What it may say of how its results are put together.
_SUMMARY = ('summaries', 'headline', 'rule')


@dataclass(frozen=True)
class Condition:
    """One experiment of a study; it is run once for every seed, and of every fold if it has some.

    Attributes:
        levels: Factor → name of its level.
        head: Config of the localizer.
        pretrain: Config of label-free training of the neck; ``None``: there is none.
        embedded: Options of :func:`~sola_plugin.datasets.watch.data.prepare_watch`; ``None``: the
            configs' own data.
        head_options, pretrain_options: Changes of the two configs, by dotted name.
        data_root: What paths of data in the configs begin with, and what stands in its place;
            ``None``: they stay as they are.
        folds: Name of a fold → its changes, any of the options; empty: there is one set of data.
        seeds: It is run with each of them, on every fold.
        fold: The fold that it is; empty: it has none, or is the experiment with all of them.
    """

    levels: Mapping[str, str]
    head: Path
    pretrain: Path | None = None
    embedded: Mapping[str, Any] | None = None
    head_options: Mapping[str, Any] = field(default_factory=dict)
    pretrain_options: Mapping[str, Any] = field(default_factory=dict)
    data_root: tuple[str, str] | None = None
    folds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    fold: str = ''

    def runs(self) -> list[Condition]:
        """The experiment on each of its folds; itself if there are none."""
        return [
            replace(
                self,
                folds={},
                fold=name,
                **_merged(self, changes),
            )
            for name, changes in self.folds.items()
        ] or [self]

    def with_folds(self, names: Collection[str]) -> Condition:
        """The experiment with some of its folds only."""
        return replace(self, folds={name: self.folds[name] for name in self.folds if name in names})

    @property
    def name(self) -> str:
        """Names of the levels, in the order of the factors."""
        return ' · '.join(self.levels.values())


@dataclass(frozen=True)
class Study:
    """What a study file says.

    Attributes:
        path: The file.
        title: One line.
        cells: The grid; the last factor changes fastest.
        seeds: Seeds of data, label-free training and head, of cells that have none of their own.
        baseline: Factor → level that differences are taken to. Factors that are not named keep
            their level: with ``dict(neck='raw')`` every head is compared with its own raw features.
        summaries: Title → shell pattern of the names of the groups that are looked at together.
        headline: ``row``, and ``against``, the rows that it is compared with in every summary;
            empty: there are no such comparisons.
        rule: How :func:`~.choice.choose` chooses a row for every summary; empty: it does not.
    """

    path: Path
    title: str
    cells: tuple[Condition, ...]
    seeds: tuple[int, ...]
    baseline: Mapping[str, str]
    summaries: Mapping[str, str] = field(default_factory=dict)
    headline: Mapping[str, Any] = field(default_factory=dict)
    rule: str = ''

    @property
    def num_runs(self) -> int:
        """Heads that are trained, if no two cells share one: cells by folds by seeds."""
        return sum(len(cell.runs()) * len(cell.seeds) for cell in self.cells)

    def only(self, levels: Iterable[Sequence[str]], folds: Sequence[str] = ()) -> Study:
        """A part of the study, to run it piece by piece.

        Args:
            levels: Pairs of a factor and a shell pattern of the levels that are kept; of a factor
                that is not named, all are.
            folds: Names of the folds that are kept; none: all.

        Raises:
            StudyError: A factor or fold is not known, or a pattern matches no level.
        """
        kept: dict[str, set[str]] = {}
        for factor, pattern in levels:
            known = {name: _levels(self.cells, name) for name in self.cells[0].levels}
            matches = fnmatch.filter(known.get(factor, ()), pattern)
            if not matches:
                raise StudyError(f'{self.path}: {factor}={pattern!r} is none of {known}')
            kept.setdefault(factor, set()).update(matches)
        cells = [
            cell
            for cell in self.cells
            if all(cell.levels[factor] in names for factor, names in kept.items())
        ]
        if folds:
            known_folds = list(dict.fromkeys(name for cell in cells for name in cell.folds))
            if unknown := [fold for fold in folds if fold not in known_folds]:
                raise StudyError(f'{self.path}: fold {unknown[0]!r} is none of {known_folds}')
            cells = [
                cell.with_folds(folds)
                for cell in cells
                if not cell.folds or set(folds) & set(cell.folds)
            ]
        return replace(self, cells=tuple(cells))

    def row_factors(self) -> list[str]:
        """The factors whose levels name the rows of a table; the others name the tables."""
        return [
            factor
            for factor in self.cells[0].levels
            if factor in self.baseline or not self.baseline
        ]

    def row_names(self) -> list[str]:
        """Names of the rows, in the order of the cells; of a study without factors one is empty."""
        own = self.row_factors()
        return list(
            dict.fromkeys(' · '.join(cell.levels[factor] for factor in own) for cell in self.cells)
        )

    def baseline_of(self, cell: Condition) -> Condition:
        """The cell that ``cell`` is compared with; itself if it is the baseline."""
        wanted = {**cell.levels, **self.baseline}
        return next(other for other in self.cells if other.levels == wanted)


def load_study(
    path: str | os.PathLike,
    seeds: int | Sequence[int] | None = None,
    embedded: Mapping[str, Any] | None = None,
    own: Mapping[str, os.PathLike] | None = None,
    data_root: str | os.PathLike | None = None,
    baseline: Mapping[str, str] | None = None,
) -> Study:
    """Read a study file (docs/studies.md).

    Args:
        path: mmengine config with ``head``, ``factors`` and, where wanted, ``pretrain``,
            ``embedded``, ``head_options``, ``pretrain_options``, ``baseline``, ``seeds``,
            ``title``, ``summaries``, ``headline``, ``rule``. Paths are relative to the file.
        seeds: Overrides every number of seeds of the file, or list of them.
        embedded: Overrides options of the embedded data.
        own: ``dict(head=..., pretrain=...)``: asks the study's question on the data of these
            configs instead of the embedded data.
        data_root: Where the data lie that the file's ``data_root`` stands for.
        baseline: Instead of the file's.

    Returns:
        The study.

    Raises:
        StudyError: A key or level is not known, a config file does not exist, or with ``own`` a
            level has a config or data of its own.
        FileNotFoundError: There is no such file.
    """
    path = Path(path)
    content = Config.fromfile(path).to_dict()
    if own:
        content.update(
            {key: Path(value).absolute() for key, value in own.items()},
            embedded=None,
            data_root=None,
            folds={},
        )
        refuse_levels_of_their_own(path, content.get('factors') or {})
    of_grid = {*_CONFIGS, *_OPTIONS, 'factors', 'baseline', 'seeds', 'data_root', 'folds'}
    known = of_grid | {'title', *_SUMMARY}
    refuse_unknown(path, '', content, known)
    factors = content.get('factors')
    if not factors and 'head' not in content:
        raise StudyError(f'{path}: expected head=CONFIG and factors={{name: {{level: changes}}}}')
    if embedded and content.get('embedded') is None:
        raise StudyError(
            f'{path}: options of the embedded data were given, but it uses its own data'
        )
    shared = {key: content[key] for key in (*_CONFIGS, *_OPTIONS, 'folds') if key in content}
    if data_root is not None:
        if not content.get('data_root'):
            raise StudyError(
                f'{path}: has no data_root that {data_root} could stand for; of own data the '
                'configs say where they lie'
            )
        shared['data_root'] = (content['data_root'], os.path.abspath(data_root))
    shared['seeds'] = content.get('seeds', 5)
    cells = tuple(
        _cell(path, shared, factors or {}, levels, embedded or {}, seeds)
        for levels in itertools.product(*(factors or {}).values())
    )
    of_study = _seeds(path, shared['seeds'] if seeds is None else seeds)
    baseline = (content.get('baseline') if baseline is None else baseline) or {}
    for factor, level in baseline.items():
        if level not in (factors or {}).get(factor, ()):
            raise StudyError(
                f'{path}: the baseline {factor}={level!r} is none of '
                f'{ {name: list(levels) for name, levels in (factors or {}).items()} }'
            )
    study = Study(
        path,
        content.get('title', path.stem),
        cells,
        of_study,
        baseline,
        **{key: content[key] for key in _SUMMARY if key in content},
    )
    if baseline:
        check_pairs(study)
    check_summary(study)
    return study


def _cell(
    path: Path,
    shared: Mapping[str, Any],
    factors: Mapping[str, Mapping[str, Any]],
    levels: Sequence[str],
    embedded: Mapping[str, Any],
    seeds: int | Sequence[int] | None,
) -> Condition:
    merged: dict[str, Any] = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in shared.items()
    }
    for factor, level in zip(factors, levels):
        changes = factors[factor][level]
        where = f'level {level!r} of {factor!r}: '
        refuse_unknown(path, where, changes, {*_CONFIGS, *_OPTIONS, 'folds', 'seeds'})
        for key, value in changes.items():
            merged[key] = {**(merged.get(key) or {}), **value} if key in _OPTIONS else value
    for fold, changes in (merged.get('folds') or {}).items():
        refuse_unknown(path, f'fold {fold!r}: ', changes, set(_OPTIONS))
    name = ', '.join(map(repr, levels)) or 'the study'
    for key in _CONFIGS:
        if merged.get(key) is None:
            continue
        merged[key] = path.parent / merged[key]
        if not merged[key].is_file():
            raise StudyError(f'{path}: {key} of {name} is {merged[key]}, which does not exist')
    if merged.get('head') is None:
        raise StudyError(f'{path}: {name} has no head=CONFIG')
    if embedded:
        merged['embedded'] = {**merged['embedded'], **embedded}
    merged['seeds'] = _seeds(path, merged['seeds'] if seeds is None else seeds)
    return Condition(dict(zip(factors, levels)), **merged)


def _seeds(path: Path, seeds: int | Sequence[int]) -> tuple[int, ...]:
    found = tuple(range(seeds) if isinstance(seeds, int) else seeds)
    if not found or len(set(found)) < len(found):
        raise StudyError(f'{path}: expected at least one seed and none twice, got {found}')
    return found


def _merged(cell: Condition, changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: {**(getattr(cell, key) or {}), **value} for key, value in changes.items()}


def _levels(cells: Sequence[Condition], factor: str) -> list[str]:
    return list(dict.fromkeys(cell.levels[factor] for cell in cells))
