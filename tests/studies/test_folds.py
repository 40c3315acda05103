"""Studies over folds: what is trained and tested on, pairs, parts of a study."""

from __future__ import annotations

import csv
import json
import multiprocessing
import shutil
from functools import partial

import pytest
from mmengine.config import Config

from sola_plugin.studies import workers
from sola_plugin.studies.results import study_tables
from sola_plugin.studies.runner import Outcome, run_study
from sola_plugin.studies.stages import cell_stages
from sola_plugin.studies.study import StudyError, load_study
from tests.conftest import make_dataset
from tests.processes import START_METHOD
from tests.studies.test_study import write, write_configs

STUDY = """
title = 'Folded'
head = 'head.py'
pretrain = 'pretrain.py'
head_options = {'train_cfg.max_epochs': 1, 'train_dataloader.dataset.subset': None,
                'test_dataloader.dataset.subset': None}
pretrain_options = {'train_dataloader.dataset.features.subset': None}
folds = {
    name: dict(
        head_options={'train_dataloader.dataset.videos': '!v_0' + test,
                      'test_dataloader.dataset.videos': 'v_0' + test},
        pretrain_options={'train_dataloader.dataset.features.videos': '!v_0' + test})
    for name, test in {'early': '[012]', 'late': '[345]'}.items()}
factors = dict(
    neck={'raw': dict(head_options={'model.neck': None}), 'frozen': dict()})
baseline = dict(neck='raw')
summaries = {'all folds': '*'}
headline = dict(row='frozen', against=['raw'])
rule = 'worst case'
seeds = 1
"""


@pytest.fixture
def configs(tmp_path, data_root):
    return write_configs(tmp_path, data_root)


def test_a_fold_changes_both_configs(configs, tmp_path):
    study = load_study(write(configs / 'study.py', STUDY))
    assert len(study.cells) == 2 and study.num_runs == 4
    early, late = study.cells[1].runs()
    assert (early.fold, late.fold) == ('early', 'late') and early.name == late.name == 'frozen'
    # What the study and the level say is kept.
    assert early.head_options['train_cfg.max_epochs'] == 1
    stages = [cell_stages(run, 0, tmp_path / 'work') for run in (early, late)]
    for of_fold, excluded in zip(stages, ('!v_0[012]', '!v_0[345]')):
        pretrain, head = (json.loads(stage.settings)['config'] for stage in of_fold)
        assert pretrain['train_dataloader']['dataset']['features']['videos'] == excluded
        assert head['train_dataloader']['dataset']['videos'] == excluded
        assert head['test_dataloader']['dataset']['videos'] == excluded[1:]
    assert len({stage.name for of_fold in stages for stage in of_fold}) == 4


def test_a_level_may_have_folds_and_seeds_of_its_own(configs):
    without = (
        "baseline = dict(neck='raw')",
        "rule = 'worst case'",
        "summaries = {'all folds': '*'}",
    )
    text = '\n'.join(
        line
        for line in STUDY.splitlines()
        if line not in without and not line.startswith('headline')
    )
    text += "\nfactors['neck']['other'] = dict(folds={'all': dict()}, seeds=[3, 4])\n"
    path = write(configs / 'study.py', text)
    study = load_study(path)
    assert [(list(cell.folds), cell.seeds) for cell in study.cells] == [
        (['early', 'late'], (0,)),
        (['early', 'late'], (0,)),
        (['all'], (3, 4)),
    ]
    assert study.num_runs == 6
    assert load_study(path, seeds=[7]).cells[-1].seeds == (7,)
    # Differences are taken pair by pair.
    with pytest.raises(StudyError, match=r"other has folds and seeds \(\['all'\], \(3, 4\)\)"):
        load_study(path, baseline=dict(neck='raw'))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ("folds = dict(a=dict(head='head.py'))", "fold 'a': unknown key 'head'"),
        ('folds = dict(a=dict(seeds=3))', "fold 'a': unknown key 'seeds'"),
    ],
)
def test_bad_folds(configs, change, message):
    with pytest.raises(StudyError, match=message):
        load_study(write(configs / 'study.py', f'{STUDY}\n{change}\n'))


def test_parts_of_a_study(configs):
    study = load_study(write(configs / 'study.py', STUDY))
    part = study.only([('neck', 'ra*')], ['late'])
    assert [run.fold for cell in part.cells for run in cell.runs()] == ['late']
    assert [cell.name for cell in part.cells] == ['raw']
    both = study.only([('neck', 'raw'), ('neck', 'frozen')])
    assert both.cells == study.cells == study.only([]).cells
    with pytest.raises(StudyError, match=r"neck='rwa' is none of \{'neck': \['raw', 'frozen'\]\}"):
        study.only([('neck', 'rwa')])
    with pytest.raises(StudyError, match="nek='raw' is none of"):
        study.only([('nek', 'raw')])
    with pytest.raises(StudyError, match=r"fold '9' is none of \['early', 'late'\]"):
        study.only([], ['9'])


