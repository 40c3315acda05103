"""What the documentation says works."""

from __future__ import annotations

import pkgutil
import re
import runpy
from pathlib import Path

import pytest
from mmengine.config import Config

from sola_plugin.commands import train_localizer
from sola_plugin.commands.testing import test_localizer as run_test
from tests.conftest import CHANNELS, ROOT, TINY_BMN

PAGES = [
    *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')),
    *sorted((ROOT / 'docs').rglob('*.md')),
]


@pytest.mark.parametrize('page', PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_files_exist(page):
    text = page.read_text(encoding='utf-8')
    for target in re.findall(r'\]\(([^)#]+)\)', text):
        assert target.startswith('http') or (page.parent / target).exists(), target
    for name in re.findall(
        r'\b(?:tools|configs|benchmarks|tests|docs)/[\w./-]+\.(?:py|md)\b', text
    ):
        assert (ROOT / name).exists(), name


def test_the_config_of_own_data_trains_and_tests(data_root, tmp_path):
    """The example as it stands in the page, on other paths and with a smaller network."""
    page = (ROOT / 'docs/own_data.md').read_text(encoding='utf-8')
    code = next(
        block for block in re.findall(r'```python\n(.*?)```', page, re.S) if 'my_bmn.py' in block
    )
    for old, new in (
        ("'configs/", f"'{ROOT}/configs/"),
        ('data/mine/', f'{data_root}/'),
        ('2048', str(CHANNELS)),
        ('num_workers=2', 'num_workers=0'),
    ):
        assert old in code
        code = code.replace(old, new)
    (tmp_path / 'my_bmn.py').write_text(code)
    cfg = Config.fromfile(tmp_path / 'my_bmn.py')
    small = ('hidden', 'num_', 'temporal')
    cfg.model.update({key: TINY_BMN[key] for key in TINY_BMN if key.startswith(small)})
    cfg.model.neck.hidden_channels = 4
    cfg.custom_hooks[0].update(batch_size=4, max_epochs=1, pretext=dict(window=19, start=2))
    cfg.train_cfg.max_epochs, cfg.work_dir = 1, str(tmp_path / 'work')
    train_localizer(Config(cfg.to_dict()))
    assert 'TAL/mAP' in run_test(cfg, Path(cfg.work_dir) / 'epoch_1.pth')


def test_the_differences_by_fold_are_those_of_the_record(monkeypatch, capsys):
    """The page's own code prints the figures that stand above it."""
    page = (ROOT / 'docs/real_video.md').read_text(encoding='utf-8')
    code = next(
        block for block in re.findall(r'```python\n(.*?)```', page, re.S) if 'docs/records' in block
    )
    monkeypatch.chdir(ROOT)
    exec(compile(code, 'docs/real_video.md', 'exec'), {})
    figures = re.findall(r': (\S+ ± \S+)', capsys.readouterr().out)
    text = page[page.index('**By fold.**') : page.index(code)]
    assert len(figures) == 4
    for figure in figures:
        assert figure.replace('-', '−') in text


def test_every_room_has_its_part_of_the_api_reference():
    package = ROOT / 'sola_plugin'
    paths = [*package.glob('[a-z]*.py'), *package.glob('[a-z]*/__init__.py')]
    rooms = {path.parent.name if path.stem == '__init__' else path.stem for path in paths}
    pages = [page.read_text(encoding='utf-8') for page in (ROOT / 'docs/api').glob('*.md')]
    described = [
        name for page in pages for name in re.findall(r'(?m)^::: sola_plugin\.(\w+)$', page)
    ]
    assert sorted(described) == sorted(rooms)


def test_links_of_the_repository_become_links_of_the_site():
    hook = runpy.run_path(str(ROOT / 'docs/_hooks/pages.py'))['site_links']
    text = (
        '[a](docs/heads.md#bmn) [b](CHANGELOG.md) [c](setup.cfg) [d](https://x.org/y.md) [e](#here)'
    )
    expected = '[a](heads.md#bmn) [b](changelog.md) c [d](https://x.org/y.md) [e](#here)'
    assert hook(text, '') == expected
    text = '[a](heads.md) [b](../README.md#results) [c](../configs/studies/demo.py)'
    assert hook(text, 'docs') == '[a](heads.md) [b](index.md#results) c'
    assert hook('[a](../how_it_works.md) [b](../../CONTRIBUTING.md)', 'docs/api') == (
        '[a](../how_it_works.md) [b](../contributing.md)'
    )


@pytest.mark.parametrize('page', PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_of_the_package_lead_somewhere(page):
    text = page.read_text(encoding='utf-8')
    for name in re.findall(r'\bsola_plugin(?:\.\w+)+', text):
        pkgutil.resolve_name(name)
    rooms = '|'.join(path.parent.name for path in (ROOT / 'sola_plugin').glob('*/__init__.py'))
    for path in re.findall(rf'(?<![\w/])((?:{rooms})/[\w/]+\.py)\b', text):
        assert (ROOT / 'sola_plugin' / path).exists(), path
