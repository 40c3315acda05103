"""The example of a data set of one's own works as it is written, by the commands of its page."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from sola_plugin.commands.checks.dataset import check_config
from sola_plugin.commands.cli import read_config
from sola_plugin.commands.template import new_dataset
from sola_plugin.io import atomic_write


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('own') / 'it is "mine"'
    new_dataset(folder)
    path = folder / 'config.py'
    text = re.sub(r'(?m)^(epochs|similarity_matching_epochs) = .*$', r'\1 = 2', path.read_text())
    path.write_text(text.replace('interval=10, max_keep_ckpts', 'interval=1, max_keep_ckpts'))
    return folder


def test_nothing_is_wrong_with_it(folder):
    report = check_config(read_config(folder / 'config.py'))
    assert not report.of_level('error') and not report.of_level('warning')
    assert set(report.oracles) == {'train', 'test'}


def test_the_commands_of_its_page(folder, run_script):
    """In the order of the page, as they stand there."""
    page = (folder / 'README.md').read_text()
    commands = re.findall(r'(?m)^    sola ([\w-]+) (.*)$', page)
    assert [name for name, _ in commands] == ['check-dataset', 'train', 'test', 'localize']
    for name, rest in commands:
        # The folder of this test has blanks in its name.
        words = rest.replace(str(folder), '@').split()
        arguments = [word.replace('@', str(folder)) for word in words]
        done = run_script(f'tools/{name.replace("-", "_")}.py', *arguments)
        assert done.returncode == 0, done.stderr
    assert json.loads((folder / 'work/metrics.json').read_text())['mAP']
    assert (folder / 'found/video_06.json').is_file()


def test_what_it_shows_of_annotations_is_read(folder):
    page = (folder / 'README.md').read_text()
    shown = re.search(r'(?s)\{"database".*?\n    \}\}', page)[0]
    (video,) = json.loads(shown)['database'].values()
    entry = next(iter(json.loads((folder / 'annotations.json').read_text())['database'].values()))
    assert video.keys() == entry.keys()
    assert video['annotations'][0].keys() == entry['annotations'][0].keys()


@pytest.mark.parametrize('what', ['file in it', 'is a file'])
def test_nothing_is_overwritten(tmp_path, run_script, what):
    target = tmp_path / 'mine'
    if what == 'is a file':
        target.write_text('mine')
    else:
        target.mkdir()
        (target / 'notes').write_text('mine')
    done = run_script('tools/new_dataset.py', target)
    assert done.returncode == 1
    assert done.stderr.startswith(f'error: {target} exists and is not empty: name a new folder')
    assert (target if target.is_file() else target / 'notes').read_text() == 'mine'


def test_the_same_every_time(tmp_path):
    for name in 'ab':
        new_dataset(tmp_path / name)
    one, other = (np.load(tmp_path / name / 'features/video_03.npy') for name in 'ab')
    np.testing.assert_array_equal(one, other)
    with atomic_write(tmp_path / 'a/features/more.npy', 'wb') as file:
        np.save(file, one)
    assert (tmp_path / 'a/config.py').read_text() != (tmp_path / 'b/config.py').read_text()
