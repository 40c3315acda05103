"""Annotations as public data sets publish them, which are read only: Charades, the Perception Test,
and labels of frames."""

from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path

import pytest

from sola_plugin.datasets.annotations.conversion import Changes, convert_annotations
from sola_plugin.datasets.annotations.formats import (
    FORMATS,
    WRITABLE,
    AnnotationError,
    Options,
    Video,
    read_annotations,
    write_annotations,
)
from sola_plugin.datasets.annotations.model import load_annotations
from tests.conftest import ROOT


def action(start: float, end: float, label: str = 'run') -> dict:
    return dict(segment=[start, end], label=label)


def save(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
    return path


def test_read_only_formats_are_not_written(tmp_path):
    others = [name for name in FORMATS if name not in WRITABLE]
    assert others == ['charades', 'perception_test', 'frame_labels', 'elan', 'label_studio']
    for form in others:
        with pytest.raises(AnnotationError, match=f'{form} can be read, not written: expected one'):
            write_annotations(tmp_path / 'out', {'v': Video(1.0)}, form)
    assert list(tmp_path.iterdir()) == []


# --- Charades -------------------------------------------------------------------------------------

CHARADES = (
    'id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n'
    '46GP8,HR43,Kitchen,6,7,Yes,"A person cooks, and eats.",food;stove,"Cooks; ""eats"".",'
    'c092 11.90 21.20;c147 0.00 12.60,24.83\n'
    'N11GT,0KZ7,Bedroom,5,7,Yes,Nothing.,,Nothing.,,30.00\n'
)
CLASSES = 'c092 Opening a window\nc147 Someone is smiling\n'


def charades(tmp_path: Path, text: str = CHARADES, name: str = 'Charades_v1_train.csv') -> Path:
    return save(tmp_path / name, text)


def test_charades(tmp_path):
    """Names of classes stand beside the file; one without actions is a video; as ``ann_file``."""
    save(tmp_path / 'Charades_v1_classes.txt', CLASSES)
    file = read_annotations([charades(tmp_path)])
    assert file.videos == {
        '46GP8': Video(
            24.83,
            'train',
            (action(11.9, 21.2, 'Opening a window'), action(0, 12.6, 'Someone is smiling')),
        ),
        'N11GT': Video(30.0, 'train'),
    }
    assert (
        file.form == 'charades'
        and len(file.notes) == 1
        and 'columns subject, scene,' in file.notes[0]
    )
    assert load_annotations(tmp_path / 'Charades_v1_train.csv') == file.videos


def test_charades_without_names_or_with_others(tmp_path):
    path = charades(tmp_path)
    file = read_annotations([path])
    labels = [one['label'] for one in file.videos['46GP8'].annotations]
    assert labels == ['c092', 'c147']
    assert 'labels are the codes of classes: Charades_v1_classes.txt' in file.notes[1]
    mine = save(tmp_path / 'mine.txt', 'c092 a\nc147 b\n')
    videos = read_annotations([path], options=Options(labels=str(mine))).videos
    assert [one['label'] for one in videos['46GP8'].annotations] == ['a', 'b']
    both = [
        path,
        charades(
            tmp_path, CHARADES.replace('46GP8', 'A').replace('N11GT', 'B'), 'Charades_v1_test.csv'
        ),
    ]
    assert [v.subset for v in read_annotations(both).videos.values()] == ['train'] * 2 + [
        'test'
    ] * 2


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('11.90 21.20', '11.90', "line 2: expected 'CLASS START END' .*, got 'c092 11.90'"),
        ('11.90 21.20', '11.90 nan', 'line 2: expected numbers for start and end, got'),
        ('11.90 21.20', '-1.90 21.20', "line 2: expected times from 0 on, got 'c092 -1.90 21.20'"),
        ('11.90 21.20', '21.20 11.90', 'line 2: expected an end behind the start, got'),
        ('c092', 'c999', "line 2: 'c999' is not among the 2 named classes"),
        (',24.83', ',0', "line 2: expected a positive number under 'length', got '0'"),
        (',24.83', ',', "expected the duration of '46GP8' under 'length', got nothing: fill"),
        ('N11GT', '46GP8', "line 3: expected one row a video, got '46GP8' as in line 2"),
        ('N11GT', '', "line 3: expected a video under 'id', got nothing"),
    ],
)
def test_bad_charades(tmp_path, old, new, message):
    save(tmp_path / 'Charades_v1_classes.txt', CLASSES)
    path = charades(tmp_path, CHARADES.replace(old, new))
    with pytest.raises(AnnotationError, match=f'Charades_v1_train.csv: .*{message}|{message}'):
        load_annotations(path)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'the file is empty'),
        ('c092\n', "line 1: expected a code and the name of its class, got 'c092'"),
        (CLASSES + 'c092 Other\n', "line 3: expected each code and name once, got 'c092 Other'"),
        (CLASSES + 'c093 Opening a window\n', 'line 3: expected each code and name once'),
    ],
)
def test_bad_class_names(tmp_path, text, message):
    save(tmp_path / 'Charades_v1_classes.txt', text)
    with pytest.raises(AnnotationError, match=f'Charades_v1_classes.txt: {message}'):
        load_annotations(charades(tmp_path))


