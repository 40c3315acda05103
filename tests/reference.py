"""Annotation files by name: made ones, and public ones where this machine has them.

The public annotation files, the generator of detections over them and what the official evaluators
answer for those are other people's work, so they are not part of this project. Tests that use them
look for a folder ``shared/reference`` in the project's folder and those above it, or for the
folder that the environment variable ``SOLA_REFERENCE`` names; without it they are skipped, and the
same tests on made sets remain. Figures in ``tests/data`` that belong to the public files
(``diagnosis_expected.json``, ``actionformer_expected.json``) were measured for this project.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from sola_plugin.io import read_json
from tests import reference_evaluators as plain
from tests.annotation_sets import activitynet_like, made_detections, thumos14_like

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / 'tests/data'

MADE_SETS = {'activitynet-like': activitynet_like, 'thumos14-like': thumos14_like}
PUBLIC_SETS = {
    'activitynet-1.3': 'activitynet-1.3_annotations.json.gz',
    'thumos14': 'thumos14_annotations.json.gz',
}
#: Names for the fixture ``annotation_file``, made ones first.
ACTIVITYNET_SETS, THUMOS14_SETS = zip(MADE_SETS, PUBLIC_SETS)
ALL_SETS = (*MADE_SETS, *PUBLIC_SETS)

#: Detections over a made set: names of cases for the fixture ``load_reference``.
MADE_CASES = {
    'anet_made': dict(
        annotations='activitynet-like',
        subset='validation',
        per_video=10,
        tiou=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
    ),
    'thumos_made': dict(
        annotations='thumos14-like', subset='test', per_video=30, tiou=[0.3, 0.4, 0.5, 0.6, 0.7]
    ),
}
#: The same over public sets.
PUBLIC_CASES = ('anet_dev', 'thumos_dev')
ACTIVITYNET_CASES, THUMOS14_CASES = zip(MADE_CASES, PUBLIC_CASES)
ALL_CASES = (*MADE_CASES, *PUBLIC_CASES)


def reference_folder() -> Path | None:
    """Folder of the public files, if there is one."""
    named = os.environ.get('SOLA_REFERENCE')
    if named is not None:
        return Path(named) if Path(named).is_dir() else None
    folders = (folder / 'shared/reference' for folder in (ROOT, *ROOT.parents))
    return next((folder for folder in folders if folder.is_dir()), None)


def real_set(name: str) -> Path:
    """Folder of features of real videos, which are not part of this project; skips without it."""
    named = os.environ.get('SOLA_REAL')
    folders = [Path(named)] if named else [f / 'shared/real' for f in (ROOT, *ROOT.parents)]
    found = next((folder / name for folder in folders if (folder / name).is_dir()), None)
    if found is None:
        pytest.skip(
            f'{name}, features of real videos, is not part of this project and not in shared/real '
            'beside or above the checkout; the environment variable SOLA_REAL names its folder'
        )
    return found


def reference_file(name: str) -> Path:
    """A public file; skips the test where it is missing."""
    folder = reference_folder()
    if folder is None or not (folder / name).is_file():
        pytest.skip(
            f'{name} is not part of this project and not in {folder or "shared/reference"}: put it '
            'into shared/reference beside or above the checkout, or name its folder in the '
            'environment variable SOLA_REFERENCE'
        )
    return folder / name


@cache
def database_of(name: str) -> dict:
    """Content of a set by the id of the video; not to be changed."""
    if name in MADE_SETS:
        return MADE_SETS[name]()['database']
    return read_json(reference_file(PUBLIC_SETS[name]))['database']


@cache
def _public_generator() -> ModuleType:
    path = reference_file('make_detections.py')
    spec = importlib.util.spec_from_file_location('make_detections', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _public_case(kind: str, name: str) -> dict:
    """Expected figures; ``annotations`` becomes the name of the set."""
    file = f'{kind}_expected.json'
    expected = read_json(DATA / file if (DATA / file).is_file() else reference_file(file))[name]
    (annotations,) = (s for s, file in PUBLIC_SETS.items() if file == expected['annotations'])
    return {**expected, 'annotations': annotations}


@cache
def detections_of(name: str, subset: str, per_video: int, seed: int = 1) -> dict:
    """Detections over a set: of the public generator over public ones, else made."""
    database = database_of(name)
    if name in MADE_SETS:
        return made_detections(database, subset, per_video, seed)
    return _public_generator().make_detections(database, subset, per_video, seed)


@cache
def load_case(kind: str, name: str) -> tuple[dict, dict, dict]:
    """Expected figures of a kind (``map``, ``recall``, ``actionformer``), truth and detections.

    Those of public sets were computed with other people's evaluators, those of made sets are
    computed here, by plain evaluators that have nothing in common with the package.
    """
    case = MADE_CASES[name] if name in MADE_CASES else _public_case(kind, name)
    keys = ('subset', 'per_video', 'seed')
    found = detections_of(case['annotations'], *(case[key] for key in keys if key in case))
    database = database_of(case['annotations'])
    truth = {v: x['annotations'] for v, x in database.items() if x['subset'] == case['subset']}
    if name in MADE_CASES:
        case = {**case, **plain.expected_figures(kind, truth, found, case['tiou'])}
    return case, truth, found
