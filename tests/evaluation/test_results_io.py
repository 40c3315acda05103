"""Detection files."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from sola_plugin.evaluation import read_detections, write_detections

GOOD = {'v_1': [{'segment': [1 / 7, 1 / 3], 'score': 2 / 3, 'label': 'Fußball'}], 'v_2': []}


def test_round_trip_is_exact(tmp_path):
    path = tmp_path / 'new folder' / 'detections.json'
    write_detections(path, GOOD)
    assert read_detections(path) == GOOD
    assert set(json.loads(path.read_text())) == {'version', 'results', 'external_data'}


def test_gzipped(tmp_path):
    write_detections(tmp_path / 'd.json', GOOD)
    (tmp_path / 'd.json.gz').write_bytes(gzip.compress((tmp_path / 'd.json').read_bytes()))
    assert read_detections(tmp_path / 'd.json.gz') == GOOD
    (tmp_path / 'cut.json.gz').write_bytes((tmp_path / 'd.json.gz').read_bytes()[:-12])
    with pytest.raises(ValueError, match=r'cut\.json\.gz: not complete gzip data'):
        read_detections(tmp_path / 'cut.json.gz')


def test_numpy_numbers_are_written(tmp_path):
    entry = {'segment': np.array([0.5, 1.5], dtype=np.float32), 'score': np.float32(0.25)}
    write_detections(tmp_path / 'd.json', {'v': [{**entry, 'label': 'a'}]})
    assert read_detections(tmp_path / 'd.json') == {
        'v': [{'segment': [0.5, 1.5], 'score': 0.25, 'label': 'a'}]
    }


def test_proposals_have_no_label(tmp_path):
    write_detections(tmp_path / 'p.json', {'v': [{'segment': [0, 1], 'score': 1}]})
    assert read_detections(tmp_path / 'p.json', require_labels=False) == {
        'v': [{'segment': [0.0, 1.0], 'score': 1.0}]
    }
    with pytest.raises(ValueError, match="p.json: video 'v': missing key 'label' .class-agnostic"):
        read_detections(tmp_path / 'p.json')


BAD_ENTRIES = [
    ({'segment': [0, 1], 'label': 'a'}, "missing key 'score'"),
    ({'score': 1.0, 'label': 'a'}, "missing key 'segment'"),
    ({'segment': [2, 1], 'score': 1.0, 'label': 'a'}, 'ends before it starts'),
    ({'segment': [0, float('inf')], 'score': 1.0, 'label': 'a'}, 'expected finite numbers'),
    ({'segment': [0, 1], 'score': float('nan'), 'label': 'a'}, 'expected finite numbers'),
    ({'segment': [0, 1, 2], 'score': 1.0, 'label': 'a'}, 'not a pair'),
    ({'segment': [0, 'end'], 'score': 1.0, 'label': 'a'}, 'could not convert'),
    ({'segment': None, 'score': 1.0, 'label': 'a'}, 'NoneType'),
    ({'segment': [0, 1], 'score': 1.0, 'label': 3}, 'label 3 is not a string'),
]


@pytest.mark.parametrize('entry, message', BAD_ENTRIES)
def test_bad_entry_names_file_and_video(tmp_path, entry, message):
    path = tmp_path / 'bad.json'
    path.write_text(json.dumps({'results': {**GOOD, 'v_3': [entry]}}))
    with pytest.raises(ValueError, match=rf"bad\.json: video 'v_3': .*{message}"):
        read_detections(path)


@pytest.mark.parametrize('entry, message', BAD_ENTRIES)
def test_bad_entry_is_not_written(tmp_path, entry, message):
    write_detections(tmp_path / 'd.json', GOOD)
    with pytest.raises(ValueError, match=r"d\.json: video 'v_3': "):
        write_detections(
            tmp_path / 'd.json',
            {'v_3': [{k: v for k, v in entry.items() if k != 'label' or v != 'a'}]},
        )
    assert read_detections(tmp_path / 'd.json') == GOOD
    assert [p.name for p in tmp_path.iterdir()] == ['d.json']


@pytest.mark.parametrize(
    'text, message',
    [
        ('{"results": {"v": [{"segm', 'not complete JSON'),
        ('', 'not complete JSON'),
        ('[]', "no 'results' dict"),
        ('{"version": 1}', "no 'results' dict"),
        ('{"database": {}}', 'expected detections, .* but this is an annotation file'),
        ('{"results": {"v": {"segment": [0, 1]}}}', "video 'v': expected a list, got a dict"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / 'other.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=rf'other\.json: .*{message}'):
        read_detections(path)


def test_missing_file():
    with pytest.raises(FileNotFoundError, match='nowhere.json'):
        read_detections(Path('nowhere.json'))
