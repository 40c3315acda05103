"""Choosing detections, CSV and subtitles."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from sola_plugin.commands.localization.export import (
    select_detections,
    viewing_threshold,
    write_csv,
    write_srt,
)
from sola_plugin.csv_cells import from_cell
from sola_plugin.datasets.annotations.formats import Options, read_annotations, write_annotations
from sola_plugin.datasets.annotations.model import Video


def detection(start: float, end: float, score: float, **label: str) -> dict:
    return dict(segment=[start, end], score=score, **label)


def read_srt(path: Path) -> list[tuple[float, float, str]]:
    """SubRip as players read it: counter, times, text, blank line."""
    content = path.read_bytes().decode('utf-8')
    cues = []
    for number, block in enumerate(re.split(r'\n\n', content.rstrip('\n')) if content else [], 1):
        counter, times, *text = block.split('\n')
        assert counter == str(number) and len(text) == 1 and text[0]
        time = r'(\d\d+):([0-5]\d):([0-5]\d),(\d{3})'
        found = re.fullmatch(f'{time} --> {time}', times)
        assert found, times
        parts = [int(part) for part in found.groups()]
        start, end = (3600 * h + 60 * m + s + ms / 1000 for h, m, s, ms in (parts[:4], parts[4:]))
        cues.append((start, end, text[0]))
    return cues


def test_subtitles(tmp_path):
    write_srt(
        tmp_path / 'v.srt',
        [
            detection(1.0004, 2.5, 0.9, label='jump'),
            detection(2.4, 4.0, 0.8, label='run'),
            detection(2.5, 4.25, 0.7, label='run'),
            detection(4.25, 5.0, 0.2, label='jump'),
            detection(3723.0036, 3724.0, 0.6),
        ],
        threshold=0.5,
    )
    assert (tmp_path / 'v.srt').read_text() == (
        '1\n00:00:01,000 --> 00:00:02,500\njump (0.90)\n\n'
        '2\n00:00:02,500 --> 00:00:04,250\nrun (0.70)\n\n'
        '3\n01:02:03,004 --> 01:02:04,000\naction (0.60)\n'
    )


@pytest.mark.parametrize('seed', range(5))
def test_subtitles_name_the_best_and_never_overlap(tmp_path, seed):
    rng = np.random.default_rng(seed)
    found = [
        detection(*np.sort(rng.random(2) * 400_000), score, label=f'{score:.2f}')
        for score in rng.random(40)
    ]
    write_srt(tmp_path / 'v.srt', found, threshold=0.1)
    cues = read_srt(tmp_path / 'v.srt')
    assert (
        cues
        and all(a[1] <= b[0] for a, b in zip(cues, cues[1:]))
        and all(a[0] < a[1] for a in cues)
    )
    taken = [(start, end, float(text.split()[0])) for start, end, text in cues]
    # Every other detection is too low, or overlaps with a better one.
    for item in found:
        start, end = item['segment']
        assert item['score'] < 0.1 or any(
            other[0] < end and start < other[1] and other[2] >= round(item['score'], 2)
            for other in taken
        )


def test_subtitles_of_nothing_of_no_length_and_of_odd_labels(tmp_path):
    write_srt(tmp_path / 'v.srt', [])
    assert (tmp_path / 'v.srt').read_text() == '' and read_srt(tmp_path / 'v.srt') == []
    write_srt(
        tmp_path / 'v.srt',
        [
            detection(1, 1.0001, 0.9, label='blink'),
            detection(100 * 3600, 100 * 3600 + 1, 0.5, label='a\n\n2\n--> Ü,"b"'),
        ],
    )
    assert read_srt(tmp_path / 'v.srt') == [(360_000.0, 360_001.0, 'a 2 → Ü,"b" (0.50)')]


@pytest.mark.parametrize(
    'label, text',
    [
        ('<font color="red">run</font>', '‹font color="red"›run‹/font›'),
        (r'{\\an8}run', r'(\\an8)run'),
        ('a\x1b[1m\ud800', r'a\x1b[1m\ud800'),
        ('1 < 2 --> 3', '1 ‹ 2 → 3'),
        ('run\u20282\r\n', 'run 2'),
    ],
    ids=['tags', 'braces', 'controls', 'arrow', 'lines'],
)
def test_subtitles_hold_no_markup(tmp_path, label, text):
    write_srt(tmp_path / 'v.srt', [detection(1, 2, 0.5, label=label)])
    assert read_srt(tmp_path / 'v.srt') == [(1.0, 2.0, f'{text} (0.50)')]


FORMULAS = ['=1+1', '+a', '@SUM(A1)', "-2+3|'x'!A0", '\ta', "'=b", "''@", '\r=1']
HARMLESS = ['run', '-aB3_x-1', "it's", "'", '', 'a=b', 'Ü -']


@pytest.mark.parametrize('text', FORMULAS + HARMLESS, ids=ascii)
def test_cells_are_no_formulas_and_read_back(tmp_path, text):
    write_csv(tmp_path / 'v.csv', {text: [detection(-1.5, 2.0, 0.5, label=text)]})
    with open(tmp_path / 'v.csv', newline='', encoding='utf-8') as file:
        (row,) = csv.DictReader(file)
    assert row['label'] == (f"'{text}" if text in FORMULAS else text)
    assert from_cell(row['video']) == from_cell(row['label']) == text and row['start'] == '-1.5'


@pytest.mark.parametrize('form', ['csv', 'epic'])
def test_annotations_with_formulas_read_back(tmp_path, form):
    actions = tuple(
        dict(segment=[1.0, 2.0], label=text) for text in FORMULAS if text.strip() == text
    )
    if form == 'epic':
        actions = tuple({**action, 'label': f'verb {i}'} for i, action in enumerate(actions))
    videos = {'=v': Video(9.0, 'train', actions, None, 30.0)}
    out = tmp_path / ('a.csv' if form == 'csv' else 'out')
    write_annotations(out, videos, form, Options(labels='verb'))
    written = [out] if form == 'csv' else sorted(out.glob('EPIC_100_train.csv'))
    assert b"'=v" in written[0].read_bytes() and b',=' not in written[0].read_bytes()
    read = read_annotations(written, options=Options(labels='verb')).videos
    assert [action['label'] for action in read['=v'].annotations] == [
        action['label'] for action in actions
    ]


def test_csv_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    results = {
        'v_1': [
            detection(*np.sort(rng.random(2)).tolist(), float(rng.random()), label=label)
            for label in ('run', 'a, "b"\nc', 'Ü')
        ],
        'v,2': [detection(0.0, 1.0, 0.5)],
        'empty': [],
    }
    write_csv(tmp_path / 'v.csv', results)
    with open(tmp_path / 'v.csv', newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    read: dict = {}
    for row in rows:
        label = dict(label=row['label']) if row['label'] else {}
        read.setdefault(row['video'], []).append(
            detection(float(row['start']), float(row['end']), float(row['score']), **label)
        )
    assert read == {video: found for video, found in results.items() if found}


def test_select():
    found = [
        detection(0, 1, score, label=label)
        for score, label in ((0.9, 'run'), (0.5, 'jump'), (0.4, 'run'), (0.1, 'jump'))
    ]
    assert select_detections(found) == found
    assert select_detections(found, threshold=0.4) == found[:3]
    assert select_detections(found, top_k=1, classes=['jump']) == [found[1]]
    assert select_detections([detection(0, 1, 0.9)], classes=['run']) == []


def test_viewing_threshold():
    assert viewing_threshold([detection(0, 1, 0.2), detection(0, 1, 0.8)]) == pytest.approx(0.2)
    assert viewing_threshold([]) == 0
