"""``tools/diagnose.py`` on small data and on whole annotation sets, and its words on bad input."""

from __future__ import annotations

import gzip
import importlib.util
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sola_plugin.evaluation import average_precision, read_detections, write_detections
from sola_plugin.evaluation.diagnosis.errors import KINDS
from sola_plugin.io import read_json
from tests.conftest import ROOT
from tests.reference import THUMOS14_SETS, database_of, detections_of

TOOL = ROOT / 'tools/diagnose.py'


@pytest.fixture
def diagnose(monkeypatch, capsys):
    """Run the tool in this process: function of the arguments that returns what it prints."""
    spec = importlib.util.spec_from_file_location('diagnose_tool', TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        tool.main()
        return capsys.readouterr().out

    return run


@pytest.fixture(scope='module', params=THUMOS14_SETS)
def thumos(request, annotation_file, tmp_path_factory) -> tuple[Path, Path, list[dict]]:
    """Annotation file, detections as a result file, and the annotated segments."""
    path = tmp_path_factory.mktemp('thumos') / 'detections.json'
    write_detections(path, detections_of(request.param, 'test', 20, 3))
    videos = database_of(request.param).values()
    actions = [a for x in videos if x['subset'] == 'test' for a in x['annotations']]
    return annotation_file(request.param), path, actions


@pytest.fixture
def files(data_root, tmp_path) -> tuple[Path, Path]:
    """The tiny data set's annotations, and jittered copies of its validation segments."""
    rng = np.random.default_rng(0)
    annotations = data_root / 'annotations.json'
    results = {}
    for name, video in read_json(annotations)['database'].items():
        if video['subset'] == 'validation':
            results[name] = [
                dict(
                    a,
                    segment=sorted(np.add(a['segment'], rng.normal(size=2)).tolist()),
                    score=rng.random(),
                )
                for a in video['annotations']
                for _ in range(3)
            ]
    write_detections(tmp_path / 'detections.json', results)
    return annotations, tmp_path / 'detections.json'


def test_small_data(diagnose, files, tmp_path):
    printed = diagnose(
        *files,
        '--subset',
        'validation',
        '--tiou',
        '0.3:0.7:5',
        '--json',
        tmp_path / 'out.json',
        '--report',
        tmp_path / 'out.html',
    )
    assert 'ground truth: subset validation: 2 videos, 4 segments, 2 classes' in printed
    assert 'detections: 12 in 2 videos' in printed
    figures = read_json(tmp_path / 'out.json')
    database = read_json(files[0])['database']
    truth = {v: x['annotations'] for v, x in database.items() if x['subset'] == 'validation'}
    expected = average_precision(truth, read_detections(files[1]), '0.3:0.7:5').average
    assert figures['mAP'] == expected
    assert (
        f'mAP {100 * expected:.2f}, mAP_N' in printed
        and '(tIoU 0.3 to 0.7, 5 thresholds)' in printed
    )
    for kind in (*KINDS, 'all false positives', 'segments not found'):
        assert f'\n  {kind}' in printed
    page = (tmp_path / 'out.html').read_text()
    assert page.count('<img src="data:image/svg+xml;base64,') == 3 and page.count('<table>') == 2
    assert 'subset validation: 2 videos' in page and '--subset validation' in page


def test_real_annotations(diagnose, thumos, tmp_path):
    annotations, detections, actions = thumos
    printed = diagnose(
        annotations,
        detections,
        '--tiou',
        '0.5',
        '--buckets',
        'thumos14',
        '--json',
        tmp_path / 'out.json',
    )
    classes = len({one['label'] for one in actions})
    # Without --subset.
    assert re.search(rf'subset test: \d+ videos, {len(actions):,} segments, {classes} cl', printed)
    figures = read_json(tmp_path / 'out.json')
    assert set(figures) == {
        'tiou_thresholds',
        'num_segments',
        'num_detections',
        'ignored',
        'unknown_videos',
        'mAP',
        'mAP_N',
        'missed',
        'false_positives',
        'by_characteristic',
    }
    assert tuple(figures['false_positives']['kinds']) == KINDS
    assert len(figures['false_positives']['splits']) == 10
    length = figures['by_characteristic']['length']
    assert [bucket['up_to'] for bucket in length] == [3, 6, 12, 18, None]
    assert sum(bucket['segments'] for bucket in length) == len(actions)


@pytest.mark.parametrize(
    ('options', 'edges'),
    [
        ((), [30, 60, 120, 180]),
        (('--tiou', 'thumos14'), [3, 6, 12, 18]),
        (('--tiou', 'thumos14', '--buckets', 'activitynet'), [30, 60, 120, 180]),
    ],
)
def test_buckets_follow_the_data_set_of_the_thresholds(diagnose, files, tmp_path, options, edges):
    diagnose(*files, *options, '--json', tmp_path / 'out.json')
    length = read_json(tmp_path / 'out.json')['by_characteristic']['length']
    assert [bucket['up_to'] for bucket in length[:-1]] == edges


def test_thresholds_as_numbers_go_with_quantiles(diagnose, thumos, tmp_path):
    annotations, detections, actions = thumos
    diagnose(
        annotations,
        detections,
        '--tiou',
        '0.5',
        '--json',
        tmp_path / 'out.json',
    )
    for name, buckets in read_json(tmp_path / 'out.json')['by_characteristic'].items():
        shares = [bucket['segments'] / len(actions) for bucket in buckets]
        # Many segments are of one length (a tenth of a second) or of one crowded video.
        assert max(shares) < (0.3 if name == 'instances' else 0.22) and min(shares) > 0.1


def test_actionformer_results(diagnose, files, tmp_path):
    annotations, detections = files
    expected = diagnose(*files, '--subset', 'validation', '--json', tmp_path / 'a.json')
    database = read_json(annotations)
    names = ['jump', 'run']
    for video in database['database'].values():
        for annotation in video['annotations']:
            annotation['label_id'] = names.index(annotation['label'])
    with gzip.open(tmp_path / 'annotations.json.gz', 'wt') as file:
        json.dump(database, file)
    rows = [
        (v, *d['segment'], names.index(d['label']), d['score'])
        for v, x in read_detections(detections).items()
        for d in x
    ]
    keys = ('video-id', 't-start', 't-end', 'label', 'score')
    columns = {
        key: list(column) if key == 'video-id' else np.array(column)
        for key, column in zip(keys, zip(*rows))
    }
    (tmp_path / 'eval_results.pkl').write_bytes(pickle.dumps(columns))
    printed = diagnose(
        tmp_path / 'annotations.json.gz',
        tmp_path / 'eval_results.pkl',
        '--subset',
        'validation',
        '--json',
        tmp_path / 'b.json',
    )
    assert printed == expected and read_json(tmp_path / 'a.json') == read_json(tmp_path / 'b.json')


def test_warnings_are_printed(diagnose, files, tmp_path):
    results = read_detections(files[1])
    results['v_04'][0]['label'] = 'swim'
    results['nowhere'] = [dict(segment=[0, 1], label='run', score=0.5)]
    write_detections(tmp_path / 'other.json', results)
    printed = diagnose(files[0], tmp_path / 'other.json', '--subset', 'validation')
    assert 'without ground truth' in printed and "'swim'" in printed
    assert "'nowhere'" in printed


def test_no_detections(diagnose, files, tmp_path):
    write_detections(tmp_path / 'none.json', {})
    printed = diagnose(
        files[0],
        tmp_path / 'none.json',
        '--subset',
        'validation',
        '--report',
        tmp_path / 'out.html',
    )
    assert (
        'mAP 0.00, mAP_N 0.00' in printed and '100.00% of the true segments are missed' in printed
    )
    assert (tmp_path / 'out.html').is_file()


def broken_annotations(folder: Path, **changes) -> Path:
    video = dict(
        duration=10.0, subset='validation', annotations=[dict(segment=[1.0, 2.0], label='run')]
    )
    (folder / 'broken.json').write_text(json.dumps(dict(database=dict(v_04={**video, **changes}))))
    return folder / 'broken.json'


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(duration=None), r"error: .*broken.json: video 'v_04': .*'duration', got None"),
        (
            dict(annotations=[]),
            'error: ground truth: none of the 1 videos has an annotated segment',
        ),
        (
            dict(annotations=[dict(segment=[3.0, 2.0], label='run')]),
            r"error: ground truth: segment \[3.0, 2.0\] of video 'v_04' is not .*start <= end",
        ),
        (
            dict(annotations=[dict(segment=[1.0, 2.0], label='other')]),
            "error: no detection has a label of the ground truth: detections have 'jump', 'run'",
        ),
    ],
)
def test_bad_annotations(diagnose, files, tmp_path, changes, message):
    results = {'v_04': read_detections(files[1])['v_04']}
    write_detections(tmp_path / 'one.json', results)
    with pytest.raises(SystemExit, match=message):
        diagnose(broken_annotations(tmp_path, **changes), tmp_path / 'one.json')


