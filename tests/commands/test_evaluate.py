"""The command that evaluates anybody's detections."""

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

from sola_plugin.commands import read_pair
from sola_plugin.evaluation import TALEvaluator
from tests.conftest import ROOT
from tests.reference import ACTIVITYNET_CASES, load_case


def load_module(path: Path):
    spec = importlib.util.spec_from_file_location(f'{path.stem}_under_test', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command; return exit code, output and error output."""

    def _run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['evaluate.py', *map(str, arguments)])
        code = 0
        try:
            load_module(ROOT / 'tools/evaluate.py').main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            sys.stderr.write('' if isinstance(end.code, int) else str(end.code))
        return code, *capsys.readouterr()

    return _run


def segment(start, end, label='run', **more) -> dict:
    return {'segment': [start, end], 'label': label, **more}


#: Of the validation set, one segment is found, one detected too long, one missed.
TRUTH = {
    'a': dict(
        duration=100, subset='validation', annotations=[segment(10, 20), segment(50, 60, 'jump')]
    ),
    'b': dict(duration=100, subset='validation', annotations=[segment(5, 25, 'swim')]),
    'c': dict(duration=100, subset='validation', annotations=[]),
    'd': dict(duration=100, subset='training', annotations=[segment(1, 9, 'ski')]),
}
FOUND = {
    'a': [
        segment(10, 20, score=0.9),
        segment(50, 64, 'jump', score=0.8),
        segment(70, 80, score=0.7),
    ]
}
FIGURES = {'mAP': {'average': 1.5 / 3, 'per_tiou': {'0.5': 2 / 3, '0.75': 1 / 3}}}


@pytest.fixture
def write(tmp_path):
    """Write a JSON file and return its path."""

    def _write(name: str, content) -> Path:
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / name

    return _write


@pytest.fixture
def truth(write) -> Path:
    return write('truth.json', {'database': TRUTH})


@pytest.fixture
def found(write) -> Path:
    return write('found.json', {'results': FOUND})


@pytest.fixture(
    scope='module',
    params=[ACTIVITYNET_CASES[0], pytest.param(ACTIVITYNET_CASES[1], marks=pytest.mark.slow)],
)
def activitynet(request, annotation_file, tmp_path_factory) -> tuple[str, Path, Path]:
    """Name of the case, annotations, and the detections of the expected figures as a file."""
    case, _, detections = load_case('map', request.param)
    path = tmp_path_factory.mktemp('activitynet') / 'detections.json'
    path.write_text(json.dumps({'results': detections}))
    return request.param, annotation_file(case['annotations']), path


def test_reference_figures_without_torch_and_openmmlab(activitynet, tmp_path):
    name, annotations, detections = activitynet
    code = (
        'import runpy, sys\n'
        "for name in ('torch', 'mmengine', 'mmaction', 'mmcv', 'sklearn', 'scipy', 'pandas'):\n"
        '    sys.modules[name] = None\n'  # as if it were not installed
        "runpy.run_path('tools/evaluate.py', run_name='__main__')"
    )
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            code,
            annotations,
            detections,
            '--max-proposals',
            '10',
            '--recall-at',
            '1,10',
            '--json',
            tmp_path / 'sub/figures.json',
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'sub/figures.json').read_text())
    precision, recall = (load_case(kind, name)[0] for kind in ('map', 'recall'))
    assert list(figures) == ['mAP', 'AR'] and list(figures['AR']) == ['AR@1', 'AR@10', 'auc']
    assert list(figures['mAP']) == ['average', 'per_tiou']
    assert figures['mAP']['average'] == pytest.approx(precision['avg'], abs=1e-9)
    assert list(figures['mAP']['per_tiou'].values()) == pytest.approx(precision['mAP'], abs=1e-9)
    assert figures['AR']['AR@10'] == pytest.approx(recall['avg_recall'][-1], abs=1e-9)
    assert figures['AR']['auc'] == pytest.approx(recall['auc_percent'] / 100, abs=1e-9)
    assert f'{100 * precision["avg"]:.2f}' in done.stdout
    if name == 'anet_made':
        assert 'subset validation: 240 videos, 431 segments, 20 classes' in done.stdout
        assert 'detections: 2,161 in 217 videos' in done.stdout
        assert 'warning: 24 of 240 annotated videos have no detections' in done.stdout
    else:
        assert 'subset validation: 4,728 videos, 7,293 segments, 200 classes' in done.stdout
        assert 'detections: 47,280 in 4,728 videos' in done.stdout
        assert '32.06' in done.stdout and 'warning' not in done.stdout


def test_coverage_and_tables(run, truth, write):
    found = write(
        'found.json',
        {
            'results': {
                **FOUND,
                'x': [segment(0, 1, score=1.0)],
                'c': [segment(0, 1, 'fly', score=0.6)] * 2,
            }
        },
    )
    code, output, _ = run(
        truth,
        found,
        '--tiou',
        '0.5,0.75',
        '--metric',
        'mAP,Recall@kx,AR',
        '--per-class',
        '--subset',
        'validation',
    )
    assert code == 0
    assert output.splitlines()[:7] == [
        'ground truth: subset validation: 3 videos, 3 segments, 3 classes',
        'detections: 6 in 3 videos',
        'warning: 2 of 6 detections have one of 1 labels without ground truth, which mAP and '
        'Recall@kx '
        "ignore: 'fly'",
        'warning: 1 of 6 detections lie in 1 videos that the ground truth does not have and '
        'count as false '
        "positives: 'x'",
        "warning: 1 of 2 annotated videos have no detections: 'b'",
        "note: 1 of 3 classes have no detections, so their average precision is 0: 'swim'",
        '',
    ]
    rows = [line.split() for line in output.splitlines()]
    assert ['tIoU', 'mAP', 'Recall@1x', 'Recall@5x'] in rows
    assert [
        '0.5',
        '50.00',
        '66.67',
        '66.67',
    ] in rows  # x comes before the true detection of its class
    assert ['average', '33.33', '50.00', '50.00'] in rows
    assert ['jump', '50.00', '100.00', '0.00'] in rows and ['swim', '0.00', '0.00', '0.00'] in rows
    assert ['proposals', 'AR@1', 'AR@5', 'AR@10', 'AR@100', 'AUC'] in rows


def test_options(truth, found, run, tmp_path):
    code, _, _ = run(
        truth,
        found,
        '--tiou',
        '0.5:0.75:2',
        '--metric',
        'mAP, Recall@kx',
        '--top-k',
        '2',
        '--per-class',
        '--json',
        tmp_path / 'out.json',
    )
    figures = json.loads((tmp_path / 'out.json').read_text())
    assert code == 0 and set(figures['mAP'].pop('per_class')) == {'run', 'jump', 'swim'}
    assert figures == {
        **FIGURES,
        'Recall@kx': {'2': {'average': 1.5 / 3, 'per_tiou': {'0.5': 2 / 3, '0.75': 1 / 3}}},
    }
    output = run(truth, found, '--metric', 'AR', '--max-proposals', '4', '--recall-at', '3')[1]
    assert 'AR@3' in output and 'AR@1' not in output


def precision(ground_truth, detections, **options) -> dict:
    """The form of ``FIGURES``."""
    pair = read_pair(ground_truth, detections, **options)
    return TALEvaluator(('mAP',), [0.5, 0.75])(pair.truth, pair.found)


def test_every_form_gives_the_same_figures(truth, found, tmp_path):
    labelled = {
        video: {
            **entry,
            'annotations': [
                {**a, 'label_id': ['jump', 'run', 'ski', 'swim'].index(a['label'])}
                for a in entry['annotations']
            ],
        }
        for video, entry in TRUTH.items()
    }
    (tmp_path / 'truth.json.gz').write_bytes(
        gzip.compress(json.dumps({'database': labelled}).encode())
    )
    (tmp_path / 'found.json.gz').write_bytes(gzip.compress(found.read_bytes()))
    (tmp_path / 'eval_results.pkl').write_bytes(
        pickle.dumps(
            {
                'video-id': ['a'] * 3,
                't-start': np.array([10.0, 50, 70]),
                't-end': np.array([20.0, 64, 80]),
                'label': np.array([1, 0, 1]),
                'score': np.array([0.9, 0.8, 0.7]),
            }
        )
    )
    (tmp_path / 'labels.txt').write_text('jump\nrun\n')
    for paths in (
        (truth, found),
        (truth, 'found.json.gz'),
        ('truth.json.gz', found),
        ('truth.json.gz', 'eval_results.pkl'),
    ):
        assert precision(*(tmp_path / path for path in paths)) == FIGURES
    assert (
        precision(truth, tmp_path / 'eval_results.pkl', labels=tmp_path / 'labels.txt') == FIGURES
    )


def test_mmaction2_annotations(write, found):
    flat = {
        video: dict(duration_second=entry['duration'], annotations=entry['annotations'])
        for video, entry in TRUTH.items()
        if video != 'd'
    }
    flat = write('flat.json', flat)
    assert precision(flat, found) == FIGURES and read_pair(flat, found).subsets == ()


def test_subsets(truth, found, write):
    assert read_pair(truth, found).subsets == ('validation',)
    assert precision(truth, found, subsets=['validation']) == FIGURES
    both = read_pair(truth, found, subsets=['training', 'validation'])
    assert set(both.truth) == set(TRUTH) and both.coverage.num_segments == 4
    everywhere = write('everywhere.json', {'results': {**FOUND, 'd': []}})
    with pytest.raises(
        ValueError,
        match=r"lie in 2 of the subsets 'validation' \(3 videos\), 'training' "
        r'\(1 videos\): say which to evaluate with --subset',
    ):
        read_pair(truth, everywhere)


@pytest.mark.parametrize(
    'content',
    ['v_a\nv_b', '["a.mp4", "b.mp4"]', 'A', '["nowhere"]'],
    ids=['prefix', 'suffix', 'case', 'other'],
)
def test_ids_to_exclude_that_no_video_has(truth, found, write, content):
    with pytest.raises(ValueError, match=r'blocked: none of the \d videos to exclude is known'):
        read_pair(truth, found, subsets=['validation'], exclude=write('blocked', content))


def test_some_ids_to_exclude_are_not_there(truth, found, write):
    blocked = write('blocked', 'b\nnowhere\nlost')
    pair = read_pair(truth, found, subsets=['validation'], exclude=blocked)
    assert 'b' not in pair.truth
    note = f"{blocked}: 1 of 3 videos to exclude are left out; not there: 'lost', 'nowhere'"
    assert note in pair.notes
    assert read_pair(truth, found, subsets=['validation'], exclude=write('none', '')).truth
    with pytest.raises(ValueError, match='blocked: expected names, one a line or a JSON list, got'):
        read_pair(truth, found, exclude=write('blocked', '{"a": 1}'))


def test_prefix_and_excluded_videos(truth, write):
    cut = write('cut.json', {'results': {'': FOUND['a'], 'x': [segment(0, 9, score=1.0)]}})
    options = dict(prefix='a', subsets=['validation'])
    assert list(read_pair(truth, cut, **options).found) == ['a', 'ax']
    without = read_pair(truth, cut, **options, exclude=write('blocked', '["ax", "b"]'))
    assert list(without.found) == ['a'] and list(without.truth) == ['a', 'c']


def test_drop_duplicates(activitynet, run, tmp_path):
    name, annotations, detections = activitynet
    assert (
        run(
            annotations,
            detections,
            '--drop-duplicates',
            '--metric',
            'mAP',
            '--json',
            tmp_path / 'out.json',
        )[0]
        == 0
    )
    expected = load_case('actionformer', name)[0]['mAP']
    figures = json.loads((tmp_path / 'out.json').read_text())
    assert list(figures['mAP']['per_tiou'].values()) == pytest.approx(expected, abs=1e-9)


def test_proposals_without_labels(truth, write, run):
    bare = write('bare.json', {'results': {'a': [{'segment': [10, 20], 'score': 1.0}]}})
    code, output, _ = run(truth, bare, '--metric', 'AR')
    assert code == 0 and '33.33' in output and 'note' not in output
    code, _, error = run(truth, bare)
    assert code == 1
    assert (
        "bare.json: video 'a': missing key 'label' (class-agnostic proposals have AR, but no mAP)"
        in error
    )


def test_detections_in_frames_are_a_warning(truth, write):
    results = {'a': [segment(300, 600, score=0.9), segment(1500, 2900, score=0.8)]}
    frames = write('frames.json', {'results': results})
    warning, *_ = read_pair(truth, frames).warnings
    assert warning.startswith(
        'detections: in 1 of 1 annotated videos a segment ends beyond 1.5 times'
    )
    assert 'expected seconds, these seem to be frames. Divide by fps (here probably 30)' in warning


def test_ground_truth_in_frames_is_a_warning(write):
    frames = {
        video: {
            **entry,
            'annotations': [
                segment(*(30 * t for t in a['segment']), a['label']) for a in entry['annotations']
            ],
        }
        for video, entry in TRUTH.items()
    }
    results = {'a': [segment(300, 600, score=1.0)]}
    pair = read_pair(write('t.json', {'database': frames}), write('f.json', {'results': results}))
    assert pair.warnings[0].startswith('ground truth: in 2 of 2 annotated videos')


def test_no_detections_at_all(truth, write):
    empty = write('empty.json', {'results': {}})
    assert precision(truth, empty, subsets=['validation'])['mAP']['average'] == 0
    assert read_pair(truth, empty, subsets=['validation']).warnings == [
        "2 of 2 annotated videos have no detections: 'a', 'b'"
    ]


def result(**changes) -> dict:
    return {'results': {'a': [{**segment(0, 1, score=0.5), **changes}]}}


@pytest.mark.parametrize(
    'database, results, options, message',
    [
        (None, {'results': FOUND}, [], 'No such file or directory: .*truth.json'),
        ({'database': TRUTH}, None, [], 'No such file or directory: .*found.json'),
        ('{"database": {"a": {"dura', {'results': FOUND}, [], r'truth\.json: not complete JSON'),
        ({'database': TRUTH}, '{"results": {"a": [{"segm', [], r'found\.json: not complete JSON'),
        ({'database': TRUTH}, '', [], r'found\.json: not complete JSON'),
        (
            {'database': TRUTH},
            result(score=float('nan')),
            [],
            "video 'a': .*score nan: expected finite numbers",
        ),
        (
            {'database': TRUTH},
            result(segment=[5, 2]),
            [],
            r"video 'a': segment .* ends before it starts",
        ),
        ({'database': TRUTH}, result(label=3), [], "video 'a': label 3 is not a string"),
        (
            {'database': TRUTH},
            {'results': FOUND},
            ['--subset', 'test'],
            r"truth\.json: expected one of the subsets 'validation' \(3 videos\), 'training' "
            r".*, got 'test'",
        ),
        (
            {'database': {'a': {**TRUTH['a'], 'annotations': []}}},
            {'results': FOUND},
            [],
            'none of the 1 videos has an annotated segment',
        ),
        (
            {'database': {'a': {**TRUTH['a'], 'annotations': [segment(9, 2)]}}},
            {'results': FOUND},
            [],
            r"ground truth: segment \[9, 2\] of video 'a' is not finite seconds with start <= end",
        ),
        (
            {'database': TRUTH},
            {'results': {'v_a': FOUND['a']}},
            [],
            "no detected video is in the ground truth: detections are of 'v_a', the ground "
            "truth has 'a', 'b', 'c' "
            'and 1 more. .*--prefix',
        ),
        (
            {'database': TRUTH},
            result(label='Run'),
            [],
            "no detection has a label of the ground truth: detections have 'Run', the ground "
            "truth has 'jump', ",
        ),
        (
            {'results': FOUND},
            {'database': TRUTH},
            [],
            r'truth\.json: expected annotations, but this is a result file .*the annotation '
            r'file comes first',
        ),
        (
            {'database': TRUTH},
            {'database': TRUTH},
            [],
            r'found\.json: expected detections, .* annotation file',
        ),
        (
            {'database': TRUTH},
            {'results': FOUND},
            ['--labels', 'nowhere.txt', '--exclude', 'nowhere.txt'],
            'No such file or directory: .*nowhere.txt',
        ),
    ],
)
def test_bad_input(run, write, tmp_path, database, results, options, message):
    for name, content in (('truth.json', database), ('found.json', results)):
        if content is not None:
            write(name, content)
    code, output, error = run(tmp_path / 'truth.json', tmp_path / 'found.json', *options)
    assert (code, output) == (1, '')
    assert re.search(rf'^error: .*{message}', error), error


@pytest.mark.parametrize(
    'options, message',
    [
        (['--tiou', 'coco'], "tIoU thresholds 'coco': expected one of"),
        (['--tiou', '0.5,2'], r'must be a non-empty list of numbers in \(0, 1\]'),
        (['--metric', 'mAp'], 'metrics must be some of'),
        (['--metric', ''], 'metrics must be some of'),
        (['--recall-at', '1,200'], 'must lie between max_proposals / 100 and max_proposals = 100'),
        (['--recall-at', 'x'], "argument --recall-at: invalid .* value: 'x'"),
        (['--top-k', '0'], 'top_k must be one or more positive whole numbers'),
    ],
)
def test_wrong_usage(run, truth, found, options, message):
    code, output, error = run(truth, found, *options)
    assert (code, output) == (2, '')
    assert error.startswith('usage: ') and re.search(message, error), error


# --- proposals and class scores -------------------------------------------------------------------

SCORES = {
    'a': dict(run=0.7, jump=0.2, swim=0.1),
    'b': dict(run=0.1, jump=0.3, swim=0.6),
    'c': dict(run=0.5, jump=0.5, swim=0.0),
}


@pytest.fixture
def proposals(write):
    entries = {
        video: [dict(segment=one['segment'], score=one['score']) for one in FOUND['a']]
        for video in ('a', 'b')
    }
    return write('proposals.json', {'results': entries})


def test_map_of_proposals_and_scores(run, truth, proposals, write, tmp_path):
    """The figures are those of the products of both, written out by hand."""
    by_hand = {
        video: [
            dict(entry, label=label, score=entry['score'] * score)
            for entry in json.loads(Path(proposals).read_text())['results'][video]
            for label, score in sorted(SCORES[video].items(), key=lambda pair: -pair[1])[:2]
        ]
        for video in ('a', 'b')
    }
    options = ['--subset', 'validation']
    code, _, error = run(
        truth, write('hand.json', {'results': by_hand}), *options, '--json', tmp_path / 'hand'
    )
    assert code == 0, error
    scores = write('scores.json', SCORES)
    code, _, error = run(
        truth, proposals, *options, '--scores', scores, '--json', tmp_path / 'scored'
    )
    assert code == 0, error
    assert json.loads((tmp_path / 'scored').read_text()) == json.loads(
        (tmp_path / 'hand').read_text()
    )
    code, _, error = run(truth, proposals, *options)
    assert code == 1 and 'class-agnostic proposals have AR, but no mAP' in error


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda scores: scores.pop('b'), "no class scores for 1 videos: 'b'"),
        (lambda scores: scores['a'].update(run=3.0), 'expected probabilities in'),
    ],
)
def test_scores_that_do_not_fit(run, truth, proposals, write, change, message):
    scores = json.loads(json.dumps(SCORES))
    change(scores)
    code, _, error = run(truth, proposals, '--scores', write('scores.json', scores))
    assert code == 1 and message in error


def test_scores_for_what_has_labels(run, truth, found, write):
    code, _, error = run(truth, found, '--scores', write('scores.json', SCORES))
    assert code == 1 and 'has detections with labels: leave --scores out' in error


def test_scores_of_ids_without_their_prefix(truth, write):
    cut = write('cut.json', {'results': {'': [dict(segment=[10, 20], score=0.9)]}})
    scores = write('scores.json', {'': dict(run=0.9)})
    pair = read_pair(truth, cut, prefix='a', scores=dict(path=scores))
    assert [entry['label'] for entry in pair.found['a']] == ['run']
