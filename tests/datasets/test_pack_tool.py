"""The command that packs features."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sola_plugin.datasets.features.packed import DATA_NAME, PackedFeatures
from sola_plugin.datasets.features.packing import verify_packed
from sola_plugin.locking import hold_lock
from tests.conftest import ROOT

C = 6
NAMES = [f'v_{index}' for index in range(5)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / 'features').mkdir()
    for index, name in enumerate(NAMES):
        array = np.random.default_rng(index).normal(size=(index + 3, C))
        np.save(tmp_path / f'features/{name}.npy', array.astype(np.float32))
    return tmp_path


@pytest.fixture
def tool(run_script):
    return partial(run_script, 'tools/pack_features.py')


def test_on_a_disk_that_is_full_for_a_time(tool, root):
    """A limit on the size of files stands for the disk."""
    code = (
        'import resource, runpy, sys; sys.dont_write_bytecode = True; '
        'resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)); '
        'sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")'
    )
    arguments = ['tools/pack_features.py', root / 'features', root / 'packed', '--layout', 'TC']
    result = subprocess.run(
        [sys.executable, '-c', code, *map(str, arguments)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    assert 'error: [Errno 27] File too large after 4 of 5 videos, which are kept' in result.stderr
    result = tool(*arguments[1:])
    assert result.stdout == f'{root}/packed: 5 videos, 25 snippets x 6 channels, float32, 0.0 MB\n'
    assert verify_packed(root / 'packed').ids == NAMES


def test_packs_a_subset_and_verifies(tool, root):
    database = {
        str(index): dict(duration=9, annotations=[], subset='training' if index < 3 else 'testing')
        for index in range(6)
    }
    (root / 'ann.json').write_text(json.dumps(dict(database=database)))
    (root / 'ids.txt').write_text('v_4\n\nv_2\n')
    common = ['--dtype', 'float16', '--annotations', root / 'ann.json', '--prefix', 'v_']
    result = tool(root / 'features', root / 'a', *common, '--subset', 'training')
    assert result.returncode == 0 and PackedFeatures(root / 'a').ids() == NAMES[:3]
    result = tool(root / 'features', root / 'b', *common)
    assert (
        result.returncode == 1 and "error: 1 of 6 videos have no features: 'v_5'" in result.stderr
    )
    sources = [root / 'features', root / 'features']
    result = tool(*sources, root / 'c', '--ids', root / 'ids.txt', '--suffix', '.npy')
    assert (
        result.returncode == 0
        and 'c: 2 videos, 12 snippets x 12 channels, float32' in result.stdout
    )
    assert PackedFeatures(root / 'c').ids() == ['v_4', 'v_2']
    result = tool('--verify', root / 'c')
    assert result.stdout.endswith('float32, 0.0 MB, checksums right\n')
    with (root / 'c' / DATA_NAME).open('rb+') as file:
        file.write(b'x')
    result = tool('--verify', root / 'c')
    assert (
        result.returncode == 1 and "checksums of 1 of 2 videos are wrong ('v_4')" in result.stderr
    )
    assert result.stderr.strip().startswith('error: ') and not result.stdout


def test_what_is_noted_of_the_features_is_carried_on(tool, root):
    noted = dict(encoder='a', dtype='float32', feature_stride=0.5, feature_offset=0.25)
    (root / 'features/features.json').write_text(
        json.dumps(dict(noted, channels=C, videos={}, failed={}))
    )
    assert tool(root / 'features', root / 'a', '--dtype', 'float16').returncode == 0
    assert json.loads((root / 'a/features.json').read_text()) == dict(
        noted, channels=C, dtype='float16'
    )
    assert tool(root / 'features', root / 'a', root / 'both', '--suffix', '.npy').returncode == 0
    assert json.loads((root / 'both/features.json').read_text()) == dict(noted, channels=2 * C)
    shutil.copytree(root / 'features', root / 'silent', ignore=shutil.ignore_patterns('*.json'))
    assert tool(root / 'silent', root / 'b').returncode == 0
    assert not (root / 'b/features.json').exists()


@pytest.mark.parametrize(
    'arguments',
    [
        ['a'],
        ['--verify', 'a', 'b'],
        ['a', 'b', '--subset', 'x'],
        ['a', 'b', '--ids', 'x', '--annotations', 'y'],
    ],
)
def test_usage(tool, arguments):
    result = tool(*arguments)
    assert result.returncode == 2 and 'error: expected ' in result.stderr


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['nowhere', 'out'], 'error: feature folder .*nowhere does not exist: check the path'),
        (
            ['--verify', 'features'],
            'error: .*features is no packed folder, packed_features.json is missing',
        ),
        (['features', 'out', '--annotations', 'ann.json'], r'error: .*ann\.json'),
        (['features', 'out', '--ids', 'nothing.txt'], r'error: .*nothing\.txt'),
    ],
)
def test_bad_input(tool, root, arguments, message):
    result = tool(
        *(argument if argument.startswith('-') else root / argument for argument in arguments)
    )
    assert result.returncode == 1 and not result.stdout
    assert re.search(f'^{message}', result.stderr, re.M) and 'Traceback' not in result.stderr


def test_the_commands_of_the_documentation(tool, root):
    """As they stand in the page, on other paths."""
    for name in ('rgb', 'flow'):
        shutil.copytree(root / 'features', root / name)
    database = {name: dict(duration=9, annotations=[], subset='training') for name in NAMES[:3]}
    (root / 'annotations.json').write_text(json.dumps(dict(database=database)))
    page = (ROOT / 'docs/own_data.md').read_text(encoding='utf-8')
    commands = re.findall(r'^python (tools/pack_features.py .*?)(?:  +#.*)?$', page, re.M)
    assert len(commands) == 5
    printed = ''
    for command in commands:
        result = tool(*command.replace('data/mine', str(root)).split()[1:])
        assert result.returncode == 0, result.stderr
        printed += result.stdout
    sizes = {
        path.parent.name: (len(PackedFeatures(path.parent)), PackedFeatures(path.parent).channels)
        for path in root.glob('*/packed_features.json')
    }
    assert sizes == dict(packed=(5, C), packed16=(5, C), both=(5, 2 * C), train=(3, C))
    assert 'checksums right' in printed


def test_two_at_the_same_time(tool, root):
    """The second says who is packing and harms nothing; afterwards it finds all done."""
    with hold_lock(root / 'packed'):
        result = tool(root / 'features', root / 'packed')
        assert result.returncode == 1 and not result.stdout and not (root / 'packed').exists()
        assert re.fullmatch(
            rf'error: .*/packed: process {os.getpid()} on \S+ is writing to it: .*\n', result.stderr
        )
    assert tool(root / 'features', root / 'packed').returncode == 0
    assert not list(root.glob('.*'))
