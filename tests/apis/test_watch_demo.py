"""The demo's stages, table and report, with very short training."""
from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sola_plugin.apis.watch_demo import (
    METHODS,
    NUM_HEAD_STAGES,
    NUM_PREPARE_STAGES,
    Job,
    Regime,
    prepare,
    run_head,
)
from sola_plugin.apis.watch_report import results_table, write_watch_report
from sola_plugin.studies import stages
from tests.conftest import ROOT


def run_all(job: Job, reported: list[str]) -> dict:
    prepare(job, reported.append)
    return run_head(job, 'BMN', reported.append)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture(scope='module')
def finished(tmp_path_factory) -> tuple[Job, Path, dict, list[str]]:
    """A finished seed with two epochs, the work dir, its figures and its stages."""
    folder = tmp_path_factory.mktemp('demo')
    configs = folder / 'configs'
    shutil.copytree(ROOT / 'configs', configs)
    edit(configs / '_base_/schedules/onecycle_60e.py', '60', '2')
    edit(configs / 'localization/bmn_watch.py', 'interval=20', 'interval=1')
    edit(configs / 'pretrain/sola_watch.py', 'windows_per_video=57', 'windows_per_video=2')
    edit(configs / 'pretrain/sola_watch.py', 'max_epochs=25', 'max_epochs=2')
    reported: list[str] = []
    job = Job(0, folder / 'work/seed0', configs, Regime(validation=True))
    return job, folder / 'work', run_all(job, reported), reported


def test_every_method_has_its_figures(finished):
    _, work, figures, reported = finished
    assert list(figures) == list(METHODS) and len(reported) == NUM_PREPARE_STAGES + NUM_HEAD_STAGES
    for method, values in figures.items():
        assert {'probe', 'AR@10', 'AR@100', 'mAP', 'mAP@0.5', 'train_seconds', 'test_seconds'} <= set(values)
        assert ('pretrain_seconds' in values) == method.startswith('SoLa')
        assert 0.5 < values['probe'] <= 1  # above chance: the classes are about even
    settings = json.loads((work / 'seed0/data/dataset.json').read_text())['settings']
    assert settings['test_part'] == [0.55, 0.74]  # validation: the test part is not touched


def test_again_does_nothing_until_something_changes(finished, monkeypatch):
    job, _, figures, _ = finished
    done = []

    def spy(folder, settings, action):
        result = stages.run_stage(folder, settings, lambda: done.append(folder.parent.name) or action())
        return result

    monkeypatch.setattr('sola_plugin.apis.watch_demo.run_stage', spy)
    assert run_all(job, []) == figures
    assert done == []
    # Another similarity matching: SoLa and the heads on it are done again, the others are not.
    edit(job.configs / 'pretrain/sola_watch.py', 'lr=5e-4', 'lr=4e-4')
    run_all(job, [])
    assert set(done) == {'seed0', 'bmn_watch_sola', 'bmn_watch_sola_finetune'}


@pytest.mark.parametrize(('labelled', 'subset'), [(14, ['training', 'unlabelled']), (56, ['training'])])
def test_similarity_matching_sees_the_subsets_there_are(tmp_path, labelled, subset):
    cfg = Job(0, tmp_path, ROOT / 'configs', Regime(labelled=labelled)).matching
    assert cfg.train_dataloader.dataset.features.subset == subset


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


def test_table_and_report(finished):
    _, work, figures, _ = finished
    table = results_table([dict(BMN=figures)] * 2, 'BMN')
    assert [row[0] for row in table.rows] == list(METHODS)
    assert all(len(row) == len(table.header) for row in table.rows)
    write_watch_report(work / 'report.html', dict(BMN=table), work, 1, 'make demo', dict(seeds=1))
    parser = _Parser()
    parser.feed((work / 'report.html').read_text())
    assert len(parser.images) == 5 and all(image.startswith('data:') for image in parser.images)
    assert not [link for link in parser.links if link.startswith('http')]
