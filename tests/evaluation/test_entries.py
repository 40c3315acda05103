"""Detections as columns: the same as lists of dicts, in a fraction of the memory."""

from __future__ import annotations

import json
import pickle
import tracemalloc

import numpy as np
import pytest

from sola_plugin.commands.detections.inputs import read_pair
from sola_plugin.commands.detections.result_files import load_results, read_results
from sola_plugin.evaluation import TALEvaluator, average_precision, read_detections
from sola_plugin.evaluation.detection_files import Detections
from sola_plugin.evaluation.metrics.columns import Entries

ENTRIES = [
    {'segment': [0.1, 2.0], 'score': 0.25, 'label': 'run'},
    {'segment': [1.0, 1.0], 'score': -3.0, 'label': 'jump'},
    {'segment': [0.5, 9.75], 'score': 1e-300, 'label': 'run'},
]


def packed(entries=ENTRIES) -> Entries:
    return Detections().of_videos('x', [('v', entries)], require_labels=False)['v']


def write(path, results):
    path.write_text(json.dumps({'results': results}))
    return path


def test_reads_like_the_list():
    entries = packed()
    assert entries == ENTRIES and list(entries) == ENTRIES and len(entries) == 3
    assert entries[-1] == ENTRIES[-1] and entries[1:] == ENTRIES[1:] and entries[:0] == []
    assert entries != ENTRIES[:2] and entries.column('label') == ['run', 'jump', 'run']
    assert json.dumps(list(entries)) == json.dumps(ENTRIES)  # plain values
    with pytest.raises(IndexError):
        entries[3]
    with pytest.raises(KeyError):
        entries.column('id')


def test_labels_may_lack():
    entries = packed([{'segment': [0, 1], 'score': 1}, ENTRIES[0]])
    assert list(entries) == [{'segment': [0.0, 1.0], 'score': 1.0}, ENTRIES[0]]
    assert entries.labels() == ['run']
    with pytest.raises(KeyError):
        entries.column('label')


def test_the_figures_are_those_of_the_lists(tmp_path):
    draw = np.random.default_rng(0)
    results = {
        f'v{video}': [
            dict(segment=sorted(draw.random(2) * 9), score=draw.random(), label='ab'[i % 2])
            for i in range(20)
        ]
        for video in range(9)
    }
    truth = {video: entries[::7] for video, entries in results.items()}
    found = read_results(write(tmp_path / 'a.json', results))
    assert all(isinstance(entries, Entries) for entries in found.values()) and found == results
    evaluate = TALEvaluator(per_class=True)
    assert evaluate(truth, found) == evaluate(truth, results)
    mixed = {**results, 'v0': found['v0']}
    for name in ('mAP', 'per_class'):
        figures = [getattr(average_precision(truth, each), name) for each in (mixed, results)]
        np.testing.assert_array_equal(*figures)


def test_objects_that_look_like_detections_are_read_as_before(tmp_path):
    """Keys in any order, more keys, and detections where none are expected."""
    nested = dict(ENTRIES[0], extra=ENTRIES[1], more={'segment': 3})
    reordered = dict(reversed(ENTRIES[1].items()))
    path = tmp_path / 'a.json'
    content = {'results': {'v': [nested, reordered], 'segment': [], 'score': [ENTRIES[2]]}}
    path.write_text(json.dumps({**content, 'external_data': ENTRIES[0]}))
    assert read_detections(path) == {'v': ENTRIES[:2], 'segment': [], 'score': [ENTRIES[2]]}
    for wrong, kind in ((ENTRIES[0], 'dict'), ('v', 'str'), (3, "'int'")):
        with pytest.raises(ValueError, match=f"video 'v': .*{kind}"):
            read_detections(write(path, {'v': wrong}))
    with pytest.raises(ValueError, match="expected an ActivityNet result file.* no 'results' dict"):
        read_detections(write(path, ENTRIES[0]))


@pytest.mark.parametrize('key', ['t-start', 'score'])
def test_a_number_that_no_float_can_hold(tmp_path, key):
    columns = {'video-id': ['v'], 't-start': [0], 't-end': [1], 'label': ['a'], 'score': [1]}
    columns[key] = [10**400]
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(columns))
    with pytest.raises(ValueError, match="a.pkl: video 'v': .*too large to convert to float"):
        load_results(tmp_path / 'a.pkl')


def test_memory(tmp_path):
    """A detection takes the text of the file and about 100 bytes; as dicts it took 900."""
    number, videos = 20_000, 20
    entry = '{"segment": [%.15f, 99.123456789012345], "score": 0.1234567890123456, "label": "c%d"}'
    lines = [entry % (i % 90, i % 7) for i in range(number)]
    of_video = (', '.join(lines[i::videos]) for i in range(videos))
    text = ', '.join(f'"v{i}": [{entries}]' for i, entries in enumerate(of_video))
    (tmp_path / 'found.json').write_text(f'{{"results": {{{text}}}}}')
    truth = {f'v{i}': [{'segment': [3, 99], 'label': 'c1'}] for i in range(videos)}
    database = {v: dict(duration=100, annotations=a) for v, a in truth.items()}
    (tmp_path / 'truth.json').write_text(json.dumps({'database': database}))
    tracemalloc.start()
    try:
        pair = read_pair(tmp_path / 'truth.json', tmp_path / 'found.json')
        _, read = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        average_precision(pair.truth, pair.found)
        _, evaluated = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pair.coverage.num_detections == number
    assert read < 2 * len(text) + 130 * number  # the bytes and the text, before it is parsed
    assert evaluated < 250 * number
