"""Random detection files: evaluated, or refused with one line; what is exported is escaped."""

from __future__ import annotations

import csv
import html.parser
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import strategies as st

from sola_plugin.commands.detections.inputs import read_pair
from sola_plugin.commands.detections.result_files import load_results
from sola_plugin.commands.localization.export import write_csv, write_srt
from sola_plugin.csv_cells import from_cell
from sola_plugin.evaluation.detection_files import read_detections, write_detections
from sola_plugin.messages import printable
from sola_plugin.visualization.timeline_page import write_timeline_page
from tests.fuzzing import (
    EXAMPLES,
    as_json,
    changed_bytes,
    changed_json,
    search,
    texts,
    values,
)

pytestmark = pytest.mark.parametrize('examples', EXAMPLES)

TRUTH = {
    'database': {
        f'v_{index}': {
            'duration': 20.0,
            'subset': 'validation',
            'annotations': [
                {'segment': [1.0, 4.0], 'label': 'run', 'label_id': 0},
                {'segment': [6.0, 9.0], 'label': 'jump', 'label_id': 1},
            ],
        }
        for index in range(2)
    }
}
FOUND = {
    'version': 'x',
    'external_data': {},
    'results': {
        f'v_{index}': [
            {'segment': [1.0, 3.5], 'label': 'run', 'score': 0.9},
            {'segment': [5.0, 9.5], 'label': 'jump', 'score': 0.5},
        ]
        for index in range(2)
    },
}
COLUMNS = {
    'video-id': np.array(['v_0', 'v_1']),
    't-start': np.array([1.0, 5.0]),
    't-end': np.array([3.5, 9.5]),
    'label': np.array([0, 1]),
    'score': np.array([0.9, 0.5]),
}


def check_results(path) -> None:
    try:
        found = load_results(path)
    except ValueError as error:
        assert str(path) in str(error) and '\n' not in str(error)[:200]
        return
    for entries in found.values():
        for entry in entries:
            start, end = entry['segment']
            assert start <= end and all(map(math.isfinite, (start, end, entry['score'])))
            assert isinstance(entry['label'], str)


def test_trees(tmp_path, examples):
    path = tmp_path / 'found.json'

    def check(content):
        path.write_bytes(as_json(content))
        check_results(path)

    search(changed_json(FOUND), check, 4 * examples)


@pytest.mark.parametrize('kind', ['json', 'pickle'])
def test_bytes(tmp_path, kind, examples):
    path = tmp_path / 'found'
    data = as_json(FOUND) if kind == 'json' else pickle.dumps(COLUMNS, 4)

    def check(changed):
        path.write_bytes(changed)
        check_results(path)

    search(changed_bytes(data), check, 4 * examples)


def test_columns(tmp_path, examples):
    """ActionFormer's pickle with other columns."""
    path = tmp_path / 'found.pkl'
    column = st.one_of(
        values,
        st.lists(values, max_size=3),
        st.lists(values, max_size=3).map(lambda items: np.array([*items, None], object)[:-1]),
        st.sampled_from(list(COLUMNS.values())),
    )

    def check(changed):
        path.write_bytes(pickle.dumps({**COLUMNS, **changed}, 4))
        check_results(path)

    search(st.dictionaries(st.sampled_from(list(COLUMNS)), column, max_size=2), check, 4 * examples)


def test_written_and_read(tmp_path, examples):
    times = st.floats(-10, 1e6)
    detection = st.tuples(times, times, st.floats(allow_nan=False, allow_infinity=False), texts)
    results = st.dictionaries(
        texts,
        st.lists(
            detection.map(lambda d: dict(segment=sorted((d[0], d[1])), score=d[2], label=d[3])),
            max_size=3,
        ),
        max_size=3,
    )
    path = tmp_path / 'found.json'

    def check(found):
        write_detections(path, found)
        assert read_detections(path) == found
        json.loads(path.read_bytes())

    search(results, check, 4 * examples)


