"""Result files of other projects."""

from __future__ import annotations

import gzip
import json
import os
import pickle

import numpy as np
import pytest

from sola_plugin.commands.detections.result_files import label_ids, load_results, read_names

EXPECTED = {
    'v_a': [
        {'segment': [0.5, 2.0], 'score': 0.75, 'label': 'run'},
        {'segment': [3.0, 4.0], 'score': 0.5, 'label': 'jump'},
    ],
    'v_b': [{'segment': [1.0, 1.0], 'score': 0.25, 'label': 'run'}],
}
#: As ActionFormer's ``valid_one_epoch`` writes it with ``--saveonly``.
COLUMNS = {
    'video-id': ['v_a', 'v_a', 'v_b'],
    't-start': np.array([0.5, 3, 1], np.float32),
    't-end': np.array([2, 4, 1], np.float32),
    'label': np.array([7, 0, 7]),
    'score': np.array([0.75, 0.5, 0.25], np.float32),
}


def annotation(label: str, **changes) -> dict:
    return {'segment': [0, 1], 'label': label, **changes}


@pytest.fixture
def write(tmp_path):
    """Write a pickle or JSON file, gzipped where its name says so."""

    def _write(name: str, content) -> str:
        data = json.dumps(content).encode() if '.json' in name else pickle.dumps(content)
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith('.gz') else data)
        return str(path)

    return _write


@pytest.fixture
def annotations(write) -> str:
    return write(
        'annotations.json',
        {
            'database': {
                'v_a': {
                    'annotations': [annotation('run', label_id=7), annotation('jump', label_id=0)]
                },
                'v_b': {'annotations': [annotation('run', label_id=7)]},
            }
        },
    )


@pytest.mark.parametrize('name', ['result_detection.json', 'result_detection.json.gz'])
def test_opentad(write, name):
    assert load_results(write(name, {'results': EXPECTED})) == EXPECTED


@pytest.mark.parametrize('name', ['eval_results.pkl', 'eval_results.pkl.gz', 'any name'])
def test_actionformer(write, annotations, name):
    assert load_results(write(name, COLUMNS), annotations=annotations) == EXPECTED


def test_label_file(write, annotations, tmp_path):
    labels = tmp_path / 'labels.txt'
    labels.write_text('jump\n' + 'other\n' * 6 + ' run \n')
    path = write('r.pkl', COLUMNS)
    assert load_results(path, labels=labels) == EXPECTED
    assert load_results(path, annotations=annotations, labels=labels) == EXPECTED
    labels.write_text('jump\n')
    assert [entry['label'] for entry in load_results(path, labels=labels)['v_a']] == [
        'label_id 7',
        'jump',
    ]


def test_names_in_the_pickle(write):
    path = write('r.pkl', {**COLUMNS, 'label': ['run', 'jump', 'run']})
    assert load_results(path) == EXPECTED


def test_numbers_without_names(write):
    path = write('r.pkl', COLUMNS)
    bare = write('bare.json', {'database': {'v': {'annotations': [annotation('run')]}}})
    for annotations in (None, bare):
        with pytest.raises(
            ValueError,
            match=r"r\.pkl: labels are numbers \(0, 7\) and .* no 'label_id'.*"
            'give --labels FILE, one name a line',
        ):
            load_results(path, annotations=annotations)
    assert load_results(path, require_labels=False, annotations=bare)['v_b'] == [
        {'segment': [1.0, 1.0], 'score': 0.25}
    ]


class Call:
    """Pickles as a call."""

    def __reduce__(self):
        return os.mkdir, ('made',)


