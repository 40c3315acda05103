"""The page of one video: its structure. What its script does was checked by hand, in Chromium."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from sola_plugin.visualization import write_timeline_page
from sola_plugin.visualization.timeline_page import MAX_SHOWN

VOID = {'meta', 'input', 'br', 'img', 'link', 'hr'}
DETECTIONS = [
    dict(segment=[10.0, 20.0], label='run <b>&"', score=0.9),
    dict(segment=[15.0, 25.0], label='run <b>&"', score=0.6),
    dict(segment=[20.0, 60.0], label='jump', score=0.5),
    dict(segment=[1.0, 2.0], label='jump', score=0.1),
]


class Page(HTMLParser):
    """Elements of a page, with their text; refuses tags that are not closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[dict] = []
        self._open: list[dict] = []
        self.feed(path.read_text(encoding='utf-8'))
        assert not self._open

    def handle_starttag(self, tag, attrs):
        element = dict(attrs, tag=tag, text='', parents=[item['tag'] for item in self._open])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open.pop()['tag'] == tag

    def handle_data(self, data):
        for element in self._open:
            element['text'] += data

    def all(self, tag: str, **attributes: str) -> list[dict]:
        return [
            e
            for e in self.elements
            if e['tag'] == tag
            and all(e.get(key.rstrip('_')) == value for key, value in attributes.items())
        ]


@pytest.fixture
def page(tmp_path):
    def write(detections=DETECTIONS, duration=60.0, **options) -> Page:
        write_timeline_page(
            tmp_path / 'v.html', detections, duration, **{'title': 'v_1', **options}
        )
        return Page(tmp_path / 'v.html')

    return write


def percent(mark: dict, name: str) -> float:
    return float(mark['style'].split(f'{name}: ')[1].split('%')[0])


def test_marks_lie_where_the_detections_are(page):
    marks = page().all('button', class_='mark')
    assert len(marks) == 4
    for mark in marks:
        item = DETECTIONS[int(mark['data-number'])]
        start, end = item['segment']
        assert percent(mark, 'left') == pytest.approx(start / 0.6, abs=1e-4)
        assert percent(mark, 'width') == pytest.approx((end - start) / 0.6, abs=1e-4)
        assert mark['aria-label'] == mark['title'] and mark['title'].startswith(
            f'{item["label"]}, 0:'
        )
        assert mark['title'].endswith(f'score {item["score"]:.3f}')
    rows = {mark['data-number']: mark['data-row'] for mark in marks}
    assert rows == {
        '0': '0',
        '1': '1',
        '2': '0',
        '3': '0',
    }  # overlapping ones of a class one below the other


def test_lanes_and_table(page):
    found = page(classes=['swim', 'run <b>&"', 'jump'])
    assert [e['text'] for e in found.all('span', class_='name')] == ['', 'run <b>&"', 'jump']
    rows = [e for e in found.all('tr') if 'data-start' in e]
    times = [(float(e['data-start']), float(e['data-end'])) for e in rows]
    assert times == [(1, 2), (10, 20), (15, 25), (20, 60)]
    cells = [e['text'] for e in found.all('td')]
    assert cells[:4] == ['0:01.0', '0:02.0', '0.100', 'jump']
    assert cells[-4:] == ['0:20.0', '1:00.0', '0.500', 'jump']
    assert [e['text'] for e in found.all('th', scope='col')] == ['start', 'end', 'score', 'label']


def test_low_scores_are_hidden_at_first(page):
    found = page(threshold=0.4)
    hidden = {e['data-number'] for e in found.elements if 'hidden' in e and 'data-number' in e}
    assert hidden == {'3'}
    (slider,) = found.all('input', type='range')
    assert (float(slider['min']), float(slider['value']), float(slider['max'])) == (0.1, 0.4, 0.9)
    assert found.all('label')[0]['text'].startswith('Lowest score')


def test_without_a_video(page):
    found = page()
    assert (
        not found.all('video')
        and not found.all('div', class_='head')
        and not found.all('p', class_='now')
    )
    assert found.all('tbody')[0]['text'].split()[0].startswith('0:01.0')
    assert found.all('button', type='button')[-1]['aria-label'] == 'Show jump at 0:20.0'


@pytest.mark.parametrize('name', ['v.mp4', 'a b #1 100%.webm', 'Ü "q" <x>.mp4', 'a:b.mp4'])
def test_the_video_is_found_from_the_page(tmp_path, name):
    video = tmp_path / 'my videos' / name
    video.parent.mkdir()
    video.write_bytes(b'x')
    write_timeline_page(tmp_path / 'out/deep/v.html', DETECTIONS, 60.0, title='v', video=video)
    found = Page(tmp_path / 'out/deep/v.html')
    (element,) = found.all('video')
    address = element['src']
    assert not {'#', '?', ':', ' ', '"', '<'} & set(address) and 'controls' in element
    assert os.path.samefile(tmp_path / 'out/deep' / unquote(address), video)
    assert found.all('p', class_='problem')[0].get('hidden', '') is None
    assert 'Enter seeks' in found.all('div', class_='timeline')[0]['aria-label']


def test_nothing_comes_from_elsewhere(page, tmp_path):
    found = page(video=tmp_path / 'v.mp4')
    assert {e.get('src') or e.get('href') for e in found.elements} - {None} == {'v.mp4'}
    text = (tmp_path / 'v.html').read_text(encoding='utf-8')
    assert 'http' not in text and 'url(' not in text and '@import' not in text
    assert len(found.all('script')) == 1 and found.all('html')[0]['lang'] == 'en'


def test_text_is_text(page):
    found = page(
        [dict(segment=[0, 1], label='</script><img src=x onerror=alert(1)>', score=1.0)],
        title='<h1>',
        lead='a & b',
    )
    assert not found.all('img')
    assert found.all('h1')[0]['text'] == '<h1>' and found.all('title')[0]['text'] == '<h1>'
    assert found.all('p', class_='lead')[0]['text'] == 'a & b'
    assert found.all('span', class_='name')[1]['text'].startswith('</script>')


def test_no_detections(page):
    found = page([])
    assert not found.all('table') and any(e['text'] == 'No detections.' for e in found.all('p'))


def test_segments_beyond_the_video_and_without_length(page):
    marks = page(
        [
            dict(segment=[-5.0, 70.0], label='a', score=0.5),
            dict(segment=[60.0, 60.0], label='a', score=0.4),
        ]
    )
    first, second = marks.all('button', class_='mark')
    assert (percent(first, 'left'), percent(first, 'width')) == (0, 100)
    assert (percent(second, 'left'), percent(second, 'width')) == (100, 0)


@pytest.mark.slow
def test_many_detections(page):
    starts = np.linspace(0, 3500, MAX_SHOWN + 5)
    found = page(
        [dict(segment=[start, start + 1], label='a', score=1 - start / 9000) for start in starts],
        3600.0,
    )
    assert len(found.all('button', class_='mark')) == MAX_SHOWN
    assert any(
        e['text'] == '5 more, with lower scores, are not on this page.' for e in found.all('p')
    )


@pytest.mark.parametrize(
    ('detections', 'duration', 'message'),
    [
        ([], 0.0, 'duration: expected a positive number'),
        ([], float('nan'), 'duration: expected a positive'),
        ([dict(segment=[3, 1], label='a', score=1.0)], 9.0, 'item 0: expected a segment'),
        ([dict(segment=[1, 3], score=1.0)], 9.0, r"add \['label'\]"),
    ],
)
def test_bad_input(page, detections, duration, message):
    with pytest.raises(ValueError, match=message):
        page(detections, duration)
