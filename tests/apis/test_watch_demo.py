"""The demo's stages, table and report, with very short training."""
from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sola_plugin.apis import stages
from sola_plugin.apis.watch_demo import METHODS, Regime, num_stages, run_seed
from sola_plugin.apis.watch_report import results_table, write_watch_report
from tests.conftest import ROOT

REGIME = Regime(validation=True)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture(scope='module')
def job(tmp_path_factory) -> tuple[Path, Path, dict, list[str]]:
    """Configs with two epochs, the folder of a finished seed, its figures and its stages."""
    folder = tmp_path_factory.mktemp('demo')
    configs = folder / 'configs'
    shutil.copytree(ROOT / 'configs', configs)
    edit(configs / '_base_/schedules/onecycle_60e.py', '60', '2')
    edit(configs / 'localization/bmn_watch.py', 'interval=20', 'interval=1')
    edit(configs / 'pretrain/sola_watch.py', 'windows_per_video=57', 'windows_per_video=2')
    edit(configs / 'pretrain/sola_watch.py', 'max_epochs=25', 'max_epochs=2')
    reported: list[str] = []
    figures = run_seed(0, folder / 'work/seed0', configs, REGIME, heads=['BMN'], report=reported.append)
    return configs, folder / 'work', figures, reported


def test_every_method_has_its_figures(job):
    _, work, figures, reported = job
    assert list(figures['BMN']) == list(METHODS) and len(reported) == num_stages(['BMN'])
    for method, values in figures['BMN'].items():
        assert {'probe', 'AR@10', 'AR@100', 'mAP', 'mAP@0.5', 'train_seconds', 'test_seconds'} <= set(values)
        assert ('pretrain_seconds' in values) == method.startswith('SoLa')
        assert 0.5 < values['probe'] <= 1  # above chance: the classes are about even
    settings = json.loads((work / 'seed0/data/dataset.json').read_text())['settings']
    assert settings['test_part'] == [0.55, 0.74]  # validation: the test part is not touched


def test_again_does_nothing_until_something_changes(job, monkeypatch):
    configs, work, figures, _ = job
    done = []

    def spy(folder, settings, action):
        result = stages.run_stage(folder, settings, lambda: done.append(folder.parent.name) or action())
        return result

    monkeypatch.setattr('sola_plugin.apis.watch_demo.run_stage', spy)
    assert run_seed(0, work / 'seed0', configs, REGIME, heads=['BMN'], report=str) == figures
    assert done == []
    # Another similarity matching: SoLa and the heads on it are done again, the others are not.
    edit(configs / 'pretrain/sola_watch.py', 'lr=5e-4', 'lr=4e-4')
    run_seed(0, work / 'seed0', configs, REGIME, heads=['BMN'], report=str)
    assert set(done) == {'seed0', 'bmn_watch_sola', 'bmn_watch_sola_finetune'}


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == 'img':
            self.images.append(values['src'])
        self.links += [values[key] for key in ('src', 'href') if values.get(key)]


def test_table_and_report(job):
    _, work, figures, _ = job
    table = results_table([figures, figures], 'BMN')
    assert [row[0] for row in table.rows] == list(METHODS)
    assert all(len(row) == len(table.header) for row in table.rows)
    write_watch_report(work / 'report.html', dict(BMN=table), work, 1, 'make demo', dict(seeds=1))
    parser = _Parser()
    parser.feed((work / 'report.html').read_text())
    assert len(parser.images) == 5 and all(image.startswith('data:') for image in parser.images)
    assert not [link for link in parser.links if link.startswith('http')]
