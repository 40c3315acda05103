"""Studies: the grid, the sharing of stages, real tiny runs, the report."""

from __future__ import annotations

import csv
import json
import multiprocessing
import re
import shutil
from functools import partial
from pathlib import Path

import pytest
from mmengine.config import Config

from sola_plugin.pretraining.run import pretraining_config
from sola_plugin.studies import workers
from sola_plugin.studies.output import write_study
from sola_plugin.studies.results import study_groups, study_markdown, study_tables
from sola_plugin.studies.runner import Outcome, run_study
from sola_plugin.studies.stages import cell_stages, code_version
from sola_plugin.studies.study import StudyError, load_study
from tests.conftest import (
    CHANNELS,
    ROOT,
    TINY_MATCHER,
    feature_dataset,
    localization_config,
    make_dataset,
)
from tests.processes import START_METHOD


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def write_configs(folder: Path, data_root: Path) -> Path:
    """Write ``head.py`` (SoLa from pretraining) and ``pretrain.py`` on the tiny data."""
    neck = dict(type='SoLa', in_channels=CHANNELS, hidden_channels=8)
    head = localization_config(data_root, folder / 'unused')
    head['train_cfg']['max_epochs'] = 1
    head['model']['neck'] = dict(
        neck, frozen=True, init_cfg=dict(type='Pretrained', checkpoint=None)
    )
    Config(head).dump(folder / 'head.py')
    pretraining_config(
        neck,
        feature_dataset(data_root),
        folder / 'unused',
        TINY_MATCHER,
        batch_size=4,
        max_epochs=1,
    ).dump(folder / 'pretrain.py')
    return folder


@pytest.fixture
def configs(tmp_path, data_root) -> Path:
    """Folder with the configs."""
    return write_configs(tmp_path, data_root)


STUDY = """
title = 'Tiny'
head = 'head.py'
pretrain = 'pretrain.py'
factors = dict(
    neck={'raw': dict(head_options={'model.neck': None}),
          'frozen': dict(),
          'finetune': dict(head_options={'model.neck.frozen': False})},
    epochs={'1': dict(), '2': dict(head_options={'train_cfg.max_epochs': 2})})
baseline = dict(neck='raw')
seeds = 2
"""


def test_grid_of_cells(configs):
    study = load_study(write(configs / 'study.py', STUDY))
    assert [cell.name for cell in study.cells] == [
        'raw · 1',
        'raw · 2',
        'frozen · 1',
        'frozen · 2',
        'finetune · 1',
        'finetune · 2',
    ]
    assert study.seeds == (0, 1) and study.title == 'Tiny'
    last = study.cells[-1]
    assert last.head_options == {'model.neck.frozen': False, 'train_cfg.max_epochs': 2}
    assert last.head == configs / 'head.py'
    # The baseline keeps the factors that it does not name.
    assert study.baseline_of(last).name == 'raw · 2'
    assert load_study(configs / 'study.py', seeds=[7]).seeds == (7,)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ("pretrains = 'pretrain.py'", "unknown key 'pretrains', expected some of"),
        ("factors = dict(a={'x': dict(haed='head.py')})", "level 'x' of 'a': unknown key 'haed'"),
        (
            "factors = dict(a={'x': dict(head='no.py')})",
            r"head of 'x' is .*no\.py, which does not exist",
        ),
        ("baseline = dict(neck='rwa')", "baseline neck='rwa' is none of"),
        ("baseline = dict(nek='raw')", "baseline nek='raw' is none of"),
        ('seeds = 0', 'at least one seed'),
        ('seeds = [1, 1]', 'none twice'),
        ('head = None', 'has no head=CONFIG'),
    ],
)
def test_bad_study(configs, change, message):
    with pytest.raises(StudyError, match=message):
        load_study(write(configs / 'study.py', f'{STUDY}\n{change}\n'))


def test_options_of_embedded_data_need_embedded_data(configs):
    study = write(configs / 'study.py', STUDY)
    with pytest.raises(StudyError, match='it uses its own data'):
        load_study(study, embedded=dict(labelled=3))
    study.write_text(f'{STUDY}\nembedded = dict(labelled=14)\n')
    assert load_study(study, embedded=dict(split='subject')).cells[0].embedded == dict(
        labelled=14, split='subject'
    )


