"""Studies: one experiment, factors that change it, and the grid of cells that they span."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

#: What the experiment of a study, and every level of a factor, may say.
_CONFIGS = ('head', 'pretrain')
_OPTIONS = ('embedded', 'head_options', 'pretrain_options')


class StudyError(ValueError):
    """A study file cannot be used; the message names the file and the key."""


@dataclass(frozen=True)
class Condition:
    """One experiment of a study; it is run once for every seed.

    Attributes:
        levels: Factor → name of its level.
        head: Config of the localizer.
        pretrain: Config of label-free training of the neck; ``None``: there is none.
        embedded: Options of :func:`~sola_plugin.datasets.watch.data.prepare_watch`; ``None``: the
            configs' own data.
        head_options, pretrain_options: Changes of the two configs, by dotted name.
    """

    levels: Mapping[str, str]
    head: Path
    pretrain: Path | None = None
    embedded: Mapping[str, Any] | None = None
    head_options: Mapping[str, Any] = field(default_factory=dict)
    pretrain_options: Mapping[str, Any] = field(default_factory=dict)

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
        seeds: Seeds of data, label-free training and head.
        baseline: Factor → level that differences are taken to. Factors that are not named keep
            their level: with ``dict(neck='raw')`` every head is compared with its own raw features.
    """

    path: Path
    title: str
    cells: tuple[Condition, ...]
    seeds: tuple[int, ...]
    baseline: Mapping[str, str]

    def baseline_of(self, cell: Condition) -> Condition:
        """The cell that ``cell`` is compared with; itself if it is the baseline."""
        wanted = {**cell.levels, **self.baseline}
        return next(other for other in self.cells if other.levels == wanted)


def load_study(
    path: str | os.PathLike,
    seeds: int | Sequence[int] | None = None,
    embedded: Mapping[str, Any] | None = None,
    own: Mapping[str, os.PathLike] | None = None,
) -> Study:
    """Read a study file (docs/studies.md).

    Args:
        path: mmengine config with ``head``, ``factors`` and, where wanted, ``pretrain``,
            ``embedded``, ``head_options``, ``pretrain_options``, ``baseline``, ``seeds``,
            ``title``. Paths are relative to the file.
        seeds: Overrides the file's number of seeds, or list of them.
        embedded: Overrides options of the embedded data.
        own: ``dict(head=..., pretrain=...)``: asks the study's question on the data of these
            configs instead of the embedded data.

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
        content.update({key: Path(value).absolute() for key, value in own.items()}, embedded=None)
        _refuse_levels_of_their_own(path, content.get('factors') or {})
    known = {*_CONFIGS, *_OPTIONS, 'factors', 'baseline', 'seeds', 'title'}
    _refuse_unknown(path, '', content, known)
    factors = content.get('factors')
    if not factors and 'head' not in content:
        raise StudyError(f'{path}: expected head=CONFIG and factors={{name: {{level: changes}}}}')
    if embedded and content.get('embedded') is None:
        raise StudyError(
            f'{path}: options of the embedded data were given, but it uses its own data'
        )
    shared = {key: content[key] for key in (*_CONFIGS, *_OPTIONS) if key in content}
    cells = tuple(
        _cell(path, shared, factors or {}, levels, embedded or {})
        for levels in itertools.product(*(factors or {}).values())
    )
    seeds = content.get('seeds', 5) if seeds is None else seeds
    seeds = tuple(range(seeds) if isinstance(seeds, int) else seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise StudyError(f'{path}: expected at least one seed and none twice, got {seeds}')
    baseline = content.get('baseline') or {}
    for factor, level in baseline.items():
        if level not in (factors or {}).get(factor, ()):
            raise StudyError(
                f'{path}: the baseline {factor}={level!r} is none of '
                f'{ {name: list(levels) for name, levels in (factors or {}).items()} }'
            )
    return Study(path, content.get('title', path.stem), cells, seeds, baseline)


def _cell(
    path: Path,
    shared: Mapping[str, Any],
    factors: Mapping[str, Mapping[str, Any]],
    levels: Sequence[str],
    embedded: Mapping[str, Any],
) -> Condition:
    merged: dict[str, Any] = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in shared.items()
    }
    for factor, level in zip(factors, levels):
        changes = factors[factor][level]
        _refuse_unknown(path, f'level {level!r} of {factor!r}: ', changes, {*_CONFIGS, *_OPTIONS})
        for key, value in changes.items():
            merged[key] = {**(merged.get(key) or {}), **value} if key in _OPTIONS else value
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
    return Condition(dict(zip(factors, levels)), **merged)


def _refuse_levels_of_their_own(path: Path, factors: Mapping[str, Mapping[str, Any]]) -> None:
    for factor, levels in factors.items():
        for level, changes in levels.items():
            if found := {*_CONFIGS, 'embedded'} & set(changes):
                raise StudyError(
                    f'{path}: level {level!r} of {factor!r} has its own {found.pop()}, so it '
                    'cannot be asked on other data; write a study of your own (docs/studies.md)'
                )


def _refuse_unknown(path: Path, where: str, content: Mapping[str, Any], known: set[str]) -> None:
    # A leading underscore marks what a file only uses itself.
    unknown = [key for key in content if key not in known and not key.startswith('_')]
    if unknown:
        raise StudyError(
            f'{path}: {where}unknown key {unknown[0]!r}, expected some of {sorted(known)}'
        )