def test_charades_with_missing_columns(tmp_path):
    path = charades(tmp_path, CHARADES.replace(',actions,', ',action,'))
    with pytest.raises(AnnotationError, match="'actions' is missing: rename 'action'"):
        read_annotations([path], 'charades')


# --- the Perception Test --------------------------------------------------------------------------

#: 30 fps, 300 frames.
PERCEPTION = {
    'video_1': {
        'metadata': {
            'split': 'train',
            'video_id': 'video_1',
            'frame_rate': 30.0,
            'num_frames': 300,
            'resolution': [1080, 1920],
        },
        'action_localisation': [
            {
                'id': 0,
                'parent_objects': [1],
                'timestamps': [1_500_000, 3_033_333],
                'frame_ids': [45, 91],
                'label': 'Putting something into something',
                'label_id': 31,
            }
        ],
        'sound_localisation': [{'timestamps': [0, 9], 'label': 'Other'}],
    },
    'video_2': {
        'metadata': {
            'split': 'valid',
            'video_id': 'video_2',
            'frame_rate': 29.97,
            'num_frames': 30,
        },
        'action_localisation': [],
    },
}


def perception(tmp_path: Path, content: object) -> Path:
    return save(tmp_path / 'pt.json', json.dumps(content))


def test_perception_test(tmp_path):
    """Microseconds become seconds, and agree with the frames."""
    path = perception(tmp_path, PERCEPTION)
    file = read_annotations([path])
    label = 'Putting something into something'
    assert file.videos == {
        'video_1': Video(10.0, 'train', (action(1.5, 3.033333, label),), None, 30.0, 300),
        'video_2': Video(30 / 29.97, 'valid', (), None, 29.97, 30),
    }
    [segment] = [one['segment'] for one in file.videos['video_1'].annotations]
    assert [round(time * 30) for time in segment] == [45, 91]
    assert file.form == 'perception_test'
    assert file.notes == ("'sound_localisation' of 1 videos is not kept",)
    assert load_annotations(path) == read_annotations([path], 'perception_test').videos


def test_perception_test_without_public_labels(tmp_path):
    """The test split has metadata only."""
    content = {'video_9': {'metadata': dict(PERCEPTION['video_1']['metadata'], split='test')}}
    content['video_9']['metadata']['video_id'] = 'video_9'
    file = read_annotations([perception(tmp_path, content)])
    assert file.videos['video_9'] == Video(10.0, 'test', (), None, 30.0, 300)
    assert file.notes == ("1 videos have no 'action_localisation': they are read without actions",)


def changed(**first: object) -> dict:
    """With other keys of the first action of the first video."""
    content = copy.deepcopy(PERCEPTION)
    content['video_1']['action_localisation'][0].update(first)
    return content


