"""Annotations as ELAN and Label Studio save and export them, which are read only."""

from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sola_plugin.datasets.annotations.formats import (
    AnnotationError,
    Options,
    Video,
    read_annotations,
)
from sola_plugin.datasets.annotations.model import load_annotations
from tests.conftest import ROOT

MINUTE = Options(durations=lambda video_id: 60.0)


def action(start: float, end: float, label: str = 'run') -> dict:
    return dict(segment=[start, end], label=label)


def save(path: Path, text: str, encoding: str = 'utf-8') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


# --- ELAN: .eaf -----------------------------------------------------------------------------------

EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="me" DATE="2026-01-01T00:00:00+01:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/videos/kitchen.mp4" MIME_TYPE="video/mp4"
        RELATIVE_MEDIA_URL="./kitchen.mp4"/>
    <PROPERTY NAME="lastUsedAnnotationId">4</PROPERTY>
  </HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="840"/>
    <TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2500"/>
    <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="30001"/>
    <TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="45000"/>
  </TIME_ORDER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="actions">
    <ANNOTATION>
      <ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
        <ANNOTATION_VALUE>pour &amp; stir</ANNOTATION_VALUE>
      </ALIGNABLE_ANNOTATION>
    </ANNOTATION>
    <ANNOTATION>
      <ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
        <ANNOTATION_VALUE> cut </ANNOTATION_VALUE>
      </ALIGNABLE_ANNOTATION>
    </ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="empty"/>
</ANNOTATION_DOCUMENT>
"""
SPEECH = """<TIER LINGUISTIC_TYPE_REF="default-lt" PARTICIPANT="A" TIER_ID="speech">
    <ANNOTATION>
      <ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
        <ANNOTATION_VALUE>hello</ANNOTATION_VALUE>
      </ALIGNABLE_ANNOTATION>
    </ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="note" PARENT_REF="actions" TIER_ID="hand">
    <ANNOTATION>
      <REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a1">
        <ANNOTATION_VALUE>left</ANNOTATION_VALUE>
      </REF_ANNOTATION>
    </ANNOTATION>
  </TIER>
