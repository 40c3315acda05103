"""Tables and JSON as spreadsheets and editors save them: UTF-16, marks, empty columns."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path

import pytest

from sola_plugin.datasets.annotations.formats import AnnotationError, Video
from sola_plugin.datasets.annotations.formats.csv_tables import read_durations, read_table
from sola_plugin.datasets.annotations.model import load_annotations
from sola_plugin.io import read_json, read_text

#: Names that other programs have for them, and the bytes.
MARKED = {
    'UTF-8': lambda text: text.encode(),
    'UTF-8 with a mark': lambda text: text.encode('utf-8-sig'),
    'UTF-16 LE with a mark': lambda text: codecs.BOM_UTF16_LE + text.encode('utf-16-le'),
    'UTF-16 BE with a mark': lambda text: codecs.BOM_UTF16_BE + text.encode('utf-16-be'),
    'UTF-16 LE': lambda text: text.encode('utf-16-le'),
    'UTF-16 BE': lambda text: text.encode('utf-16-be'),
    'gzipped UTF-16': lambda text: gzip.compress(text.encode('utf-16')),
}
VIDEO = Video(9.5, None, (dict(segment=[1.5, 2.0], label='späť 跳'),))


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize('encode', MARKED.values(), ids=list(MARKED))
def test_every_encoding_reads_the_same(tmp_path, encode):
    """A table with tabs is what Excel saves as Unicode text."""
    table = 'video\tstart\tend\tlabel\tduration\r\nvidéo\t1.5\t2\tspäť 跳\t9.5\r\n'
    assert load_annotations(save(tmp_path / 'a.txt', encode(table))) == {'vidéo': VIDEO}
    entry = dict(duration=9.5, annotations=[dict(segment=[1.5, 2.0], label='späť 跳')])
    content = json.dumps(dict(database={'vidéo': entry}), ensure_ascii=False)
    path = save(tmp_path / 'a.json', encode(content))
    assert load_annotations(path) == {'vidéo': VIDEO} and len(read_json(path)) == 1
    thumos = save(tmp_path / 'Diving_val.txt', encode('vidéo  1.5 2\n'))
    assert load_annotations(thumos, lambda video_id: 9.5)['vidéo'].annotations[0]['segment'] == [
        1.5,
        2,
    ]


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (
            'vidéo'.encode('latin-1'),
            'expected UTF-8, got byte 0xe9 in line 2, as in Windows-1252 or',
        ),
        ('跳'.encode('gbk'), 'expected UTF-8, got byte 0xcc in line 2'),
    ],
)
def test_other_encodings_are_named(tmp_path, data, message):
    path = save(tmp_path / 'a.csv', b'video,start,end,label,duration\n' + data + b',1,2,run,9\n')
    with pytest.raises(AnnotationError, match=f'a.csv: {message}.*: save the file as UTF-8'):
        load_annotations(path)


def test_utf16_that_is_cut(tmp_path):
    data = 'video,start,end,label\n'.encode('utf-16')
    path = save(tmp_path / 'a.csv', data[:-1])
    with pytest.raises(ValueError, match='a.csv: expected UTF-16, got byte 0x0a in line 1: save'):
        read_text(path)
    assert read_text(path, len(data) - 3) == 'video,start,end,labe', 'a beginning may end anywhere'


@pytest.mark.parametrize(
    'text',
    [
        'video,start,end,label,duration,,\nv,1,2,run,9,,\nv,3,4,run,9,,\n',
        'video,start,end,label,duration\nv,1,2,run,9,,\nv,3,4,run,9\n',
        'video,start,end,label,duration,,\nv,1,2,run,9\nv,3,4,run,9,\n',
        'video;start;end;label;duration;;\nv;1;2;run;9; ;\nv;3;4;run;9;;;;\n;;;;;;\n',
        'video,,start,end,label,duration,\nv,,1,2,run,9,\nv,,3,4,run,9,\n',
        'video\tstart\tend\tlabel\tduration\t\t\t\nv\t1\t2\trun\t9\t\t\t\nv\t3\t4\trun\t9\t\t\t\n',
    ],
    ids=['everywhere', 'rows', 'header', 'blanks', 'between', 'tabs'],
)
def test_empty_columns_of_a_spreadsheet(tmp_path, text):
    actions = tuple(dict(segment=one, label='run') for one in ([1.0, 2.0], [3.0, 4.0]))
    path = save(tmp_path / 'a.csv', text.encode())
    assert load_annotations(path) == {'v': Video(9.0, None, actions)}
    assert read_table(path).columns == ('video', 'start', 'end', 'label', 'duration')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('video,start,end,label,duration,\nv,1,2,run\n', 'line 2: expected 5 cells .*, got 4'),
        ('video,start,end,label,duration\nv,1,2,run,9,,note\n', 'line 2: expected 5 .* got 7'),
        (
            'video,start,end,label,duration,,\nv,1,2,run,9,a,b\n',
            'one column of each name, got sever',
        ),
        ('video,start,end,label,duration,,\n', 'expected rows below the header video, start, end'),
        (',,,\n,,,\n', 'expected JSON, a CSV with the header|the file is empty'),
    ],
)
def test_columns_that_are_not_empty(tmp_path, text, message):
    with pytest.raises(AnnotationError, match=f'a.csv: .*{message}|{message}'):
        load_annotations(save(tmp_path / 'a.csv', text.encode()))


def test_one_column_without_a_name_is_kept_apart(tmp_path):
    """Such as the row numbers of pandas: they are no video and no time."""
    text = ',video,start,end,label,duration\n0,v,1,2,run,9\n1,v,3,4,run,9\n'
    assert len(load_annotations(save(tmp_path / 'a.csv', text.encode()))['v'].annotations) == 2


def test_durations(tmp_path):
    data = 'video;duration;;\r\nv;9;;\r\nw;8\r\n'.encode('utf-16')
    assert read_durations(save(tmp_path / 'd.csv', data)) == {
        'v': {'duration': 9},
        'w': {'duration': 8},
    }