OPTIONS_ONLY = """
head = 'study_head.py'
pretrain = 'study_pretrain.py'
embedded = dict(labelled=14)
factors = dict(neck={
    'raw': dict(head_options={'model.neck': None}), 'unified': dict(head_options={'model.neck':
    dict(_delete_=True, type='SoLa', hidden_channels=64)}), 'frozen': dict()})
baseline = dict(neck='raw')
seeds = 1
"""


def test_a_study_is_asked_on_own_data(configs, tmp_path):
    path = write(configs / 'study.py', OPTIONS_ONLY)
    own = dict(head=configs / 'head.py', pretrain=configs / 'pretrain.py')
    study = load_study(path, own=own)
    stages = {cell.name: cell_stages(cell, 0, tmp_path) for cell in study.cells}
    assert {name: [stage.kind for stage in found] for name, found in stages.items()} == {
        'raw': ['head'],
        'unified': ['head'],
        'frozen': ['pretrain', 'head'],
    }
    necks = {
        name: json.loads(found[-1].settings)['config']['model']['neck']
        for name, found in stages.items()
    }
    # The control has the size of the neck that is trained without labels, whatever the study says.
    assert necks['unified']['hidden_channels'] == necks['frozen']['hidden_channels'] == 8
    assert 'init_cfg' not in necks['unified']


@pytest.mark.parametrize('study', ['training', 'receptive_field', 'target', 'predictor', 'smoke'])
def test_shipped_studies_that_docs_name_can_be_asked_on_own_data(read_once, study, tmp_path):
    own = dict(
        head=ROOT / 'configs/localization/bmn_thumos14_sola.py',
        pretrain=ROOT / 'configs/pretrain/sola_thumos14-i3d.py',
    )
    for cell in load_study(ROOT / f'configs/studies/{study}.py', own=own).cells:
        config = json.loads(cell_stages(cell, 0, tmp_path)[-1].settings)['config']
        assert config['train_dataloader']['dataset']['data_root'].startswith('data/thumos14')
        if config['model']['neck'] and config['model']['neck']['type'] == 'SoLa':
            assert config['model']['neck']['hidden_channels'] == 512


def test_levels_with_data_of_their_own_cannot_be_asked_on_other_data(configs):
    study = write(
        configs / 'study.py', f"{OPTIONS_ONLY}\nfactors['neck']['other'] = dict(head='head.py')\n"
    )
    with pytest.raises(
        StudyError, match=r"level 'other' of 'neck' has its own head, .* write a study"
    ):
        load_study(study, own=dict(head=configs / 'head.py'))


def test_equal_stages_are_shared(configs, tmp_path):
    study = load_study(write(configs / 'study.py', f'{STUDY}\nembedded = dict(labelled=14)\n'))
    stages = {cell.name: cell_stages(cell, 0, tmp_path / 'work') for cell in study.cells}
    assert [stage.kind for stage in stages['raw · 1']] == ['data', 'head']
    assert [stage.kind for stage in stages['frozen · 1']] == ['data', 'pretrain', 'head']
    names = {name: [stage.name for stage in own] for name, own in stages.items()}
    assert len({own[0] for own in names.values()}) == 1
    assert len({own[1] for name, own in names.items() if 'raw' not in name}) == 1
    assert len({own[-1] for own in names.values()}) == len(study.cells)
    # The seed is part of every stage, the place of the work dir of none.
    cell = study.cells[2]
    other_seed = [stage.name for stage in cell_stages(cell, 1, tmp_path / 'work')]
    moved = [stage.name for stage in cell_stages(cell, 0, tmp_path / 'other')]
    assert not set(other_seed) & set(names[cell.name]) and moved == names[cell.name]


#: A level that cannot be built, and a study of which the half has it.
BAD = ", 'bad': dict(head_options={'model.hidden_dim_1d': 'wide'})"
HALF_BAD = f"""
head = 'head.py'
pretrain = 'pretrain.py'
factors = dict(
    neck={{'raw': dict(head_options={{'model.neck': None}}), 'frozen': dict()}},
    size={{'good': dict(){BAD}}})
baseline = dict(neck='raw')
seeds = 1
"""