def test_where_the_data_lie(configs, data_root, tmp_path, monkeypatch):
    """Only what begins with the study's data_root is moved."""
    text = f'{STUDY}\ndata_root = {str(data_root.parent)!r}\n'
    path = write(configs / 'study.py', text)
    moved = load_study(path, data_root='/elsewhere').cells[1].runs()[0]
    stages = cell_stages(moved, 0, tmp_path)
    dataset = stages[0].settings, stages[1].settings
    assert all('"data_root": "/elsewhere/data"' in settings for settings in dataset)
    assert str(data_root) not in ''.join(dataset)
    monkeypatch.chdir('/')
    by_another_name = load_study(path, data_root='elsewhere').cells[1].runs()[0]
    again = cell_stages(by_another_name, 0, tmp_path)
    assert [stage.folder for stage in again] == [stage.folder for stage in stages]  # is done
    plain = cell_stages(load_study(path).cells[1].runs()[0], 0, tmp_path)
    assert str(data_root) in plain[0].settings
    with pytest.raises(StudyError, match='has no data_root that /elsewhere could stand for'):
        load_study(write(configs / 'study.py', STUDY), data_root='/elsewhere')


def outcomes_of(study, values) -> list[Outcome]:
    """Cell → fold → mAP of its one seed."""
    return [
        Outcome(run, 0, (), dict(mAP=values[cell.name][run.fold]))
        for cell in study.cells
        for run in cell.runs()
    ]


def test_differences_are_paired_over_folds(configs):
    study = load_study(write(configs / 'study.py', STUDY))
    values = dict(raw=dict(early=0.2, late=0.6), frozen=dict(early=0.3, late=0.5))
    table = study_tables(study, outcomes_of(study, values))['']
    assert [row[1:3] for row in table.rows] == [
        ('40.0 ± 28.3', '–'),
        ('40.0 ± 14.1', '+0.0 ± 14.1 [-10.0, +10.0] (1/2)'),
    ]
    assert 'over 2 pairs of fold and seed' in table.note
    assert 'on the same fold and seed' in table.note


@pytest.fixture(scope='module')
def run_once(tmp_path_factory):
    """Folder of the study after it was run, in ``work``."""
    folder = tmp_path_factory.mktemp('folds')
    write_configs(folder, make_dataset(folder / 'data'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, '_CONTEXT', multiprocessing.get_context(START_METHOD))
        outcomes = run_study(load_study(write(folder / 'study.py', STUDY)), folder / 'work', jobs=2)
    assert [outcome.error for outcome in outcomes] == [''] * 4
    return folder


@pytest.fixture
def tool(run_script, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, '_CONTEXT', multiprocessing.get_context(START_METHOD))
    return partial(run_script, 'tools/ablate.py', cwd=tmp_path)


@pytest.mark.slow
def test_run_choose_and_look_from_another_baseline(run_once, tool, tmp_path):
    path = run_once / 'study.py'
    shutil.copytree(run_once / 'work', tmp_path / 'work')
    result = tool(path, '--work-dir', 'work', '--choose', 'choices.py')
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader((tmp_path / 'work/results.csv').open()))
    assert [(row['neck'], row['fold'], row['seed']) for row in rows] == [
        ('raw', 'early', '0'),
        ('raw', 'late', '0'),
        ('frozen', 'early', '0'),
        ('frozen', 'late', '0'),
    ]
    assert all(0.3 < float(row['probe_balanced']) <= 1 for row in rows)
    assert len(set(row['probe'] for row in rows)) > 1
    tested = {
        tuple(sorted(json.loads(file.read_text())['results']))
        for file in (tmp_path / 'work').glob('head-*/run/detections.json')
    }
    assert tested == {('v_00', 'v_01', 'v_02'), ('v_03', 'v_04', 'v_05')}
    assert 'up to 2 folds' in (tmp_path / 'work/report.html').read_text()
    mean = {
        neck: sum(float(row['mAP']) for row in rows if row['neck'] == neck)
        for neck in ('raw', 'frozen')
    }
    chosen = Config.fromfile(tmp_path / 'choices.py')._choices
    assert chosen == {'all folds': 'frozen' if mean['frozen'] > mean['raw'] else 'raw'}
    for text in (result.stdout, (tmp_path / 'work/results.md').read_text()):
        assert 'Headline comparisons' in text and 'groups above 0' not in text  # there is one
    assert 'Headline comparisons' in (tmp_path / 'work/report.html').read_text()

    done = {file: file.stat().st_mtime_ns for file in (tmp_path / 'work').glob('*/stage.json')}
    again = tool(path, '--work-dir', 'work', '--baseline', 'neck=frozen', '--only', 'neck=*')
    assert again.returncode == 0 and 'difference to frozen' in again.stdout.replace('\n', ' ')
    part = tool(path, '--work-dir', 'work', '--only', 'neck=raw', '--folds', 'late')
    assert part.returncode == 0 and 'One fold and seed' in part.stdout
    assert {file: file.stat().st_mtime_ns for file in done} == done


def test_errors_of_the_options(configs, tool):
    path = write(configs / 'study.py', STUDY)
    for arguments, message in (
        (['--only', 'neck'], '--only expects FACTOR=LEVEL, got neck'),
        (['--baseline', 'raw'], '--baseline expects FACTOR=LEVEL, got raw'),
        (['--only', 'neck=x'], "neck='x' is none of"),
        (['--folds', '7'], "fold '7' is none of"),
        (['--data-root', 'x'], 'has no data_root'),
        (['--choose', 'x.py', '--only', 'neck=raw'], '--choose needs the whole study'),
        (['--choose', 'x.py', '--folds', 'late'], '--choose needs the whole study'),
    ):
        result = tool(path, *arguments)
        assert result.returncode and message in result.stderr and 'Traceback' not in result.stderr
