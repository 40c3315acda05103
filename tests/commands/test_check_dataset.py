"""The check of a data set: what it says of each fault, its figures, and the command."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from sola_plugin.commands.checks.dataset import (
    DatasetReport,
    check_config,
    check_dataset,
    check_files,
)
from sola_plugin.commands.checks.proposal_space import map_proposal_space
from sola_plugin.commands.checks.summary import check_json, check_text
from sola_plugin.datasets.annotations.model import load_annotations
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.findings import Finding
from sola_plugin.heads import BMN
from tests.conftest import CHANNELS, ROOT, STRIDE, TINY_BMN, localization_config

#: Stands for the file of a made set in parametrised arguments.
MADE_SET = 'thumos14-like'


def config(root: Path, tmp_path: Path) -> Config:
    return Config(localization_config(root, tmp_path / 'work'))


def findings(report: DatasetReport, *levels: str) -> dict[str, Finding]:
    """Errors and warnings, or those of other levels, by kind."""
    return {
        one.kind: one for level in levels or ('error', 'warning') for one in report.of_level(level)
    }


def change(root: Path, **videos) -> None:
    """Change videos of the annotation file."""
    path = root / 'annotations.json'
    content = json.loads(path.read_text())
    for name, changes in videos.items():
        content['database'][name].update(changes)
    path.write_text(json.dumps(content))


# --- a sound data set -----------------------------------------------------------------------------


def test_sound_data(data_root, tmp_path):
    report = check_config(config(data_root, tmp_path))
    assert findings(report) == {} and {one.kind for one in report.findings} == {
        'contents',
        'features',
    }
    assert findings(report, 'info')['contents'].message == '6 videos'
    assert list(report.oracles) == ['train', 'test']
    for result in report.oracles.values():
        assert result.oracle.tiou_thresholds.tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7])


def test_cells_are_those_of_the_features(data_root, tmp_path):
    """20 cells for a video: an action of 4 to 7 snippets of 20 to 40."""
    result = check_config(config(data_root, tmp_path)).oracles['test']
    folder = FeatureFolder(data_root / 'features', layout='TC')
    videos = load_annotations(data_root / 'annotations.json')
    expected = [
        (folder.length(name) * STRIDE / 20, action['segment'][1] - action['segment'][0])
        for name in ('v_04', 'v_05')
        for action in videos[name].annotations
    ]
    assert list(zip(result.cells.tolist(), result.lengths.tolist())) == expected


def test_each_file_is_read_once(data_root, tmp_path, monkeypatch):
    """Equal datasets are checked once; so are files that two parts share."""
    cfg = config(data_root, tmp_path)
    cfg.val_dataloader = cfg.test_dataloader
    cfg.train_dataloader.dataset.subset = ['training', 'validation']
    read, stored = [], FeatureFolder.stored
    monkeypatch.setattr(
        FeatureFolder, 'stored', lambda self, name: read.append(name) or stored(self, name)
    )
    shown = []
    report = check_config(cfg, progress=lambda what, done, total: shown.append((what, done, total)))
    assert sorted(read) == [f'v_{index:02d}' for index in range(6)]
    assert shown == [('train: features', done, 6) for done in range(1, 7)]
    assert list(report.oracles) == ['train', 'val'] and len(report.oracles['val'].names) == 4


def test_quick_reads_a_sample_and_says_so(tmp_path, data_root, monkeypatch):
    monkeypatch.setattr('sola_plugin.commands.checks.subsets._NUM_QUICK', 2)
    report = check_config(config(data_root, tmp_path), quick=True)
    messages = [one.message for one in report.findings if one.kind == 'quick']
    assert messages == [
        'train: 2 of 4 feature files were read (--quick)',
        'test: 2 of 2 feature files were read (--quick)',
    ]
    assert findings(report, 'info')['assumed-lengths'].count == 2
    assert len(report.oracles['train'].names) == 8, 'the oracle takes all videos'


# --- faults, one at a time ------------------------------------------------------------------------


def test_no_features(data_root, tmp_path):
    """One error; annotations and oracle are checked all the same."""
    cfg = config(data_root, tmp_path)
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.data_prefix.features = 'nothing'
    report = check_config(cfg)
    (error,) = report.of_level('error')
    assert error.message == f'feature folder {data_root}/nothing does not exist: check the path'
    assert findings(report, 'info')['assumed-lengths'] and list(report.oracles) == ['train', 'test']


def test_broken_files_do_not_stop_the_others(data_root, tmp_path):
    features = data_root / 'features'
    (features / 'v_00.npy').write_bytes(b'')
    np.save(features / 'v_01.npy', np.zeros((20, CHANNELS + 1)))
    bad = np.load(features / 'v_02.npy')
    bad[3, 5] = np.nan
    np.save(features / 'v_02.npy', bad)
    (features / 'v_03.npy').unlink()
    np.save(features / 'other.npy', bad)
    found = findings(check_config(config(data_root, tmp_path)))
    assert set(found) == {'unreadable', 'channels', 'not-finite', 'features-missing'}
    assert found['not-finite'].examples[0].startswith('v_02.npy: snippet 3, channel 5 is the first')
    assert found['features-missing'].message.startswith('train: 1 of 4 videos have no features in')
    cfg = config(data_root, tmp_path)
    cfg.train_dataloader.dataset.missing = 'skip'
    report = check_config(cfg)
    assert findings(report)['features-missing'].level == 'warning'
    assert findings(report, 'info')['features-unused'].examples == ("'other'",)
    assert len(report.oracles['train'].names) == 6, (
        'a video that is left out is no part of the oracle'
    )


@pytest.mark.parametrize(
    ('changes', 'kind', 'message'),
    [
        (
            dict(annotations='x.json'),
            'annotation-file',
            'x.json: No such file or directory: check the path',
        ),
        (
            dict(subset='valid'),
            'subset',
            "test: .* expected one of the subsets 'training' .* got subset='valid'",
        ),
        (
            dict(classes=['jump', 'Run']),
            'unknown-labels',
            r"'run' \(6 times, did you mean 'Run'\?\)",
        ),
        (
            dict(feature_stride=16.0),
            'length',
            'test: with a snippet every 16 s .* feature_stride=0.5 would fit',
        ),
        (dict(layout=None, feat_dim=None), None, None),
        (dict(colour='red'), 'dataset', "test: .*unexpected keyword argument 'colour'"),
        (
            dict(type='NoDataset'),
            'dataset',
            'test: .*NoDataset is not in the mmaction::dataset registry',
        ),
    ],
)
def test_faults_of_the_datasets(data_root, tmp_path, changes, kind, message):
    cfg = config(data_root, tmp_path)
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        if loader is cfg.test_dataloader or 'subset' not in changes:
            loader.dataset.update(
                {{'annotations': 'ann_file'}.get(key, key): value for key, value in changes.items()}
            )
    found = findings(check_config(cfg))
    if kind is None:
        assert found == {}
    else:
        assert found[kind].level == 'error'
        assert re.search(message, found[kind].message)


def test_datasets_of_another_class(data_root, tmp_path):
    dataset = dict(type='SoLaWindowDataset', features=dict(root=str(data_root / 'features')))
    (error,) = check_dataset(dict(train=dataset)).findings
    assert error.kind == 'dataset' and error.message.startswith('train: ')


def test_unclear_layout(data_root, tmp_path):
    for path in (data_root / 'features').glob('*.npy'):
        np.save(path, np.ones((CHANNELS, CHANNELS)))
    cfg = config(data_root, tmp_path)
    cfg.train_dataloader.dataset.layout = None
    (found,) = (one for one in check_config(cfg).of_level('error') if one.kind == 'layout')
    assert re.match(r"train: .*\(T, C\) or \(C, T\)\?.* say layout='TC'", found.message)


def test_model_with_other_channels_or_classes(data_root, tmp_path):
    cfg = config(data_root, tmp_path)
    cfg.model.feat_dim = 400
    assert findings(check_config(cfg))['model-channels'].message.startswith(
        'test: the features have 16 channels, the model expects feat_dim=400: correct feat_dim'
    )
    cfg.model = dict(
        type='ActionFormer',
        feat_dim=CHANNELS,
        classes=['run', 'jump'],
        pyramid=dict(channels=8, num_levels=2, num_heads=2),
    )
    message = (
        "the data have 2 classes ['jump', 'run'], the model 2 ['run', 'jump']: give both the same"
    )
    assert message in findings(check_config(cfg))['model-classes'].message
    cfg.model.classes = ['jump', 'run']
    assert findings(check_config(cfg)) == {}


def test_parts_with_different_classes(data_root, tmp_path):
    cfg = config(data_root, tmp_path)
    cfg.train_dataloader.dataset.classes = ['run', 'jump']
    assert 'labels have different numbers' in findings(check_config(cfg))['classes'].message


def test_model_that_cannot_be_built(data_root, tmp_path):
    cfg = config(data_root, tmp_path)
    cfg.model.max_duration = 21
    report = check_config(cfg)
    message = findings(report)['model'].message
    assert message.startswith('the model of the config cannot be built: ')
    assert message.endswith('max_duration=21 must be between 1 and temporal_dim=20')
    assert not report.oracles and findings(report, 'info')['contents']


def test_localizer_without_grid(data_root, tmp_path):
    cfg = config(data_root, tmp_path)
    cfg.model = dict(
        type='TEM',
        temporal_dim=20,
        boundary_ratio=0.1,
        tem_feat_dim=CHANNELS,
        tem_hidden_dim=8,
        tem_match_threshold=0.5,
    )
    report = check_config(cfg)
    assert findings(report, 'info')['no-oracle'].message.startswith('no oracle: TEM has no grid')
    assert not report.oracles


def test_config_without_datasets():
    with pytest.raises(
        ValueError, match=r"a config with model and train_dataloader, .* got \['model'\]"
    ):
        check_config(Config(dict(model=dict(type='BMN'))))


def test_mmaction2_datasets(data_root, tmp_path):
    """Its class names the folder otherwise; ids are whole, files are .csv."""
    (data_root / 'csv').mkdir()
    flat = {}
    for name, video in json.loads((data_root / 'annotations.json').read_text())['database'].items():
        features = np.load(data_root / f'features/{name}.npy')
        np.savetxt(data_root / f'csv/{name}.csv', features, '%.4f', ',')
        flat[name] = dict(
            duration_second=video['duration'],
            duration_frame=100,
            feature_frame=96,
            annotations=video['annotations'],
        )
    (data_root / 'flat.json').write_text(json.dumps(flat))
    dataset = dict(
        type='ActivityNetDataset',
        ann_file='flat.json',
        data_root=str(data_root),
        pipeline=[],
        data_prefix=dict(video='csv'),
    )
    model = BMN(**{key: value for key, value in TINY_BMN.items() if key != 'type'})
    report = check_dataset(dict(all=dataset), map_proposal_space(20), model=model)
    assert findings(report) == {}
    assert 'a snippet every 0.48 s' in findings(report, 'info')['stride'].message, '96% of 0.5 s'
    assert report.oracles['all'].cells[0] == pytest.approx(
        0.96 * flat['v_00']['duration_second'] / 20
    )


# --- what the grid cannot reach -------------------------------------------------------------------


def grid_findings(tmp_path, segments, duration=100.0, crop=None, **grid) -> dict[str, Finding]:
    path = tmp_path / 'a.json'
    path.write_text(
        json.dumps(
            dict(
                database=dict(
                    v=dict(
                        duration=duration,
                        annotations=[dict(segment=segment, label='run') for segment in segments],
                    )
                )
            )
        )
    )
    options = {} if crop is None else dict(pipeline=[dict(type='CropFeatures', max_length=crop)])
    report = check_files(
        path,
        space=map_proposal_space(**grid),
        feature_stride=1.0 if 'window' in grid else None,
        **options,
    )
    return findings(report, 'error', 'warning', 'info')


@pytest.mark.parametrize(
    ('segments', 'options', 'kind', 'level', 'message'),
    [
        (
            [[1, 2], [30, 60]],
            dict(temporal_dim=10),
            'shorter-than-a-cell',
            'warning',
            'all: 1 of 2 segments (50.0%) are shorter than a cell, which is 10 s for the '
            'median segment and up to',
        ),
        (
            [[1, 2], [30, 60]],
            dict(temporal_dim=10),
            'out-of-reach',
            'warning',
            'all: 1 of 2 segments (50.0%) have no proposal with a tIoU of 0.5: a larger '
            'temporal_dim (shorter',
        ),
        (
            [[1, 2], [5, 6]],
            dict(temporal_dim=10),
            'out-of-reach',
            'error',
            'all: 2 of 2 segments (100.0%) have no proposal',
        ),
        (
            [[0, 60], [10, 20]],
            dict(temporal_dim=10, max_duration=4),
            'longer-than-a-proposal',
            'warning',
            'all: 1 of 2 segments (50.0%) are longer than the longest proposal, 4 cells '
            '(max_duration)',
        ),
        (
            [[0, 60], [10, 20]],
            dict(window=32),
            'cut-by-windows',
            'warning',
            'all: 1 of 2 segments (50.0%) lie in no window as a whole: longer windows, or a '
            'smaller stride',
        ),
        (
            [[0, 60], [10, 20]],
            dict(window=64, crop=32),
            'longer-than-crop',
            'warning',
            'all: 1 of 2 segments (50.0%) are longer than the 32 snippets that training '
            'takes of a video',
        ),
        (
            [[-5, -2], *[[10, 40]] * 30],
            dict(temporal_dim=10),
            'not-covered',
            'info',
            'all: 1 of 31 segments (3.2%) lie where the video has no features',
        ),
    ],
)
def test_what_the_grid_cannot_reach(tmp_path, segments, options, kind, level, message):
    finding = grid_findings(tmp_path, segments, **options)[kind]
    assert finding.level == level and finding.message.startswith(message)
    assert len(finding.examples) == min(finding.count, 5) and finding.examples[0].startswith(
        "'v' ["
    )


def test_reversed_segments_are_no_part_of_the_oracle(tmp_path):
    found = grid_findings(tmp_path, [[10, 40], [30, 20]], temporal_dim=10)
    assert set(found) == {'reversed', 'contents'}


def test_without_lengths_there_are_no_windows(tmp_path):
    (tmp_path / 'a.json').write_text(
        json.dumps(
            dict(database=dict(v=dict(duration=9, annotations=[dict(segment=[1, 2], label='run')])))
        )
    )
    report = check_files(tmp_path / 'a.json', space=map_proposal_space(window=8))
    assert (
        not report.oracles
        and 'neither features nor feature_stride' in findings(report, 'info')['no-oracle'].message
    )


# --- files without a config -----------------------------------------------------------------------


def test_files(data_root):
    report = check_files(
        data_root / 'annotations.json',
        data_root / 'features',
        space=map_proposal_space(20),
        layout='TC',
        feature_stride=STRIDE,
    )
    assert findings(report) == {} and list(report.oracles) == ['training', 'validation']
    change(data_root, v_01=dict(subset=None))
    report = check_files(
        data_root / 'annotations.json', data_root / 'features', space=map_proposal_space(20)
    )
    assert list(report.oracles) == ['all'], 'a video without subset belongs to no other part'
    (data_root / 'classes.txt').write_text('jump\nrun\nswim\n')
    report = check_files(
        data_root / 'annotations.json', subsets=['training'], classes=data_root / 'classes.txt'
    )
    assert findings(report)['unused-classes'].examples == ("'swim'",) and len(report.findings) == 2


def test_features_of_other_size_in_one_part(data_root):
    for name in ('v_04', 'v_05'):
        path = data_root / f'features/{name}.npy'
        np.save(path, 10 * np.load(path))
    report = check_files(data_root / 'annotations.json', data_root / 'features', layout='TC')
    assert [one.partition(':')[0] for one in findings(report)['scale'].examples] == [
        'training',
        'validation',
    ]


# --- whole annotation sets ------------------------------------------------------------------------


@pytest.mark.slow
def test_activitynet_with_100_cells(annotation_file):
    """Figures of docs/evaluation.md; the file holds the validation videos that features exist
    for."""
    report = check_files(
        annotation_file('activitynet-1.3'), subsets=['validation'], space=map_proposal_space(100)
    )
    result = report.oracles['validation']
    assert not report.of_level('error') and len(result.names) == 7293
    assert result.oracle.precision.average == pytest.approx(0.9378, abs=1e-4)
    assert result.oracle.recall.mean() == pytest.approx(0.9264, abs=1e-4)
    assert result.missed.sum() == 85 and sum(row['missed'] for row in result.by_length()) == 85
    short = findings(report, 'info')['shorter-than-a-cell']
    assert short.count == np.sum(result.lengths < result.cells) == 127


def test_activitynet_like_with_100_cells(annotation_file):
    report = check_files(
        annotation_file('activitynet-like'), subsets=['validation'], space=map_proposal_space(100)
    )
    result = report.oracles['validation']
    assert not report.of_level('error') and len(result.names) == 431
    # A cell is a hundredth of the video: nearly all of the segments are within space.
    assert 0.8 < result.oracle.precision.average < 0.95
    assert result.missed.sum() == sum(row['missed'] for row in result.by_length()) > 16
    short = findings(report, 'info', 'warning')['shorter-than-a-cell']
    assert short.count == np.sum(result.lengths < result.cells) > 16  # those without length


@pytest.mark.parametrize(
    ('annotations', 'segments', 'least'),
    [
        ('thumos14-like', dict(train=933, test=766), 0.96),
        pytest.param('thumos14', dict(train=3007, test=3311), 0.97, marks=pytest.mark.slow),
    ],
    ids=['thumos14-like', 'thumos14'],
)
@pytest.mark.parametrize('name', ['bmn', pytest.param('actionformer', marks=pytest.mark.slow)])
def test_public_configs_with_annotations_only(annotation_file, name, annotations, segments, least):
    """THUMOS14's windows and points, from the config; one error says that there are no features."""
    cfg = Config.fromfile(ROOT / f'configs/localization/{name}_thumos14.py')
    for part, subset in (('train', 'train'), ('test', 'test')):
        cfg[f'{part}_dataloader'].dataset.update(
            data_root='', ann_file=str(annotation_file(annotations)), subset=subset
        )
    report = check_config(cfg)
    assert {one.kind for one in report.of_level('error')} == {'features'}
    assert {part: len(result.names) for part, result in report.oracles.items()} == segments
    assert report.oracles['test'].oracle.precision.average > (
        0.99 if name == 'actionformer' else least
    )
    assert ('longer-than-a-proposal' in findings(report)) == (name != 'actionformer')


