"""The lists of CONTRIBUTING.md are those of the package."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable

import pytest
from mmaction.registry import MODELS

import sola_plugin
from sola_plugin import heads, necks
from sola_plugin.datasets.annotations.formats import FORMATS
from sola_plugin.datasets.features.readers import SUFFIXES
from sola_plugin.pretraining import tasks
from tests.conftest import ROOT

TEXT = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')


def registered(room) -> set[str]:
    for name in room.__all__:
        getattr(room, name)  # heads are imported when they are asked for
    return {name for name in room.__all__ if name in MODELS.module_dict}


#: What the list of each section names: all that there is of the kind.
KINDS: dict[str, Iterable[str]] = {
    'Adding a neck': registered(necks),
    'Adding a head': registered(heads),
    'Adding a pretext task': registered(tasks),
    'Adding an annotation format': FORMATS,
    'Adding a feature format': SUFFIXES,
}


def section(title: str) -> str:
    return TEXT.split(f'\n## {title}\n')[1].split('\n## ')[0]


def test_every_section_on_adding_is_checked():
    assert list(KINDS) == re.findall(r'(?m)^## (Adding .*)$', TEXT)


@pytest.mark.parametrize('title', KINDS)
def test_all_that_there_is_is_named(title):
    line = next(line for line in section(title).splitlines() if line.startswith('There are: '))
    assert set(re.findall('`([^`]+)`', line)) == set(KINDS[title])


@pytest.mark.parametrize('title', KINDS)
def test_the_files_to_touch_exist(title):
    """A path with a placeholder stands for a file that some of what there is has."""
    paths = re.findall(r'`((?:sola_plugin|configs|tests|docs|tools)/[^`]+)`', section(title))
    assert len(paths) >= 4
    for path in paths:
        assert list(ROOT.glob(re.sub('<[a-z]+>', '*', path))), path


def test_the_table_of_rooms_is_in_the_order_of_the_contract():
    config = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))
    contracts = {
        contract['id']: contract for contract in config['tool']['importlinter']['contracts']
    }
    layers = [set(layer.split(' | ')) for layer in reversed(contracts['layers']['layers'])]
    rows = re.findall(r'(?m)^\| (`.*?`) \|', section('The rooms'))
    rooms = [
        [name.strip('/').removesuffix('.py') for name in re.findall('`(.*?)`', row)] for row in rows
    ]
    named = [name for row in rooms for name in row]
    at = [next(i for i, layer in enumerate(layers) if name in layer) for name in named]
    assert at == sorted(at)
    assert sorted(named) == sorted(name for layer in layers for name in layer)


def test_the_rooms_are_those_on_disk():
    package = ROOT / 'sola_plugin'
    rooms = {path.stem for path in package.glob('*.py')} | {
        path.parent.name for path in package.glob('*/__init__.py')
    }
    named = set(re.findall(r'`(\w+)(?:/|\.py)`', section('The rooms')))
    assert rooms - {'__init__'} <= named


def test_no_term_is_explained_twice():
    words = [
        word.strip()
        for row in re.findall(r'(?m)^\| ([^|]+) \| [^|]+ \|$', section('Terms'))
        for word in row.split(',')
    ]
    assert len(words) > 10 and len(set(words)) == len(words)


def test_a_version_of_the_package_is_in_the_changelog():
    headings = re.findall(r'(?m)^## (.+)$', (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8'))
    assert headings[0] == 'Unreleased' and sola_plugin.__version__ in headings