@pytest.mark.parametrize('changed', ['truth', 'found'])
def test_pairs(tmp_path, changed, examples):
    """Both files together, as every tool reads them."""
    paths = dict(truth=tmp_path / 'truth.json', found=tmp_path / 'found.json')
    paths['truth'].write_bytes(as_json(TRUTH))
    paths['found'].write_bytes(as_json(FOUND))

    def check(content):
        paths[changed].write_bytes(as_json(content))
        try:
            read_pair(paths['truth'], paths['found'])
        except ValueError as error:
            assert len(str(error)) > 10

    search(changed_json(TRUTH if changed == 'truth' else FOUND), check, 2 * examples)


def test_the_pickle_with_changed_annotations(tmp_path, examples):
    """Numbers of labels get their names from the annotations."""
    (tmp_path / 'found.pkl').write_bytes(pickle.dumps(COLUMNS, 4))
    path = tmp_path / 'truth.json'

    def check(content):
        path.write_bytes(as_json(content))
        try:
            read_pair(path, tmp_path / 'found.pkl')
        except ValueError as error:
            assert len(str(error)) > 10

    search(changed_json(TRUTH), check, 4 * examples)


@pytest.mark.parametrize('tool', ['evaluate', 'diagnose'])
def test_tools(tmp_path, tool, examples, run_script):
    """One line, or figures from 0 to 1."""
    truth, found, out = (tmp_path / name for name in ('truth.json', 'found.json', 'out.json'))
    truth.write_bytes(as_json(TRUTH))

    def check(content):
        found.write_bytes(as_json(content))
        out.unlink(missing_ok=True)
        result = run_script(f'tools/{tool}.py', truth, found, '--json', out)
        assert all(line == printable(line) for line in result.stderr.splitlines())
        if result.returncode:
            assert result.returncode == 1 and result.stderr.splitlines()[-1].startswith('error: ')
            assert not out.exists()
            return
        json.loads(out.read_bytes())
        assert {path.name for path in tmp_path.iterdir()} == {truth.name, found.name, out.name}

    search(changed_json(FOUND), check, max(examples // 4, 3))


class _Page(html.parser.HTMLParser):
    """The tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not any(name.startswith('on') for name, _ in attrs)


def test_a_page_has_the_tags_of_any_other(tmp_path, examples):
    """Labels and names of videos are text in it, whatever they are."""
    path = tmp_path / 'page.html'

    def tags(names) -> list[str]:
        name, label = names
        found = [dict(segment=[1.0, 3.5], label=label, score=0.9)]
        write_timeline_page(path, found, 20.0, title=name, video=tmp_path / f'{len(name)}.mp4')
        return _Page(path.read_text(encoding='utf-8')).tags

    def check(names):
        assert tags(names) == plain

    plain = tags(('v', 'run'))
    search(st.tuples(texts, texts), check, examples)


def test_exported_texts(tmp_path, examples):
    """CSV and SRT: the labels come back, and nothing else is in them."""
    table, cues = tmp_path / 'a.csv', tmp_path / 'a.srt'

    def check(labels):
        found = [
            dict(segment=[2.0 * number, 2.0 * number + 1], label=label, score=0.5)
            for number, label in enumerate(labels)
        ]
        write_csv(table, {'v': found})
        write_srt(cues, found)
        with open(table, newline='', encoding='utf-8') as file:
            rows = list(csv.reader(file))[1:]
        expected = [label.encode('utf-8', 'backslashreplace').decode() for label in labels]
        assert [from_cell(row[3]) for row in rows] == expected
        lines = cues.read_text(encoding='utf-8').split('\n')
        assert len(lines) == 4 * len(labels) and lines[3::4] == [''] * len(labels)
        assert sum('-->' in line for line in lines) == len(labels)
        assert not any('<' in line for line in lines)

    search(st.lists(texts, min_size=1, max_size=3), check, 2 * examples)