def test_bad_files(diagnose, files, tmp_path):
    with pytest.raises(SystemExit, match=r'error: .*No such file or directory: .*nowhere.json'):
        diagnose(tmp_path / 'nowhere.json', files[1])
    with pytest.raises(SystemExit, match="error: .*expected one of the subsets .*'validation'"):
        diagnose(*files, '--subset', 'test')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--tiou', '0'), r'must be a non-empty list of numbers in \(0, 1\]'),
        (('--tiou', '0.5,1.5'), r'numbers in \(0, 1\]'),
        (('--tiou', 'anet'), "tIoU thresholds 'anet': expected one of"),
        (('--buckets', 'hacs'), "--buckets: invalid choice: 'hacs'"),
    ],
)
def test_usage(diagnose, files, capsys, options, message):
    with pytest.raises(SystemExit) as exit:
        diagnose(*files, *options)
    assert exit.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_command_without_torch(files):
    """The tool runs where only NumPy and the pictures' packages are."""
    code = (
        'import runpy, sys; sys.modules.update(torch=None, mmengine=None, mmaction=None); '
        f'sys.argv = [{str(TOOL)!r}, {str(files[0])!r}, {str(files[1])!r}]; '
        f"runpy.run_path({str(TOOL)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'all false positives' in done.stdout


def test_failure_has_exit_code_1_and_no_traceback(files, tmp_path):
    done = subprocess.run(
        [sys.executable, TOOL, files[0], tmp_path / 'nowhere.json'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith('error: ') and 'Traceback' not in done.stderr