@pytest.fixture(scope='module')
def run_once(tmp_path_factory) -> tuple:
    """A study of which half of the cells fail, after it was run; what was reported, and where."""
    folder = tmp_path_factory.mktemp('study')
    write_configs(folder, make_dataset(folder / 'data'))
    reports: list[tuple] = []
    study = load_study(write(folder / 'study.py', HALF_BAD))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, '_CONTEXT', multiprocessing.get_context(START_METHOD))
        outcomes = run_study(
            study, folder / 'work', jobs=2, report=lambda *state: reports.append(state)
        )
    return study, outcomes, reports, folder / 'work'


@pytest.fixture
def finished(run_once, tmp_path) -> tuple:
    """The study, its outcomes and reports; a copy of its work dir is in ``tmp_path``."""
    shutil.copytree(run_once[-1], tmp_path / 'work')
    return run_once[:-1]


@pytest.fixture
def tool(run_script, tmp_path, monkeypatch):
    """The tool in ``tmp_path``: function of its arguments.

    Its processes, and those of ``run_once``, are forks where they can be, which need not import
    torch and mmaction2 again.
    """
    monkeypatch.setattr(workers, '_CONTEXT', multiprocessing.get_context(START_METHOD))
    return partial(run_script, 'tools/ablate.py', cwd=tmp_path)


def test_run_report_and_run_again(finished, tool, tmp_path):
    """A head that cannot be built fails alone; what is done is not done again, by the tool
    either."""
    study, outcomes, reports = finished
    assert len(outcomes) == 4 and reports[-1][1:] == (5, 5)
    bad = [outcome for outcome in outcomes if outcome.figures is None]
    assert [outcome.cell.name for outcome in bad] == ['raw · bad', 'frozen · bad']
    assert all('log: ' in outcome.error for outcome in bad)
    for outcome in outcomes:
        if outcome.figures is not None:
            assert 0 <= outcome.figures['mAP'] <= 1 and 0.3 < outcome.figures['probe'] <= 1
            assert ('pretrain_seconds' in outcome.figures) == (outcome.cell.levels['neck'] != 'raw')
    written = write_study(study, outcomes, tmp_path / 'work', 'the command')
    assert len(written.failures) == 2 and [row[0] for row in written.tables['good'].rows] == [
        'raw',
        'frozen',
    ]
    text = (tmp_path / 'work/results.md').read_text()
    assert 'the command' in text and 'frozen · bad, seed 0' in text
    rows = list(csv.DictReader((tmp_path / 'work/results.csv').open()))
    assert [row['neck'] for row in rows] == [outcome.cell.levels['neck'] for outcome in outcomes]
    assert [row['commit'] for row in rows] == [
        '' if outcome.error else code_version() for outcome in outcomes
    ]
    for row in rows:
        assert (tmp_path / 'work' / row['folder'] / 'run/detections.json').is_file() != bool(
            row['error']
        )
    assert (tmp_path / 'work/results.png').read_bytes().startswith(b'\x89PNG')
    page = (tmp_path / 'work/report.html').read_text()
    # Seeds; for each test video its TSM and its detections; the loss of the one neck that was
    # trained.
    videos = page.count('Temporal similarity matrices (TSM) of')
    assert videos and page.count('True actions of') == videos
    assert len(re.findall(r'<img [^>]*src="data:', page)) == 2 + 2 * videos
    assert 'Loss of label-free training (frozen)' in page and 'raw · bad, seed 0' in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)

    done = {path: path.stat().st_mtime_ns for path in (tmp_path / 'work').glob('*/stage.json')}
    page = write(tmp_path / 'page.md', 'By hand.\n')
    pages = ('--document', 'page.md', '--overview', 'page.md')
    result = tool(study.path, '--work-dir', 'work', *pages)
    assert result.returncode == 1 and result.stderr.startswith('error: raw · bad, seed 0: ')
    assert 'good' in result.stdout and 'results.png' in result.stdout
    assert page.read_text().startswith('By hand.\n\n<!-- begin study -->\n## study\n')
    assert '<!-- begin overview study -->\n| neck | good | Δ |\n' in page.read_text()
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_report_without_what_the_runs_left(finished, tool, tmp_path):
    study, _, _ = finished
    # Without the cells that fail, which would be tried again: the others are done.
    good = write(study.path.with_name('good.py'), HALF_BAD.replace(BAD, ''))
    for folder in (tmp_path / 'work').glob('head-*/run'):
        shutil.rmtree(folder)
    result = tool(good, '--work-dir', 'work')
    assert result.returncode == 1 and re.match(
        r'error: work/head-\w+/run is missing', result.stderr
    )
    assert (tmp_path / 'work/results.md').is_file()  # the figures are there all the same