def with_metadata(**values: object) -> dict:
    content = copy.deepcopy(PERCEPTION)
    content['video_1']['metadata'].update(values)
    return content


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            changed(timestamps=[1_500_000]),
            r'localisation 0: expected \[start, end\] in microseconds',
        ),
        (changed(timestamps=[1, float('nan')]), r'expected \[start, end\] in microseconds .* nan'),
        (changed(timestamps=['1', '2']), r'expected \[start, end\] in microseconds'),
        (changed(timestamps=[-5, 9]), 'localisation 0: expected times from 0 on, got'),
        (changed(timestamps=[3_033_333, 1_500_000]), 'expected an end behind the start, got'),
        (
            changed(timestamps=[1_500, 3_033]),
            "'timestamps' are no microseconds: the end 3033 would be 0.003033 s, that of "
            "'frame_ids' is 3.03333 s",
        ),
        (changed(label=3), "expected text under 'label', got 3"),
        (with_metadata(frame_rate=0), "metadata: expected a positive number under 'frame_rate'"),
        (with_metadata(num_frames='300'), "expected a positive number under 'num_frames'"),
        (with_metadata(video_id='video_7'), "expected its id under 'video_id', got 'video_7'"),
        ({**PERCEPTION, 'video_3': {}}, "video 'video_3': key 'metadata' is missing"),
        ({**PERCEPTION, 'video_3': 4}, "video 'video_3': expected an object, got int"),
        (
            {
                'v': {
                    'metadata': with_metadata(video_id='v')['video_1']['metadata'],
                    'mc_question': [],
                }
            },
            "no video has 'action_localisation', there are 'mc_question': take the file",
        ),
    ],
)
def test_bad_perception_test(tmp_path, content, message):
    with pytest.raises(AnnotationError, match=f'pt.json: .*{message}'):
        load_annotations(perception(tmp_path, content))


def test_perception_test_that_is_cut_or_has_a_video_twice(tmp_path):
    text = json.dumps(PERCEPTION)
    path = save(tmp_path / 'pt.json', text[:-40])
    with pytest.raises(AnnotationError, match='pt.json: not complete JSON'):
        load_annotations(path)
    save(path, text.replace('"video_2"', '"video_1"'))
    assert read_annotations([path]).repeated_keys == ('video_1',)
    with pytest.raises(AnnotationError, match='pt.json: expected .*"metadata"'):
        read_annotations([save(path, '{"a": 3}')], 'perception_test')


# --- labels of frames -----------------------------------------------------------------------------

TEN = Options(fps=lambda video_id: 10.0)
DENSE = 'SIL\nSIL\ntake_cup\ntake_cup\ntake_cup\npour_milk\nSIL\nSIL\ntake_cup\n'
COARSE = '1-30 SIL  \n31-150 take_bowl  \n151-428 pour_cereals  \n429-575 SIL\n'


def expected_segments(text: str, fps: float, background: set[str]) -> list[dict]:
    """Frame by frame: every frame has its label and the time from its number to the next."""
    segments: list[dict] = []
    before = None
    for number, label in enumerate(text.split()):
        if label not in background:
            if label == before:
                segments[-1]['segment'][1] = (number + 1) / fps
            else:
                segments.append(action(number / fps, (number + 1) / fps, label))
        before = label
    return segments


def test_frame_labels(tmp_path):
    """A segment ends where the frame behind its last one begins."""
    folder = tmp_path / '50salads'
    save(folder / 'groundTruth/rgb-01-1.txt', DENSE)
    save(folder / 'groundTruth/rgb-01-2.txt', 'SIL\r\nSIL\r\nSIL\r\ncut\r\n')
    save(folder / 'mapping.txt', '0 SIL\n1 take_cup\n2 pour_milk\n3 cut\n')
    save(folder / 'splits/train.split1.bundle', 'rgb-01-1.txt\n')
    file = read_annotations([folder], options=TEN)
    expected = (
        action(0.2, 0.5, 'take_cup'),
        action(0.5, 0.6, 'pour_milk'),
        action(0.8, 0.9, 'take_cup'),
    )
    assert file.videos == {
        'rgb-01-1': Video(0.9, None, expected, None, 10.0, 9),
        'rgb-01-2': Video(0.4, None, (action(0.3, 0.4, 'cut'),), None, 10.0, 4),
    }
    assert list(expected) == expected_segments(DENSE, 10, {'SIL'})
    assert file.form == 'frame_labels'
    assert file.notes == (
        "3 stretches labelled 'SIL' are no action (--background names such labels)",
    )


