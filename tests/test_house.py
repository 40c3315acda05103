"""Rules of the house that no linter knows. The import contract itself is checked by `make lint`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

#: What a tool may import. The networks are built by commands, studies and the pretraining run.
ROOMS_OF_TOOLS = {
    'commands',
    'studies',
    'pretraining',
    'datasets',
    'evaluation',
    'visualization',
    'io',
    'file_names',
    'messages',
    'segments',
    'progress',
    'locking',
}
TOOLS = sorted((ROOT / 'tools').glob('*.py'))


def imported(source: str) -> set[str]:
    """Modules that are imported anywhere in a file, with the names that are taken from them."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
    return names


@pytest.mark.parametrize('tool', TOOLS, ids=lambda path: path.name)
def test_a_tool_leaves_the_networks_to_the_package(tool):
    rooms = {
        name.split('.')[1]
        for name in imported(tool.read_text(encoding='utf-8'))
        if name.startswith('sola_plugin.')
    }
    assert rooms <= ROOMS_OF_TOOLS
    assert len(tool.read_text(encoding='utf-8').splitlines()) < 150  # parse, call, print


def test_what_is_imported_is_seen():
    source = 'import a.b\ndef f():\n    from sola_plugin.heads import BMN\n'
    assert imported(source) == {'a.b', 'sola_plugin.heads.BMN'}


def test_processes_of_tests_begin_in_the_one_way():
    """On the path of this process, and no fork of one that knows of a GPU."""
    own = {'processes.py', Path(__file__).name}
    for path in (ROOT / 'tests').rglob('*.py'):
        if path.name not in own:
            text = path.read_text(encoding='utf-8')
            assert not re.search(r"PYTHONPATH=|'PYTHONPATH': str|['\"]fork['\"]", text), path


def test_a_commit_is_checked_by_the_commands_of_make_lint():
    config = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text(encoding='utf-8'))
    hooks = [hook['entry'] for repo in config['repos'] for hook in repo['hooks']]
    lint = (ROOT / 'Makefile').read_text(encoding='utf-8').split('\nlint:')[1].split('\n\n')[0]
    commands = re.findall(r'\$\(BIN\)/(.+)', lint)
    assert [re.sub(r' --check| \.$', '', command) for command in commands] == [
        entry.removeprefix('.venv/bin/').removesuffix(' --force-exclude') for entry in hooks
    ]
