"""Linear probe of several methods: comparison, tables, report, the tool."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import save_checkpoint

from sola_plugin.commands.probing.methods import (
    Comparison,
    compare_methods,
    comparison_to_json,
    probe_localizer,
    read_datasets,
)
from sola_plugin.commands.probing.summary import (
    distance_table,
    probe_table,
    write_probe_figure,
    write_probe_report,
)
from sola_plugin.datasets.features.fingerprint import record_features
from sola_plugin.evaluation.probe.boundary_distance import KINDS
from sola_plugin.evaluation.probe.linear_probe import METRICS, linear_probe
from sola_plugin.necks import SoLa, save_sola
from sola_plugin.pretraining.probe import build_probe_dataset, read_probe_data
from sola_plugin.visualization import to_markdown
from tests.conftest import (
    CHANNELS,
    ROOT,
    STRIDE,
    feature_dataset,
    localization_config,
    make_dataset,
)

EDGES = (-3, -1, 0, 1, 3)


def save_neck(path: Path, channels: int = CHANNELS) -> Path:
    """A SoLa that is not the identity."""
    torch.manual_seed(0)
    neck = MODELS.build(dict(type='SoLa', in_channels=channels, hidden_channels=4))
    torch.nn.init.constant_(neck.alpha, 3.0)
    save_sola(path, neck)
    return path


def datasets(root: Path) -> tuple[dict, dict]:
    return (
        feature_dataset(root, subset='training'),
        feature_dataset(root, subset='validation', test_mode=True),
    )


@pytest.fixture(scope='module')
def setting(tmp_path_factory) -> tuple[Path, Path, Comparison]:
    """Data, a checkpoint, and the comparison of all methods."""
    folder = tmp_path_factory.mktemp('probing')
    root = make_dataset(folder / 'data')
    rng = np.random.default_rng(0)
    for path in (root / 'features').iterdir():
        features = np.load(path)
        np.save(path, features + 9 + rng.normal(scale=4, size=features.shape).astype(np.float32))
    checkpoint = save_neck(folder / 'sola.pth')
    comparison = compare_methods(
        *datasets(root),
        [str(checkpoint)],
        ['smoothing', 'standardization'],
        seeds=range(3),
        edges=EDGES,
    )
    return root, checkpoint, comparison


def write_config(path: Path, root: Path, **changes) -> Path:
    cfg = Config(localization_config(root, path.parent / 'work'))
    cfg.merge_from_dict(changes)
    cfg.dump(path)
    return path


def test_every_method_on_the_same_snippets(setting):
    root, checkpoint, comparison = setting
    assert list(comparison.methods) == [
        'raw features',
        'mean of 3 snippets',
        'standardised',
        'SoLa',
    ]
    assert comparison.checkpoints == {'SoLa': str(checkpoint)}
    assert comparison.data['train']['videos'] == 4 and comparison.data['test']['videos'] == 2
    raw = comparison.methods['raw features']
    for probe in comparison.methods.values():
        assert all(probe.scores[metric].shape == (3,) for metric in METRICS)
        assert all((probe.counts[kind] == raw.counts[kind]).all() for kind in ('start', 'end'))
    assert (
        len({tuple(probe.scores['average_precision']) for probe in comparison.methods.values()})
        == 4
    )
    # Two actions a video, and the snippets at hand of each boundary.
    assert raw.counts['start'][1:3].tolist() == raw.counts['end'][1:3].tolist() == [4, 4]


def test_a_neck_of_other_features_of_the_same_videos_is_logged(tmp_path, caplog, monkeypatch):
    root = make_dataset(tmp_path / 'data')
    record = record_features(dict(root=str(root / 'features'), layout='TC'))
    save_sola(tmp_path / 'sola.pth', SoLa(CHANNELS, 4), dict(features=record))
    logger = MMLogger.get_instance('probing')
    monkeypatch.setattr(logger, 'handlers', [caplog.handler])
    for scale, logged in ((1, 0), (2, 2)):  # once for the training, once for the test videos
        for path in (root / 'features').iterdir():
            np.save(path, scale * np.load(path))
        compare_methods(*datasets(root), [str(tmp_path / 'sola.pth')], seeds=range(2))
        assert caplog.text.count('was trained otherwise than it is used now: other fea') == logged


def test_standardised_by_hand(setting):
    root, _, comparison = setting
    content = json.loads((root / 'annotations.json').read_text())['database']
    parts = {subset: ([], []) for subset in ('training', 'validation')}
    for name, video in content.items():
        features = np.load(root / f'features/{name}.npy')
        parts[video['subset']][0].append(features)
        parts[video['subset']][1].extend(
            any(
                a['segment'][0] <= (i + 0.5) * STRIDE <= a['segment'][1]
                for a in video['annotations']
            )
            for i in range(len(features))
        )
    train, test = (np.concatenate(features) for features, _ in parts.values())
    mean, std = train.mean(axis=0), train.std(axis=0, ddof=1)
    expected = linear_probe(
        (train - mean) / std, parts['training'][1], (test - mean) / std, parts['validation'][1]
    )
    assert comparison.methods['standardised'].all_videos == pytest.approx(expected, abs=1e-6)


def test_augmentation_of_the_training_pipeline_is_not_used(setting):
    root, _, comparison = setting
    train, test = datasets(root)
    train['pipeline'] = [
        dict(type='LoadFeatures'),
        dict(type='CropFeatures', max_length=8),
        dict(type='PackTALInputs'),
    ]
    told = []
    again = compare_methods(
        train, test, seeds=[0], edges=EDGES, show=lambda *progress: told.append(progress)
    )
    assert told == [('features probed', 1, 1)]
    assert again.data == comparison.data
    assert again.methods['raw features'].all_videos == comparison.methods['raw features'].all_videos


def test_seconds(setting):
    root, _, comparison = setting
    seconds = compare_methods(
        *datasets(root), seeds=[0], edges=[STRIDE * edge for edge in EDGES], unit='seconds'
    )
    for kind in ('start', 'end'):
        assert (
            seconds.methods['raw features'].counts[kind]
            == comparison.methods['raw features'].counts[kind]
        ).all()


def test_two_checkpoints_are_told_apart(setting, tmp_path):
    root, checkpoint, _ = setting
    other = save_neck(tmp_path / 'other.pth')
    comparison = compare_methods(
        *datasets(root), [str(checkpoint), str(other)], seeds=[0], edges=EDGES
    )
    assert list(comparison.methods)[1:] == [f'SoLa {checkpoint}', f'SoLa {other}']


def test_json_tables_and_report(setting, tmp_path):
    _, _, comparison = setting
    written = json.loads(json.dumps(comparison_to_json(comparison), allow_nan=False))
    sola, raw = written['methods']['SoLa'], written['methods']['raw features']
    values = comparison.methods['SoLa'].scores['accuracy']
    baseline = comparison.methods['raw features'].scores['accuracy']
    assert sola['accuracy']['per_seed'] == values.tolist()
    assert sola['accuracy']['mean'] == pytest.approx(values.mean())
    assert sola['accuracy']['std'] == pytest.approx(values.std(ddof=1))
    assert sola['accuracy']['difference'] == pytest.approx(
        dict(mean=(values - baseline).mean(), std=(values - baseline).std(ddof=1))
    )
    assert 'difference' not in raw['accuracy'] and written['seeds'] == [0, 1, 2]
    assert written['bins']['edges'] == list(EDGES) and len(sola['by_distance']['end']['std']) == 4

    table = probe_table(comparison)
    assert [row[0] for row in table.rows] == list(comparison.methods)
    assert table.rows[3][1].startswith(f'{100 * values.mean():.1f} ± ')
    assert table.rows[3][-1] == f'{100 * comparison.methods["SoLa"].all_videos["accuracy"]:.1f}'
    rows = distance_table(comparison, 'start').rows
    assert [row[0] for row in rows] == ['-3 to -1', '-1 to 0', '0 to 1', '1 to 3']
    assert [int(row[1]) for row in rows] == comparison.methods['SoLa'].counts['start'].tolist()

    write_probe_report(tmp_path / 'report.html', comparison, 'python tools/linear_probe.py')
    page = (tmp_path / 'report.html').read_text()
    assert page.count('<img') == 1 and page.count('<table') >= 3 and 'mean of 3 snippets' in page
    write_probe_figure(tmp_path / 'curves.svg', comparison)
    assert '<svg' in (tmp_path / 'curves.svg').read_text()


def test_no_boundaries_are_no_figures(setting, tmp_path):
    root, _, _ = setting
    content = json.loads((root / 'annotations.json').read_text())
    whole, none = (
        video for video in content['database'].values() if video['subset'] == 'validation'
    )
    whole['annotations'], none['annotations'] = (
        [dict(segment=[0, whole['duration']], label='run')],
        [],
    )
    (tmp_path / 'annotations.json').write_text(json.dumps(content))
    train, test = datasets(root)
    test['ann_file'] = str(tmp_path / 'annotations.json')
    comparison = compare_methods(train, test, seeds=[0, 1], edges=EDGES)
    written = json.loads(json.dumps(comparison_to_json(comparison), allow_nan=False))
    assert written['methods']['raw features']['by_distance']['start']['mean'] == [None] * 4
    assert written['bins']['start'] == written['bins']['end'] == [0] * 4
    assert {row[2] for row in distance_table(comparison, 'end').rows} == {'–'}
    with pytest.raises(ValueError, match='no snippet lies within the bins around a boundary'):
        write_probe_figure(tmp_path / 'curves.png', comparison)


def run_tool(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, 'argv', ['linear_probe.py', *map(str, arguments)])
    runpy.run_path(str(ROOT / 'tools/linear_probe.py'), run_name='__main__')


def test_tool(setting, tmp_path, monkeypatch, capsys):
    root, checkpoint, comparison = setting
    config = write_config(tmp_path / 'config.py', root)
    run_tool(
        monkeypatch,
        config,
        '--sola',
        checkpoint,
        '--neck',
        'smoothing',
        'standardization',
        '--seeds',
        3,
        '--edges',
        *EDGES,
        '--json',
        tmp_path / 'probe.json',
        '--plot',
        tmp_path / 'probe.png',
        '--report',
        tmp_path / 'probe.html',
        '--document',
        tmp_path / 'page.md',
    )
    shown = capsys.readouterr().out
    assert 'train: 4 videos' in shown and 'Δ accuracy' in shown and 'SoLa' in shown
    assert json.loads((tmp_path / 'probe.json').read_text()) == comparison_to_json(comparison)
    assert (tmp_path / 'probe.png').read_bytes()[:4] == b'\x89PNG' and (
        tmp_path / 'probe.html'
    ).is_file()
    begin, title, *block, end = filter(None, (tmp_path / 'page.md').read_text().split('\n'))
    assert begin == '<!-- begin linear_probe config -->'
    assert end == '<!-- end linear_probe config -->'
    assert title == '### Linear probe, config' and '--document' in block[0]
    tables = [probe_table(comparison), *(distance_table(comparison, kind) for kind in KINDS)]
    page = (tmp_path / 'page.md').read_text()
    assert all(to_markdown(table).strip() in page for table in tables) and '\n\n\n' not in page


def test_tool_without_a_config(setting, tmp_path, monkeypatch):
    root, _, comparison = setting
    run_tool(
        monkeypatch,
        '--annotations',
        root / 'annotations.json',
        '--features',
        root / 'features',
        '--train-subset',
        'training',
        '--test-subset',
        'validation',
        '--dataset',
        'layout=TC',
        f'feature_stride={STRIDE}',
        '--seeds',
        1,
        '--json',
        tmp_path / 'probe.json',
    )
    written = json.loads((tmp_path / 'probe.json').read_text())
    assert written['data'] == comparison.data
    assert (
        written['methods']['raw features']['accuracy']['all_videos']
        == comparison.methods['raw features'].all_videos['accuracy']
    )


class TestBadInput:
    """The tool ends with one line and exit code 1."""

    @pytest.fixture
    def fails(self, setting, tmp_path, monkeypatch, capsys):
        config = write_config(tmp_path / 'config.py', setting[0])

        def check(message: str, *arguments: object, config: object = config, code: int = 1) -> None:
            with pytest.raises(SystemExit) as end:
                run_tool(monkeypatch, config, *arguments)
            shown = capsys.readouterr().err if code == 2 else end.value.code
            assert message in shown and (code == 2) == (end.value.code == 2)
            assert code == 2 or shown.startswith('error: ')

        return check

    def test_usage(self, fails):
        fails('--seeds expects at least 1, got 0', '--seeds', 0, code=2)
        fails('--plot expects a .png or .svg file, got x.gif', '--plot', 'x.gif', code=2)
        fails("invalid choice: 'magic'", '--neck', 'magic', code=2)
        fails('expected either CONFIG or --annotations', '--features', 'x', code=2)
        fails('bin edges: expected at least two ascending', '--edges', 1, -1)
        fails("The 'C' parameter", '--C', -1)

    def test_config(self, fails, tmp_path):
        fails('nowhere.py', config='nowhere.py')
        (tmp_path / 'broken.py').write_text('x = (')
        fails('cannot read the config', config=tmp_path / 'broken.py')
        fails(
            'expected test_dataloader with a dataset, got none',
            config=ROOT / 'configs/pretrain/sola_watch.py',
        )
        fails(
            "unexpected keyword argument 'stride'",
            '--cfg-options',
            'train_dataloader.dataset.stride=1',
        )
        fails(
            "expected dict(type='TALFeatureDataset', ...), got type='BaseDataset'",
            '--cfg-options',
            'test_dataloader.dataset.type=BaseDataset',
        )

    def test_checkpoints(self, fails, tmp_path):
        fails('SoLa checkpoint nowhere.pth does not exist', '--sola', 'nowhere.pth')
        other = save_neck(tmp_path / 'other.pth', CHANNELS + 2)
        fails(f'16 channels, the SoLa checkpoint {other} expects 18', '--sola', other)

    def test_data(self, fails):
        fails(
            "expected one of the subsets 'training' (4 videos)",
            '--cfg-options',
            'test_dataloader.dataset.subset=testing',
        )
        fails(
            'feature folder',
            '--cfg-options',
            'test_dataloader.dataset.data_prefix.features=nowhere',
        )


def test_datasets_of_the_project_configs():
    train, test = read_datasets(
        str(ROOT / 'configs/localization/bmn_watch.py'),
        {'test_dataloader.dataset.subset': 'unlabelled'},
    )
    assert (train['subset'], test['subset']) == ('training', 'unlabelled')


def test_probe_of_a_localizer_has_a_balanced_fit_beside_the_plain_one(data_root, tmp_path):
    """Without a neck its head sees the raw features; the accuracy is that of the plain fit."""
    cfg = Config(localization_config(data_root, tmp_path / 'work'))
    model = MODELS.build(cfg.model)
    save_checkpoint(dict(state_dict=model.state_dict(), meta={}), str(tmp_path / 'head.pth'))
    found = probe_localizer(cfg, tmp_path / 'head.pth')
    parts = [
        read_probe_data(build_probe_dataset(dataset, part))
        for dataset, part in zip(datasets(data_root), ('train', 'test'))
    ]
    arrays = [array for part in parts for array in (part.features, part.labels)]
    plain, balanced = (linear_probe(*arrays, balanced=equal) for equal in (False, True))
    assert found['accuracy'] == plain['accuracy']
    assert found['average_precision'] == plain['average_precision']
    assert found['balanced_accuracy'] == balanced['balanced_accuracy']


def test_tool_with_a_balanced_fit(run_script, setting, tmp_path):
    root, _, _ = setting
    config = write_config(tmp_path / 'config.py', root)
    figures = []
    for options in ([], ['--balanced']):
        out = tmp_path / 'probe.json'
        result = run_script('tools/linear_probe.py', config, '--seeds', 2, '--json', out, *options)
        assert result.returncode == 0, result.stderr
        figures.append(json.loads(out.read_text()))
    assert [each['balanced'] for each in figures] == [False, True]
    of_raw = [each['methods']['raw features']['accuracy']['per_seed'] for each in figures]
    assert of_raw[0] != of_raw[1]