def test_frame_labels_background_is_chosen(tmp_path):
    path = save(tmp_path / 'v.txt', DENSE)
    read = partial(read_annotations, [path], 'frame_labels')
    for background in ((), ('take_cup',), ('SIL', 'take_cup')):
        options = Options(fps=TEN.fps, background=background)
        found = list(read(options).videos['v'].annotations)
        assert found == expected_segments(DENSE, 10, set(background))
    with pytest.raises(AnnotationError, match="there is no label 'sil', which is to be background"):
        read(Options(fps=TEN.fps, background=['sil']))
    gtea = save(tmp_path / 'g.txt', 'background\nbackground\nopen\n')
    [video] = read_annotations([gtea], 'frame_labels', TEN).videos.values()
    assert video.annotations == (action(0.2, 0.3, 'open'),)


def test_frame_labels_coarse(tmp_path):
    """Numbers count from 1, and both frames belong to the stretch."""
    path = save(tmp_path / 'cereals/P03_cam01_P03_cereals.txt', COARSE)
    options = Options(fps=lambda video_id: 15.0)
    expected = (action(2.0, 10.0, 'take_bowl'), action(10.0, 428 / 15, 'pour_cereals'))
    for source in (path, tmp_path):
        file = read_annotations([source], options=options)
        assert file.videos == {
            'P03_cam01_P03_cereals': Video(575 / 15, None, expected, None, 15.0, 575)
        }
    dense = '\n'.join(
        label
        for label, n in (('SIL', 30), ('take_bowl', 120), ('pour_cereals', 278), ('SIL', 147))
        for _ in range(n)
    )
    both = read_annotations([save(tmp_path / 'd/v.txt', dense)], options=options).videos['v']
    assert both.annotations == expected and both.num_frames == 575


def test_frame_labels_and_durations(tmp_path):
    """They say whether the frame rate is right; coarse stretches may end early."""
    path = save(tmp_path / 'v.txt', DENSE)
    for duration, fits in ((0.9, True), (0.93, True), (0.6, False), (1.8, False)):
        options = Options(fps=TEN.fps, durations=lambda video_id, d=duration: d)
        file = read_annotations([path], 'frame_labels', options)
        if fits:
            assert file.videos['v'].duration == duration and not file.faults
        else:
            assert 'v.txt: 9 frames at 10 fps are 0.9 s, the duration is' in file.faults[0]
    coarse = save(tmp_path / 'c.txt', COARSE)
    options = Options(fps=lambda video_id: 15.0, durations=lambda video_id: 60.0)
    assert read_annotations([coarse], options=options).videos['c'].duration == 60.0


def test_frame_labels_of_named_classes(tmp_path):
    path = save(tmp_path / 'v.txt', DENSE)
    names = save(tmp_path / 'mapping.txt', '0 SIL\n1 take_cup\n2 pour_milk\n')
    options = Options(fps=TEN.fps, labels=str(names))
    by_name = read_annotations([path], options=options).videos['v']
    numbers = DENSE.replace('SIL', '0').replace('take_cup', '1').replace('pour_milk', '2')
    save(path, numbers)
    assert read_annotations([path], options=options).videos['v'] == by_name
    save(path, numbers.replace('2', '7'))
    [fault] = read_annotations([path], options=options).faults
    assert fault == "v.txt line 6: '7' is not among the 3 named classes"


def test_other_files_in_a_folder_of_frame_labels(tmp_path):
    """They are told, not taken for videos; a file that is named is believed."""
    save(tmp_path / 'groundTruth/v.txt', DENSE)
    readme = save(tmp_path / 'groundTruth/readme.txt', 'Labels of salads\nmade by me\n2026\n')
    file = read_annotations([tmp_path / 'groundTruth'], options=TEN)
    assert list(file.videos) == ['v']
    assert [
        'readme.txt: expected labels of frames, of which' in fault for fault in file.faults
    ] == [True]
    assert len(read_annotations([readme], 'frame_labels', TEN).videos['readme'].annotations) == 3


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'v.txt: the file is empty: expected a label a line'),
        ('SIL\n\nSIL\n', 'v.txt line 2: expected a label, got nothing'),
        ('1-30 SIL\nx-40 cut\n', 'v.txt line 2: expected "START-END label" in frames, got'),
        ('1-30 SIL\n31-nan cut\n', 'v.txt line 2: expected "START-END label" in frames, got'),
        ('1-30 SIL\n41-31 cut\n', 'v.txt line 2: expected frames from 1 on, START not behind END'),
        ('0-30 SIL\n31-41 cut\n', 'v.txt line 1: expected frames from 1 on'),
        (
            '1-30 SIL\n30-41 cut\n',
            'v.txt line 2: expected a start behind frame 30 of the line before',
        ),
        ('-1-30 SIL\n31-41 cut\n', 'v.txt line 1: expected "START-END label" in frames, got'),
    ],
)
def test_bad_frame_labels(tmp_path, text, message):
    path = save(tmp_path / 'v.txt', text)
    good = save(tmp_path / 'w.txt', DENSE)
    file = read_annotations([path, good], 'frame_labels', TEN)
    assert [message in fault for fault in file.faults] == [True] and list(file.videos) == ['w']