def test_a_pickle_cannot_run_code(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = r'r\.pkl: cannot read the pickle: refused to unpickle (posix|nt)\.mkdir'
    with pytest.raises(ValueError, match=message):
        load_results(write('r.pkl', {**COLUMNS, 'label': Call()}))
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            {'score': [0.5, np.nan, 0.5]},
            r"video 'v_a': segment \[3.0, 4.0\], score nan: expected finite",
        ),
        ({'t-end': [2.0, 2.0, 1.0]}, r"video 'v_a': segment \[3.0, 2.0\] ends before it starts"),
        (
            {'t-start': [0.0, 1.0, np.inf]},
            r"video 'v_b': segment \[inf, 1.0\], score 0.25: expected finite",
        ),
        ({'score': [0.5]}, r"expected columns of one length, got .*'score': \(1,\)"),
        ({'label': [7.0, 0.0, 7.0]}, 'expected label numbers or names, got float64'),
        ({'score': [[0.5], [0.5, 0.5], []]}, 'setting an array element'),
        ({'t-end': ['a', 'b', 'c']}, "video 'v_a': could not convert string to float: 'a'"),
    ],
)
def test_bad_columns(write, annotations, changes, message):
    with pytest.raises(ValueError, match=rf'r\.pkl: {message}'):
        load_results(write('r.pkl', {**COLUMNS, **changes}), annotations=annotations)


@pytest.mark.parametrize(
    'content, got',
    [
        ([1, 2], 'list'),
        ({'segments': 1}, r"\['segments'\]"),
    ],
)
def test_other_pickles(write, content, got):
    with pytest.raises(
        ValueError, match=rf"r\.pkl: expected ActionFormer's result file, .* got {got}"
    ):
        load_results(write('r.pkl', content))


def test_damaged_pickle(write, tmp_path):
    path = write('r.pkl', COLUMNS)
    (tmp_path / 'cut.pkl').write_bytes((tmp_path / 'r.pkl').read_bytes()[:100])
    with pytest.raises(ValueError, match=r'cut\.pkl: cannot read the pickle'):
        load_results(tmp_path / 'cut.pkl')
    assert load_results(path, require_labels=False)


@pytest.mark.parametrize('numbers', [[[1, 2], [1, 2]], [1, 2], ['1', '1']])
def test_bad_label_ids(write, numbers):
    path = write(
        'a.json',
        {
            'database': {
                'v': {'annotations': [annotation('run', label_id=number) for number in numbers]}
            }
        },
    )
    if numbers == [1, 2]:
        assert label_ids(path) == {1: 'run', 2: 'run'}
    else:
        with pytest.raises(
            ValueError, match=r"a\.json: video 'v': label_id .* of 'run' is not one whole"
        ):
            label_ids(path)


def test_two_labels_with_one_number(write):
    path = write(
        'a.json',
        {
            'database': {
                'v': {
                    'annotations': [annotation('run', label_id=1), annotation('jump', label_id=1)]
                }
            }
        },
    )
    with pytest.raises(
        ValueError, match="label_id 1 of 'jump' is not one whole number for each label"
    ):
        label_ids(path)


def test_read_names(tmp_path):
    (tmp_path / 'lines').write_text('a b\n\nFußball \n', encoding='utf-8')
    (tmp_path / 'list').write_text('\n["x", "y"]')
    assert read_names(tmp_path / 'lines') == ['a b', 'Fußball']
    assert read_names(tmp_path / 'list') == ['x', 'y']
    (tmp_path / 'binary').write_bytes(b'\x80\x04\x95')
    with pytest.raises(ValueError, match='binary: expected a text file, one name a line'):
        read_names(tmp_path / 'binary')


def test_label_numbers_in_json(tmp_path):
    entries = [dict(segment=[0, 1], score=0.5, label=number) for number in (1, 0, 7)]
    (tmp_path / 'found.json').write_text(json.dumps({'results': {'v': entries}}))
    (tmp_path / 'names.txt').write_text('jump\nrun\n')
    found = load_results(tmp_path / 'found.json', labels=tmp_path / 'names.txt')['v']
    assert [entry['label'] for entry in found] == ['run', 'jump', 'label_id 7']
    with pytest.raises(ValueError, match='label 1 is not a string: name the numbers with --labels'):
        load_results(tmp_path / 'found.json')
    entries[0]['label'] = True
    (tmp_path / 'found.json').write_text(json.dumps({'results': {'v': entries}}))
    with pytest.raises(ValueError, match='label True is not a string$'):
        load_results(tmp_path / 'found.json', labels=tmp_path / 'names.txt')
