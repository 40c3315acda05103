"""The built package, in an environment and a folder that know nothing of the project's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from mmengine.config import Config

from sola_plugin import __version__
from tests.conftest import ROOT, localization_config, make_dataset
from tests.pretraining.test_pretraining import tiny_pretraining

#: What a build needs of the project.
SOURCES = (
    'setup.cfg',
    'pyproject.toml',
    'README.md',
    'LICENSE',
    'MANIFEST.in',
    'sola_plugin',
    'configs',
    'tools',
)


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """The wheel of a copy of the project, so that nothing is left in the project itself."""
    folder = tmp_path_factory.mktemp('package')
    for name in SOURCES:
        source, target = ROOT / name, folder / 'project' / name
        if source.is_dir():
            ignored = shutil.ignore_patterns('__pycache__')
            shutil.copytree(source, target, symlinks=True, ignore=ignored)
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation']
        + ['--disable-pip-version-check', '--wheel-dir', folder, folder / 'project'],
        check=True,
        capture_output=True,
    )
    (file,) = folder.glob('*.whl')
    return file


@pytest.fixture(scope='module')
def environment(wheel, tmp_path_factory) -> Path:
    """Folder of the programs of a new environment: the wheel, and the packages that it needs.

    They are those of this environment, seen through a path file: no package is fetched.
    """
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path('purelib', vars=dict(base=str(folder))))
    subprocess.run(
        [sys.executable, '-m', 'pip', '--python', folder / 'bin/python', 'install', '--quiet']
        + ['--no-deps', '--no-index', '--disable-pip-version-check', wheel],
        check=True,
        capture_output=True,
    )
    given = [path for path in os.environ.get('PYTHONPATH', '').split(os.pathsep) if path]
    ours = [
        path
        for path in sys.path
        if path.endswith(('site-packages', 'dist-packages'))
        or (path in given and Path(path).resolve() != ROOT)
    ]
    (packages / 'needed.pth').write_text('\n'.join(ours))
    return folder / 'bin'


def run(environment: Path, folder: Path, *words: object) -> str:
    """Run a program of the environment in a folder; returns what it prints."""
    variables = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run(
        [environment / words[0], *map(str, words[1:])],
        cwd=folder,
        env=dict(variables, OMP_NUM_THREADS='1'),
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def test_it_holds_what_a_user_needs(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wheel.name.startswith(f'sola_plugin-{__version__}-')
    for folder in ('configs', 'tools'):
        for path in (ROOT / folder).rglob('*.py'):
            assert f'sola_plugin/.mim/{path.relative_to(ROOT).as_posix()}' in names
    templates = (ROOT / 'sola_plugin').rglob('*.j2')
    for path in [
        *templates,
        ROOT / 'sola_plugin/py.typed',
        ROOT / 'sola_plugin/.mim/model-index.yml',
    ]:
        assert path.relative_to(ROOT).as_posix() in names
    assert not [name for name in names if name.startswith(('tests', 'configs', 'tools', 'docs'))]


@pytest.mark.slow
def test_pretrain_train_test_in_an_empty_folder(environment, tmp_path):
    """The commands and the configs by name, on data of the user's."""
    where = run(
        environment, tmp_path, 'python', '-c', 'import sola_plugin; print(sola_plugin.__file__)'
    )
    assert Path(where.strip()).is_relative_to(environment.parent)
    assert run(environment, tmp_path, 'sola', '--version') == f'sola_plugin {__version__}\n'
    root = make_dataset(tmp_path / 'data')
    pretraining = tiny_pretraining(root, tmp_path / 'neck')
    pretraining.dump(tmp_path / 'neck.py')
    run(environment, tmp_path, 'sola', 'pretrain', 'neck.py')
    assert (tmp_path / 'neck/sola.pth').is_file()
    config = localization_config(root, tmp_path / 'head')
    trained = dict(type='Pretrained', checkpoint='neck/sola.pth')
    config['model']['neck'] = dict(pretraining.model.neck, frozen=True, init_cfg=trained)
    Config(config).dump(tmp_path / 'head.py')
    run(environment, tmp_path, 'sola', 'train', 'head.py')
    run(environment, tmp_path, 'sola', 'test', 'head.py', 'head/epoch_2.pth')
    figures = json.loads((tmp_path / 'head/metrics.json').read_text())
    assert 0 <= figures['mAP']['average'] <= 1