# --- text, JSON and the command -------------------------------------------------------------------


def test_text_and_json(data_root, tmp_path):
    (data_root / 'features/v_00.npy').write_bytes(b'')
    change(data_root, v_01=dict(annotations=[dict(segment=[3, 3], label='run')] * 6))
    report = check_config(config(data_root, tmp_path))
    lines = check_text(report).splitlines()
    assert lines[:2] == [
        'errors: 1',
        '  unreadable: 1 of 6 feature files cannot be read: write them again',
    ]
    assert {f'warnings: {len(findings(report, "warning"))}', '      and 1 more'} <= set(lines)
    at = next(i for i, line in enumerate(lines) if line.strip().startswith('oracle, percent'))
    assert lines[at].split()[-5:] == ['0.3', '0.4', '0.5', '0.6', '0.7']
    figures = report.oracles['train'].oracle
    assert lines[at + 2].split() == [
        'train:',
        'mAP',
        f'{100 * figures.precision.average:.2f}',
        *(f'{100 * value:.2f}' for value in figures.precision.mAP),
    ]
    content = json.loads(json.dumps(check_json(report)))
    assert list(content) == ['errors', 'warnings', 'information', 'oracle']
    assert content['errors'][0]['kind'] == 'unreadable' and content['errors'][0]['count'] == 1
    assert content['oracle']['train']['mAP']['average'] == figures.precision.average
    assert content['oracle']['train']['segments'] == 12
    assert sum(row['segments'] for row in content['oracle']['train']['by_length']) == 12


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs tools/check_dataset.py in this process: exit code or message, output."""
    spec = importlib.util.spec_from_file_location(
        'check_dataset_tool', ROOT / 'tools/check_dataset.py'
    )
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def run(*arguments: object) -> tuple[object, str]:
        monkeypatch.setattr(sys, 'argv', ['check_dataset.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            tool.main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out + captured.err

    return run


def test_exit_codes(command, data_root, tmp_path):
    files = ('--annotations', data_root / 'annotations.json', '--features', data_root / 'features')
    out = tmp_path / 'new/report.json'
    code, text = command(
        *files, '--layout', 'TC', '--stride', STRIDE, '--temporal-dim', 20, '--json', out
    )
    assert code == 0 and text.startswith('errors: 0\nwarnings: 0\ninformation: ')
    assert 'validation: mAP' in text
    assert json.loads(out.read_text())['oracle']['training']['segments'] == 8
    (data_root / 'features/v_00.npy').write_bytes(b'')
    code, text = command(*files, '--layout', 'TC', '--stride', STRIDE, '--json', out)
    assert code == 1 and 'errors: 1' in text and "features of 'v_00'" in text
    assert json.loads(out.read_text())['errors'][0]['kind'] == 'unreadable'


def test_command_with_a_config(command, data_root, tmp_path):
    path = tmp_path / 'config.py'
    Config(localization_config(data_root, tmp_path)).dump(path)
    code, text = command(path)
    assert code == 0 and 'train: mAP' in text
    code, text = command(path, '--cfg-options', 'model.feat_dim=8', 'test_dataloader=None')
    assert code == 1 and 'the model expects feat_dim=8' in text and 'test: mAP' not in text


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        ((), 2, 'expected either CONFIG or --annotations FILE'),
        (
            ('config.py', '--annotations', 'a.json'),
            2,
            'expected either CONFIG or --annotations FILE',
        ),
        (('nowhere.py',), 'error: ', 'nowhere.py'),
        (('--annotations', MADE_SET, '--window', 8, '--temporal-dim', 8), 'error: ', 'got both'),
        (('--annotations', MADE_SET, '--classes', 'nowhere.txt'), 'error: ', 'nowhere.txt'),
        (
            ('--annotations', MADE_SET, '--temporal-dim', 8, '--tiou', 'hmm'),
            'error: ',
            "tIoU thresholds 'hmm'",
        ),
        (
            ('--annotations', 'nowhere.json'),
            1,
            'nowhere.json: No such file or directory: check the path',
        ),
        (
            ('--annotations', MADE_SET, '--stride', -1),
            1,
            '--stride is -1.0, expected seconds above 0',
        ),
        (
            ('--annotations', MADE_SET, '--subset', 'training'),
            1,
            "expected one of the subsets 'test'",
        ),
    ],
)
def test_bad_arguments(command, annotation_file, arguments, code, message):
    path = annotation_file(MADE_SET)
    stopped, text = command(*(path if one == MADE_SET else one for one in arguments))
    if isinstance(code, str):
        assert stopped.startswith(code) and message in stopped
    else:
        assert stopped == code and message in ' '.join(text.split())


# --- what lies beside the features ----------------------------------------------------------------


@pytest.mark.parametrize(('step', 'level'), [(STRIDE, 'info'), (STRIDE * 1.25, 'error')])
def test_time_stamps_beside_the_features(data_root, tmp_path, step, level):
    folder = data_root / 'features'
    store = FeatureFolder(folder)
    for video_id in store.ids():
        times = np.arange(store.length(video_id)) * step * 1000
        np.savetxt(folder / f'{video_id}_stamps_ms.txt', times)
    report = check_config(config(data_root, tmp_path), timestamps='_stamps_ms.txt')
    found = [one for one in report.findings if one.kind == 'timestamps-stride']
    assert {one.level for one in found} == {level}
    # Files of the folder that are no features are not taken for some.
    assert not findings(report, 'error').keys() - {'timestamps-stride'}


def test_crops_are_named_and_read(data_root):
    folder = data_root / 'features'
    for path in folder.glob('*.npy'):
        np.save(path, np.stack([np.load(path)] * 5, axis=1))
    files = dict(features=folder, feature_stride=STRIDE)
    found = findings(check_files(data_root / 'annotations.json', **files))
    assert 'may be crops of the frames' in str(found)
    assert findings(check_files(data_root / 'annotations.json', crops='mean', **files)) == {}


def test_excluded_videos_are_not_checked(data_root, tmp_path):
    change(data_root, v_00=dict(annotations=[dict(segment=[9.0, 3.0], label='jump')]))
    (data_root / 'features/v_00.npy').unlink()
    cfg = config(data_root, tmp_path)
    assert {'missing-features', 'reversed'} & findings(check_config(cfg)).keys()
    cfg.train_dataloader.dataset.exclude = ['v_00']
    assert findings(check_config(cfg)) == {}
    cfg.train_dataloader.dataset.exclude = 'blocked.txt'
    assert 'blocked.txt' in findings(check_config(cfg))['subset'].message