"""
SEVERAL = EAF.replace('</ANNOTATION_DOCUMENT>', SPEECH + '</ANNOTATION_DOCUMENT>')
KITCHEN = Video(60.0, None, (action(0.84, 2.5, 'pour & stir'), action(30.001, 45.0, 'cut')))


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le'])
def test_eaf(tmp_path, encoding):
    """Milliseconds become seconds; XML says its encoding, or a mark does."""
    text = EAF if encoding.startswith('utf-8') else EAF.replace('"UTF-8"', '"UTF-16"')
    if encoding == 'utf-16-le':
        text = '\ufeff' + text
    path = save(tmp_path / 'kitchen.eaf', text, encoding)
    file = read_annotations([path], options=MINUTE)
    assert file.videos == {'kitchen': KITCHEN}
    assert file.form == 'elan' and file.notes == ()
    assert load_annotations(path, lambda video_id: 60.0) == file.videos


def test_eaf_tiers_are_chosen(tmp_path):
    path = save(tmp_path / 'kitchen.eaf', SEVERAL)
    with pytest.raises(
        AnnotationError,
        match=r"kitchen.eaf: there are several tiers with annotations, 'actions' \(2\), "
        r"'speech' \(1\), 'hand' \(1\): name those to read, .*--tier NAME",
    ):
        load_annotations(path)
    read = lambda *tiers: read_annotations(  # noqa: E731
        [path], options=Options(durations=MINUTE.durations, tiers=tiers)
    )
    assert read('actions').videos == {'kitchen': KITCHEN}
    assert read('actions').notes == (
        "kitchen.eaf: tier 'speech' (1) is not kept",
        "kitchen.eaf: tier 'hand' (1) is not kept",
    )
    assert read('speech', 'actions').videos['kitchen'].annotations == (
        *KITCHEN.annotations,
        action(2.5, 30.001, 'hello'),
    )
    assert read('hand').videos['kitchen'].annotations == (action(0.84, 2.5, 'left'),), (
        'of its parent'
    )
    with pytest.raises(
        AnnotationError, match="no annotations in a tier 'Actions', but in 'actions'"
    ):
        read('Actions')


def test_eaf_folder_and_names(tmp_path):
    """A video is called as its file; another name of the media and a shift of it are told."""
    save(tmp_path / 'eaf/kitchen.eaf', EAF)
    shifted = EAF.replace('RELATIVE_MEDIA', 'TIME_ORIGIN="1200" RELATIVE_MEDIA')
    save(tmp_path / 'eaf/sub/other.eaf', shifted)
    save(tmp_path / 'eaf/none.eaf', EAF[: EAF.index('<TIER ')] + '</ANNOTATION_DOCUMENT>')
    file = read_annotations([tmp_path / 'eaf'], options=MINUTE)
    assert file.videos == {
        'kitchen': KITCHEN,
        'none': Video(60.0),
        'other': KITCHEN,
    }
    assert file.notes == (
        "none.eaf: the video is called 'none' as the file, which is linked to 'kitchen'",
        "other.eaf: the video is called 'other' as the file, which is linked to 'kitchen'",
        'other.eaf: file:///C:/videos/kitchen.mp4 begins at 1200 ms of the time line '
        '(TIME_ORIGIN): times are those of the time line',
    )
    save(tmp_path / 'eaf/sub/kitchen.eaf', EAF)
    with pytest.raises(AnnotationError, match="expected one file a video, got two of 'kitchen'"):
        read_annotations([tmp_path / 'eaf'], options=MINUTE)
    with pytest.raises(AnnotationError, match='expected .eaf files, got none'):
        (tmp_path / 'x').mkdir()
        read_annotations([tmp_path / 'x'], 'elan')


def test_eaf_has_no_durations(tmp_path):
    path = save(tmp_path / 'kitchen.eaf', EAF)
    with pytest.raises(
        AnnotationError, match="no duration is known for 1 of 1 videos: 'kitchen'. ELAN does not"
    ):
        load_annotations(path)


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('"840"', '"-840"', "annotation 'a1': expected times from 0 on, got ts1 '-840' and ts2"),
        ('"840"', '"nan"', "annotation 'a1': expected numbers for start and end, got ts1 'nan'"),
        ('"840"', '"0.84"', "annotation 'a1': expected numbers for start and end"),
        (' TIME_VALUE="840"', '', "annotation 'a1': expected numbers .* got ts1 without a time"),
        ('"840"', '"2501"', "tier 'actions', annotation 'a1': expected an end behind the start"),
        (' cut ', '  ', "annotation 'a2': expected an annotation with text, got an empty one"),
        (
            'REF2="ts4"',
            'REF2="ts9"',
            "annotation 'a2': expected a time slot of the file, got 'ts9'",
        ),
        ('_ID="ts2"', '_ID="ts1"', "expected time slot 'ts1' once, got it twice"),
        ('_ID="a2"', '_ID="a1"', "expected annotation 'a1' once, got it twice"),
        ('"milliseconds"', '"PAL-frames"', "expected TIME_UNITS 'milliseconds', got 'PAL-frames'"),
        ('</TIER>', '</TIRE>', 'not complete XML .mismatched tag: line 27, .* may be truncated'),
    ],
)
def test_bad_eaf(tmp_path, old, new, message):
    assert old in EAF
    path = save(tmp_path / 'kitchen.eaf', EAF.replace(old, new))
    with pytest.raises(AnnotationError, match=f'kitchen.eaf.*{message}') as caught:
        load_annotations(path, lambda video_id: 60.0)
    assert '\n' not in str(caught.value)


def test_eaf_that_is_cut_or_something_else(tmp_path):
    for length in (200, 700, len(EAF) - 5):
        path = save(tmp_path / 'k.eaf', EAF[:length])
        with pytest.raises(AnnotationError, match='k.eaf: .*(not complete XML|expected JSON)'):
            load_annotations(path, lambda video_id: 60.0)
        with pytest.raises(AnnotationError, match='k.eaf: not complete XML'):
            read_annotations([path], 'elan', MINUTE)
    with pytest.raises(AnnotationError, match='expected ANNOTATION_DOCUMENT of ELAN, got .html'):
        read_annotations([save(path, '<html></html>')], 'elan')
    with pytest.raises(AnnotationError, match='the file is empty'):
        read_annotations([save(path, '')], 'elan')


@pytest.mark.parametrize(
    'doctype',
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://localhost/x.dtd">',
        '<!DOCTYPE x>',
    ],
)
def test_eaf_declares_nothing(tmp_path, doctype):
    text = EAF.replace('?>\n', f'?>\n{doctype}\n', 1).replace(' cut ', '&a;')
    path = save(tmp_path / 'k.eaf', text)
    with pytest.raises(AnnotationError, match='k.eaf: expected XML without DOCTYPE and entities'):
        load_annotations(path, lambda video_id: 60.0)


def test_eaf_nested_deep(tmp_path):
    text = EAF.replace('<TIER ', '<a>' * 200_000 + '</a>' * 200_000 + '<TIER ', 1)
    path = save(tmp_path / 'kitchen.eaf', text)
    assert read_annotations([path], 'elan', MINUTE).videos == {'kitchen': KITCHEN}


def test_references_in_a_circle_or_shared(tmp_path):
    ring = SEVERAL.replace('ANNOTATION_REF="a1"', 'ANNOTATION_REF="a4"')
    hand = Options(durations=MINUTE.durations, tiers=['hand'])
    with pytest.raises(
        AnnotationError, match="annotation 'a4': expected the annotation that it ref"
    ):
        read_annotations([save(tmp_path / 'k.eaf', ring)], options=hand)
    chain = ''.join(
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="b{i}" ANNOTATION_REF="b{i - 1}">'
        f'<ANNOTATION_VALUE>x</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>'
        for i in range(1, 101)
    ).replace('"b0"', '"a1"')
    long = SEVERAL.replace(
        'TIER_ID="hand">', f'TIER_ID="chain">{chain}</TIER><TIER TIER_ID="hand">'
    )
    chosen = Options(durations=MINUTE.durations, tiers=['chain'])
    [video] = read_annotations([save(tmp_path / 'k.eaf', long)], options=chosen).videos.values()
    assert len(video.annotations) == 100 and video.annotations[-1] == action(0.84, 2.5, 'x')
    second = '<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a5" ANNOTATION_REF="a1"/></ANNOTATION>'
    two = SEVERAL.replace('TIER_ID="hand">', f'TIER_ID="hand">{second}')
    with pytest.raises(AnnotationError, match="expected one annotation for 'a1', got several"):
        read_annotations([save(tmp_path / 'k.eaf', two)], options=hand)


# --- ELAN: text -----------------------------------------------------------------------------------

PLAIN = (
    'actions\tA\t00:00:00.840\t00:00:02.500\t00:00:01.660\tpour "it"\n'
    'actions\tA\t00:00:30.001\t00:00:45.000\t00:00:14.999\tcut\n'
)
EXPECTED = (action(0.84, 2.5, 'pour "it"'), action(30.001, 45.0, 'cut'))
HEADER = (
    'Begin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\tEnd Time - ss.msec\t'
    'Duration - hh:mm:ss.ms\tDuration - ss.msec\tactions\n'
    '00:00:00.840\t0.84\t00:00:02.500\t2.5\t00:00:01.660\t1.66\tpour "it"\n'
    '00:00:30.001\t30.001\t00:00:45.000\t45.0\t00:00:14.999\t14.999\tcut\n'
)


@pytest.mark.parametrize(
    'text',
    [
        PLAIN,
        'actions\t\t840\t2500\t1660\tpour "it"\nactions\t\t30001\t45000\t14999\tcut\n',
        'actions\t\t0.84\t2.5\tpour "it"\nactions\t\t30.001\t45.0\tcut\n',
        'actions\t840\t2500\tpour "it"\nactions\t30001\t45000\tcut\n',
        'actions\tA\t00:00:00.840\t0.84\t840\t00:00:02.500\t2.5\t2500\tpour "it"\n'
        'actions\tA\t00:00:30.001\t30.001\t30001\t00:00:45.000\t45.0\t45000\tcut\n',
        'actions\tA\t00:00:00.840\t840\t00:00:02.500\t2500\t00:00:01.660\t1660\tpour "it"\n'
        'actions\tA\t00:00:30.001\t30001\t00:00:45.000\t45000\t00:00:14.999\t14999\tcut\n',
        HEADER,
        'Tier\tParticipant\tBegin Time - msec\tEnd Time - msec\tAnnotation\n'
        'actions\tA\t840\t2500\tpour "it"\nactions\tA\t30001\t45000\tcut\n',
    ],
    ids=['clock', 'ms', 's', 'no participant', 'three forms', 'two forms', 'columns', 'named'],
)
def test_elan_text(tmp_path, text):
    path = save(tmp_path / 'kitchen.txt', text)
    file = read_annotations([path], 'elan', MINUTE)
    assert file.videos == {'kitchen': Video(60.0, None, EXPECTED)} and file.form == 'elan'


def test_elan_text_is_told_by_its_contents(tmp_path):
    for text in (PLAIN, HEADER):
        for encoding in ('utf-8', 'utf-8-sig', 'utf-16'):
            path = save(tmp_path / 'kitchen.txt', text, encoding)
            assert load_annotations(path, lambda video_id: 60.0)['kitchen'].annotations == EXPECTED


def test_elan_text_numbers_as_labels_and_files(tmp_path):
    text = (
        '1\t\t00:00:01.000\t00:00:03.000\t00:00:02.000\t7\n'
        '1\t\t00:00:04.000\t00:00:05.000\t00:00:01.000\t8\n'
    )
    [video] = read_annotations([save(tmp_path / 'v.txt', text)], options=MINUTE).videos.values()
    assert video.annotations == (action(1.0, 3.0, '7'), action(4.0, 5.0, '8'))
    first, second = text.splitlines()
    several = f'{first}\tC:\\elan\\a.eaf\n{second}\t/home/b.eaf\n'
    file = read_annotations([save(tmp_path / 'v.txt', several)], options=MINUTE)
    assert {name: video.annotations for name, video in file.videos.items()} == {
        'a': (action(1.0, 3.0, '7'),),
        'b': (action(4.0, 5.0, '8'),),
    }


def test_elan_text_tiers(tmp_path):
    columns = HEADER.replace('actions\n', 'actions\tspeech\n').replace('it"\n', 'it"\thello\n')
    path = save(tmp_path / 'kitchen.txt', columns)
    with pytest.raises(AnnotationError, match=r"'actions' \(2\), 'speech' \(1\): name those"):
        read_annotations([path], options=MINUTE)
    options = Options(durations=MINUTE.durations, tiers=['actions'])
    assert read_annotations([path], options=options).videos['kitchen'].annotations == EXPECTED


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (PLAIN.replace('00:00:01.660', '00:00:09.660'), 'line 1: expected the columns tier, part'),
        (
            PLAIN + PLAIN + PLAIN.replace('00:00:02.500', '00:00:99.500'),
            "line 5: expected numbers for start and end, got '00:00:00.840' and '00:00:99.500'",
        ),
        ('a\t\tx\ty\tcut\n', 'line 1: expected the columns tier, participant, begin, end'),
        ('a\t\t5.5\t2.5\tcut\n', "line 1: expected an end behind the start, got '5.5' and '2.5'"),
        ('a\t\t-5.5\t2.5\tcut\n', 'line 1: expected times from 0 on, got'),
        ('a\t\t1.5\t2.5\t\n', 'line 1: expected an annotation with text, got an empty one'),
        (HEADER.replace('End Time', 'Ende'), 'expected a column End Time - Hh:Mm:Ss.Ms or'),
        (
            HEADER.replace('\tactions', ''),
            'expected one column of annotations beside tier and times',
        ),
        (HEADER.replace('\t2.5\t', '\tnan\t').replace('00:00:02.500', 'x'), "line 2: .*got '0"),
    ],
)
def test_bad_elan_text(tmp_path, text, message):
    path = save(tmp_path / 'kitchen.txt', text)
    with pytest.raises(AnnotationError, match=f'kitchen.txt.*{message}'):
        file = read_annotations([path], 'elan', MINUTE)
        raise AnnotationError(*file.faults)


# --- Label Studio ---------------------------------------------------------------------------------


def region(value: dict, kind: str = 'labels', **others: Any) -> dict:
    return dict(id='r', from_name='tricks', to_name='audio', type=kind, value=value, **others)


def frames(start: Any, end: Any, *labels: str) -> dict:
    value = dict(ranges=[dict(start=start, end=end)], timelinelabels=list(labels))
    return region(value, 'timelinelabels', origin='manual')


def seconds(start: Any, end: Any, *labels: str, **others: Any) -> dict:
    value = dict(start=start, end=end, channel=0, labels=list(labels))
    return region(value, original_length=98.719925, **others)


def task(number: int, file: str, *annotations: dict, **others: Any) -> dict:
    return dict(id=number, data=dict(video=file), annotations=list(annotations), **others)


def by(person: Any, *results: dict, **others: Any) -> dict:
    return dict(
        dict(
            id=1, completed_by=person, result=list(results), was_cancelled=False, ground_truth=False
        ),
        **others,
    )


def export(tmp_path: Path, *tasks: Any) -> Path:
    return save(tmp_path / 'project-1.json', json.dumps(tasks))


def test_label_studio_seconds(tmp_path):
    """Regions of audio: seconds, the length of the file, several labels; as ``ann_file``."""
    results = [seconds(1.5, 20, 'Kickflip', 'Trick'), seconds(30.25, 31, 'Trick')]
    path = export(tmp_path, task(1, 's3://bucket/some/a%20b.mp4?X-Sig=1', by(3, *results)))
    file = read_annotations([path])
    expected = (action(1.5, 20, 'Kickflip'), action(1.5, 20, 'Trick'), action(30.25, 31, 'Trick'))
    assert file.videos == {'a b': Video(98.719925, None, expected)}
    assert file.form == 'label_studio' and file.notes == ()
    assert load_annotations(path) == read_annotations([path], 'label_studio').videos


def test_label_studio_frames(tmp_path):
    """Frames count from 1 and both belong to the range: frame by frame, the same times."""
    path = export(tmp_path, task(1, '/data/v.mp4', by(3, frames(1, 30, 'a'), frames(61, 61, 'b'))))
    options = Options(durations=MINUTE.durations, fps=lambda video_id: 30.0)
    [video] = read_annotations([path], options=options).videos.values()
    assert video.annotations == (action(0.0, 1.0, 'a'), action(2.0, 61 / 30, 'b'))
    with pytest.raises(
        AnnotationError,
        match=r"frame rate is not known for 1 of 1 videos: 'v'. .*--fps F .*24 where",
    ):
        load_annotations(path, lambda video_id: 60.0)
    from_0 = export(tmp_path, task(1, '/data/v.mp4', by(3, frames(0, 30, 'a'))))
    [video] = read_annotations([from_0], options=options).videos.values()
    assert video.annotations == (action(0.0, 1.0, 'a'),), 'imported predictions may count from 0'


@pytest.mark.parametrize(
    ('file', 'others', 'name'),
    [
        ('/data/upload/1/3d3ad63e-run_1.mp4', {}, 'run_1'),
        ('/data/upload/1/3d3ad63e-run_1.mp4', dict(file_upload='3d3ad63e-run_1.mp4'), 'run_1'),
        ('https://host/3d3ad63e-run_1.mp4', {}, '3d3ad63e-run_1'),
        (
            'https://host/3d3ad63e-run_1.mp4',
            dict(file_upload='5f0c0e1d-tasks.json'),
            '3d3ad63e-run_1',
        ),
        ('/data/local-files/?d=mine/day/run_1.MP4', {}, 'run_1'),
        ('C:\\videos\\run.1.wav', {}, 'run.1'),
    ],
)
def test_label_studio_names(tmp_path, file, others, name):
    path = export(tmp_path, task(1, file, by(3, seconds(1, 2, 'a')), **others))
    read = read_annotations([path])
    assert list(read.videos) == [name]
    cut = ('1 videos are called without the eight characters before uploaded files',)
    assert read.notes == (cut if name == 'run_1' and 'upload' in file else ())


def test_label_studio_who_counts(tmp_path):
    """Cancelled annotations do not; unlabelled tasks are left out, empty ones are videos; of
    several annotators one is chosen, or ground truth is."""
    one, two = seconds(1, 2, 'a'), seconds(3, 4, 'b')
    path = export(
        tmp_path,
        task(1, 'kept.mp4', by(3, one), by(4, two, was_cancelled=True)),
        task(2, 'cancelled.mp4', by(4, two, was_cancelled=True)),
        task(3, 'new.mp4', predictions=[dict(result=[one])]),
        task(4, 'nothing.mp4', by(3, seconds(1, 2, 'x'), result=[])),
        task(5, 'true.mp4', by(3, one), by({'id': 4, 'email': 'me@x.org'}, two, ground_truth=True)),
    )
    options = MINUTE
    file = read_annotations([path], options=options)
    assert {name: video.annotations for name, video in file.videos.items()} == {
        'kept': (action(1, 2, 'a'),),
        'nothing': (),
        'true': (action(3, 4, 'b'),),
    }
    assert file.notes == (
        '2 annotations were cancelled and do not count',
        '2 tasks are not annotated, and left out',
        '1 tasks have predictions, which are not read',
        '1 tasks have several annotations: the one that is ground truth counts',
    )
    tasks = json.loads(path.read_text())
    tasks[4]['annotations'][1]['ground_truth'] = False
    path = export(tmp_path, *tasks)
    with pytest.raises(
        AnnotationError,
        match=r'task 5: expected one annotation, got 2, by 3, me@x.org: choose .*--ann',
    ):
        load_annotations(path, options.durations)
    for who, label in (('3', 'a'), ('4', 'b'), ('me@x.org', 'b')):
        chosen = Options(durations=options.durations, annotator=who)
        videos = read_annotations([path], options=chosen).videos
        assert [one['label'] for one in videos['true'].annotations] == [label]
    with pytest.raises(
        AnnotationError, match="no task is annotated by '9'; there are anno.* by 3, 4"
    ):
        read_annotations([path], options=Options(annotator='9'))
    with pytest.raises(
        AnnotationError, match='no task is annotated; there are annotations by nobody'
    ):
        load_annotations(export(tmp_path, task(1, 'v.mp4'), task(2, 'w.mp4')))


def test_label_studio_lengths_to_the_last_digit(tmp_path):
    """Browsers measure the same audio in their own way; another length is a fault."""
    first, second = seconds(1, 2, 'a'), seconds(3, 4, 'a')
    for other, fits in ((98.72, True), (98.0, True), (60.0, False)):
        second['original_length'] = other
        file = read_annotations([export(tmp_path, task(1, 'v.mp4', by(3, first, second)))])
        if fits:
            assert file.videos['v'].duration == 98.719925
        else:
            assert "expected one duration for 'v', got 60.0 here and 98.719925" in file.faults[0]


def test_label_studio_other_results(tmp_path):
    """Boxes, choices and spans of text are told, not read."""
    box = region(dict(framesCount=9, duration=1, sequence=[], labels=['hand']), 'videorectangle')
    choice = region(dict(choices=['good']), 'choices')
    span = region(dict(start=3, end=9, text='abc', labels=['name']))
    path = export(tmp_path, task(1, 'v.mp4', by(3, box, choice, span, seconds(1, 2, 'a'))))
    file = read_annotations([path])
    assert file.videos['v'].annotations == (action(1, 2, 'a'),)
    assert file.notes == tuple(
        f'1 results of type {kind!r} are no labelled times, and not kept'
        for kind in ('videorectangle', 'choices', 'labels')
    )


BAD = task(7, 'v.mp4', by(3, seconds(1, 2, 'a')))


def with_result(result: Any) -> dict:
    changed = copy.deepcopy(BAD)
    changed['annotations'][0]['result'] = [result]
    return changed


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        (
            with_result(seconds(2, 1, 'a')),
            'task 7, result 0: expected an end behind the start, got 2',
        ),
        (
            with_result(seconds(-2, 1, 'a')),
            'task 7, result 0: expected times from 0 on, got -2 and 1',
        ),
        (with_result(seconds(float('nan'), 1, 'a')), 'expected numbers for start and end, got nan'),
        (with_result(seconds('1', 2, 'a')), "expected numbers for start and end, got '1' and 2"),
        (with_result(seconds(1, None, 'a')), 'expected numbers for start and end, got 1 and None'),
        (with_result(seconds(1, 2)), "result 0: expected a label under 'labels', got none"),
        (with_result(frames(9, 3, 'a')), 'expected frames from 1 on, the end not before the start'),
        (with_result(frames(-9, 3, 'a')), 'expected frames from 1 on'),
        (with_result(frames(1.5, '3', 'a')), 'expected numbers of frames, got'),
        (with_result(frames(1, 3)), "expected a label under 'timelinelabels', got none"),
        (with_result(region({'timelinelabels': ['a']})), "result 0: key 'ranges' is missing"),
        (with_result(4), 'task 7, result 0: expected an object, got int'),
        (with_result({}), "task 7, result 0: key 'value' is missing"),
        (dict(BAD, data={}), "task 7: expected one file of video or audio under 'data', got none"),
        (dict(BAD, data=dict(a='a.mp4', b='b.wav')), "under 'data', got 'a', 'b'"),
        (dict(BAD, data=3), "task 7: expected one file of video or audio under 'data', got none"),
        (dict(BAD, annotations=None), "task 7: expected a list under 'annotations', got NoneType"),
        ({'data': dict(video='v.mp4')}, "task #1: key 'annotations' is missing"),
        (4, 'task #1: expected an object, got int'),
        (task(8, 'x/good.wav', by(3)), "task 1 and task 8 are both of the video 'good'"),
    ],
)
def test_bad_label_studio(tmp_path, bad, message):
    path = export(tmp_path, task(1, 'good.mp4', by(3, seconds(1, 2, 'a'))), bad)
    options = Options(durations=MINUTE.durations, fps=lambda video_id: 30.0)
    with pytest.raises(AnnotationError, match=message):
        file = read_annotations([path], options=options)
        assert list(file.videos) == ['good']
        raise AnnotationError(*file.faults)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[]', 'expected a list of tasks with "data" and "annotations"'),
        (
            '[{"video": "v.mp4", "annotation_id": 1, "annotator": 3}]',
            'the export called JSON .not JSON-MIN',
        ),
        ('{"a": 1}', 'expected a list of tasks'),
        ('[{"data": {"video": "v.mp4"}, "annotations": [', 'not complete JSON'),
    ],
)
def test_other_exports(tmp_path, text, message):
    with pytest.raises(AnnotationError, match=f'a.json: .*{message}'):
        read_annotations([save(tmp_path / 'a.json', text)], 'label_studio')


def test_command(run_script, tmp_path):
    run = partial(run_script, ROOT / 'tools/convert_annotations.py')
    save(tmp_path / 'eaf/kitchen.eaf', SEVERAL)
    durations = save(tmp_path / 'd.csv', 'video,duration\nkitchen,60\nv,60\n')
    process = run(
        tmp_path / 'eaf',
        tmp_path / 'a.json',
        '--to',
        'activitynet',
        '--durations',
        durations,
        '--tier',
        'actions',
    )
    assert process.returncode == 0, process.stderr
    assert '1 videos, 2 segments, 2 labels, from elan to activitynet' in process.stdout
    assert load_annotations(tmp_path / 'a.json') == {'kitchen': KITCHEN}
    tasks = (
        task(1, '/v.mp4', by(3, frames(1, 48, 'a'))),
        task(2, '/w.mp4', by(4, frames(1, 2, 'b'))),
    )
    process = run(
        export(tmp_path, *tasks),
        tmp_path / 'b.json',
        '--to',
        'activitynet',
        '--durations',
        durations,
        '--fps',
        24,
        '--annotator',
        3,
    )
    assert process.returncode == 0, process.stderr
    assert load_annotations(tmp_path / 'b.json')['v'].annotations == (action(0.0, 2.0, 'a'),)
    assert 'note: 1 tasks are not annotated by 3, and left out' in process.stdout