def test_frame_labels_need_a_rate_and_one_file_a_video(tmp_path):
    save(tmp_path / 'a/v.txt', DENSE)
    with pytest.raises(AnnotationError, match="frame rate, .* for 1 of 1 videos: 'v'. .*--fps F"):
        load_annotations(tmp_path)
    save(tmp_path / 'b/v.txt', DENSE)
    with pytest.raises(AnnotationError, match='a/v.txt and .*b/v.txt: expected one file a video'):
        read_annotations([tmp_path], options=TEN)
    with pytest.raises(AnnotationError, match='expected text files of frame labels, got none'):
        (tmp_path / 'none').mkdir()
        read_annotations([tmp_path / 'none'], 'frame_labels', TEN)


@pytest.mark.parametrize(
    'text', ['hello\n', 'hello\nworld\n', 'v,1,2\nv,1,2\nv,1,2\n', 'a b\na b\n']
)
def test_other_texts_are_no_frame_labels(tmp_path, text):
    with pytest.raises(AnnotationError, match='expected JSON, a CSV with the header'):
        load_annotations(save(tmp_path / 'v.txt', text))


# --- converting -----------------------------------------------------------------------------------


def test_command(run_script, tmp_path):
    """The whole way, with the rates of a table before --fps."""
    run = partial(run_script, ROOT / 'tools/convert_annotations.py')
    folder = tmp_path / 'groundTruth'
    save(folder / 'v.txt', DENSE)
    save(folder / 'w.txt', DENSE)
    table = save(tmp_path / 'durations.csv', 'video,duration,fps\nw,0.45,20\nv,0.9,\n')
    process = run(folder, tmp_path / 'a.json', '--to', 'opentad', '--fps', 10, '--durations', table)
    assert process.returncode == 0, process.stderr
    assert '2 videos, 6 segments, 2 labels, from frame_labels to opentad' in process.stdout
    assert "note: 4 stretches labelled 'SIL' are no action" in process.stdout
    videos = load_annotations(tmp_path / 'a.json')
    assert videos['v'].annotations[0] == action(0.2, 0.5, 'take_cup')
    assert videos['w'].annotations[0] == action(0.1, 0.25, 'take_cup')
    process = run(folder, tmp_path / 'b.csv', '--to', 'csv', '--fps', 10, '--background')
    assert process.returncode == 0 and '10 segments, 3 labels' in process.stdout


def test_options_that_would_go_unheard(tmp_path):
    csv = save(tmp_path / 'a.csv', 'video,start,end,label,duration\nv,1,2,run,9\n')
    frames = save(tmp_path / 'v.txt', DENSE)
    convert = partial(convert_annotations, out=tmp_path / 'out', to='csv')
    for options, message in (
        (Options(tiers=['a']), '--tier is for elan, and this is csv: leave it out'),
        (Options(background=()), '--background is for frame_labels, and this is csv'),
        (Options(annotator='1'), '--annotator is for label_studio, and this is csv'),
    ):
        with pytest.raises(AnnotationError, match=message):
            convert([csv], reading=options)
    with pytest.raises(AnnotationError, match="--labels: expected verb.noun.action .* got 'x.txt'"):
        convert([csv], labels='x.txt')
    with pytest.raises(AnnotationError, match='--in-frames: times of frame_labels have a unit of'):
        convert([frames], changes=Changes(fps=10, in_frames=True))
    assert not (tmp_path / 'out').exists()