def outcomes_of(study, values: dict[str, list[float]]) -> list[Outcome]:
    return [
        Outcome(cell, seed, (), dict(mAP=values[cell.name][seed]), code=frozenset({f'c{seed}'}))
        for cell in study.cells
        if cell.name in values
        for seed in study.seeds
    ]


def test_table_takes_paired_differences_group_by_group(configs):
    study = load_study(write(configs / 'study.py', STUDY))
    outcomes = outcomes_of(
        study,
        {
            'raw · 1': [0.2, 0.4],
            'raw · 2': [0.5, 0.5],
            'frozen · 1': [0.3, 0.6],
            'frozen · 2': [0.4, 0.5],
        },
    )
    outcomes.append(Outcome(study.cells[4], 0, (), None, 'broke'))
    assert {group: list(rows) for group, rows in study_groups(study, outcomes).items()} == {
        '1': ['raw', 'frozen'],
        '2': ['raw', 'frozen'],
    }
    differences = {
        group: {row[0]: row[2] for row in table.rows}
        for group, table in study_tables(study, outcomes).items()
    }
    assert differences == {
        '1': {'raw': '–', 'frozen': '+15.0 ± 7.1 [+10.0, +20.0] (2/2)'},
        '2': {'raw': '–', 'frozen': '-5.0 ± 7.1 [-10.0, +0.0] (0/2)'},
    }
    text = study_markdown(study, outcomes, 'the command')
    assert text.count('Mean ± standard deviation') == 1  # one note for both tables
    assert '`the command`, measured at commit c0 and c1.' in text
    assert text.index('### 1') < text.index('+15.0') < text.index('### 2') < text.index('-5.0')
    assert f'- {study.cells[4].name}, seed 0: broke' in text


def test_without_its_baseline_a_group_has_no_differences(configs):
    study = load_study(write(configs / 'study.py', STUDY))
    table = study_tables(study, outcomes_of(study, {'frozen · 1': [0.3, 0.6]}))['1']
    assert [row[2] for row in table.rows] == ['–']
    # Without any baseline all cells are one group.
    study = load_study(write(configs / 'study.py', f'{STUDY}\nbaseline = None\n'))
    tables = study_tables(study, outcomes_of(study, {'raw · 1': [0.2, 0.4], 'raw · 2': [0.5, 0.5]}))
    assert [row[0] for row in tables[''].rows] == ['raw · 1', 'raw · 2']


def test_a_study_may_lack_factors(configs):
    study = load_study(write(configs / 'study.py', "head = 'head.py'\ntitle = 'One'\nseeds = 2\n"))
    table = study_tables(
        study, [Outcome(study.cells[0], seed, (), dict(mAP=0.5)) for seed in (0, 1)]
    )['']
    assert [row[:2] for row in table.rows] == [('One', '50.0 ± 0.0')]


def test_errors_of_the_tool(tool):
    missing = tool('no_study.py')
    assert missing.returncode == 1 and missing.stderr.startswith('error: ')
    assert 'Traceback' not in missing.stderr


def test_shipped_studies_can_be_read(read_once):
    paths = sorted((ROOT / 'configs/studies').glob('*.py'))
    assert paths
    for path in paths:
        study = load_study(path)
        for cell in study.cells:
            assert cell_stages(cell, 0, Path('work'))
            study.baseline_of(cell)
        names = [cell.name for cell in study.cells]
        assert len(set(names)) == len(names)
