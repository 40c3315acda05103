"""Annotation formats: whole annotation sets through each of them and back, and files in each exact
shape."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

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
from tests.reference import ALL_SETS
from tests.slow import slow_but

VERBS = Options(labels='verb')


@pytest.fixture(
    scope='module', params=slow_but(('activitynet-like', 'thumos14-like', 'thumos14'), ALL_SETS)
)
def real(request, annotation_file) -> dict[str, Video]:
    """Videos with actions: some formats cannot hold others. Of public sets, every eighth."""
    videos = load_annotations(annotation_file(request.param))
    step = 1 if request.param.endswith('like') else 8
    return {v: videos[v] for v in [v for v in videos if videos[v].annotations][::step]}


def action(start: float, end: float, label: str = 'run') -> dict:
    return dict(segment=[start, end], label=label)


def save(path: Path, text: str, encoding: str = 'utf-8') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def written(folder: Path, videos: dict[str, Video], form: str) -> list[Path]:
    """Write, and name the files to read."""
    out = folder / 'out'
    write_annotations(out, videos, form, VERBS)
    subsets = {video.subset for video in videos.values()}
    return [out / f'EPIC_100_{subset}.csv' for subset in subsets] if form == 'epic' else [out]


def by_class(videos: dict[str, Video]) -> dict[str, tuple]:
    """For THUMOS14: its files lose the order of the actions of a video."""
    return {
        video_id: (video.duration, video.subset, sorted(video.annotations, key=str))
        for video_id, video in videos.items()
    }


# --- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize('form', WRITABLE)
def test_real_annotations_survive(tmp_path, real, form):
    """Every segment to the last bit, and labels, durations and subsets; by name and by content."""
    paths = written(tmp_path, real, form)
    for name in (form, None):
        back = read_annotations(paths, name, VERBS)
        assert back.faults == ()
        if form == 'thumos14':
            assert by_class(back.videos) == by_class(real)
        else:
            assert back.videos == real
    assert back.form == form or back.form == 'activitynet'


@pytest.mark.parametrize('form', ['opentad', 'mmaction', 'csv', 'epic'])
def test_what_only_some_hold(tmp_path, form):
    """Frame rates, frames, stretches, videos without actions, and ids that look like numbers or
    formulas."""
    rng = np.random.default_rng(0)
    videos = {}
    for index, video_id in enumerate(['0012', 'a,b', 'say "x"', '-x_/é', "=1+1'", '1e5']):
        times = np.sort(rng.uniform(0, 4000, 6)).tolist()
        actions = tuple(action(times[i], times[i + 1], f'lab,el "{i % 2}"') for i in (0, 2, 4))
        frames = int(rng.integers(50_000, 99_999))
        span = (0.0, (frames - 5) / frames * 4000.5)
        videos[video_id] = Video(4000.5, f's{index % 2}', actions, span, 29.97, frames)
    empty = {'none': Video(3.25, 's0', (), None, 25.0, 81)}
    holds = FORMATS[form].holds
    if 'empty' in holds:
        videos.update(empty)
    back = read_annotations(written(tmp_path, videos, form), options=VERBS).videos
    assert list(back) == list(videos) or form == 'epic'
    for video_id, video in videos.items():
        assert back[video_id].annotations == video.annotations
        for name in ('duration', 'subset', *({'fps', 'num_frames'} & holds)):
            assert getattr(back[video_id], name) == getattr(video, name)
    if 'feature_span' in holds:
        assert back['0012'].feature_span == pytest.approx(videos['0012'].feature_span, rel=1e-15)
        assert back['none'].feature_span == (0.0, 3.25), 'not known: the whole video'


@pytest.mark.parametrize(
    ('form', 'notes'),
    [
        (
            'activitynet',
            [
                'fps of 1 videos is not kept',
                'num_frames of 1 videos is not kept',
                'feature_span of 1 videos is not kept',
            ],
        ),
        ('opentad', ['feature_span of 1 videos is not kept']),
        (
            'mmaction',
            [
                "'duration_frame' and 'feature_frame' are not known for 1 videos ('b'): "
                'mmaction2 itself '
                'needs them, give --fps',
                'mmaction2 itself uses all videos of a file, whatever their '
                "'subset': write one file for each with --subset",
            ],
        ),
        ('csv', ['feature_span of 1 videos is not kept']),
        (
            'thumos14',
            [
                'fps of 1 videos is not kept',
                'num_frames of 1 videos is not kept',
                'feature_span of 1 videos is not kept',
                "1 videos without actions are not kept: 'b'",
            ],
        ),
        (
            'epic',
            [
                'num_frames of 1 videos is not kept',
                'feature_span of 1 videos is not kept',
                "1 videos without actions are not kept: 'b'",
                'classes are numbered anew, in EPIC_100_verb_classes.csv',
            ],
        ),
    ],
)
def test_what_is_lost_is_said(tmp_path, form, notes):
    videos = {'a': Video(10.0, 'x', (action(1, 2),), (0.0, 9.0), 30.0, 300), 'b': Video(5.0, 'y')}
    assert write_annotations(tmp_path / 'out', videos, form, VERBS) == notes


def test_gzip(tmp_path):
    videos = {'a': Video(10.0, 'x', (action(1, 2),))}
    for form in ('activitynet', 'mmaction', 'csv'):
        path = tmp_path / f'{form}.gz'
        write_annotations(path, videos, form)
        assert gzip.decompress(path.read_bytes()) and load_annotations(path) == videos


# --- what others ask for --------------------------------------------------------------------------


def test_official_activitynet_evaluation_finds_its_keys(tmp_path):
    write_annotations(tmp_path / 'a.json', {'a': Video(10.0, 'x', (action(1, 2),))}, 'activitynet')
    assert {'database', 'taxonomy', 'version'} <= set(json.loads((tmp_path / 'a.json').read_text()))


def test_actionformer_and_opentad_find_their_keys(tmp_path):
    videos = {
        'a': Video(10.0, 'x', (action(1, 2, 'run'), action(3, 4, 'jump')), fps=30.0),
        'b': Video(8.0, 'x', (action(1, 2, 'sit'),), num_frames=200),
    }
    write_annotations(tmp_path / 'a.json', videos, 'opentad')
    database = json.loads((tmp_path / 'a.json').read_text())['database']
    ids = {
        one['label']: one['label_id'] for entry in database.values() for one in entry['annotations']
    }
    assert ids == {'jump': 0, 'run': 1, 'sit': 2}
    assert [(entry['fps'], entry['frame']) for entry in database.values()] == [
        (30.0, 300),
        (25.0, 200),
    ]


def test_mmaction2_itself_reads_its_form(tmp_path):
    """Stock dataset and stock labels: the actions in fractions of what the features cover."""
    from mmaction.datasets import ActivityNetDataset

    video = Video(10.0, 'training', (action(2, 4), action(5, 20)), (0.0, 8.0), 30.0, 300)
    assert write_annotations(tmp_path / 'a.json', {'a': video}, 'mmaction') == []
    dataset = ActivityNetDataset(
        ann_file=str(tmp_path / 'a.json'),
        data_prefix=dict(video='x'),
        pipeline=[dict(type='mmaction.GenerateLocalizationLabels')],
    )
    assert dataset[0]['video_name'] == 'a'
    np.testing.assert_allclose(dataset[0]['gt_bbox'], [[0.25, 0.5], [0.625, 1.0]])


# --- files in the exact shape of each -------------------------------------------------------------


def test_hacs(tmp_path):
    """Durations are texts; a test video may be without annotations."""
    path = save(
        tmp_path / 'HACS_segments_v1.1.1.json',
        json.dumps(
            dict(
                database={
                    '--0edUL8zmA': dict(
                        annotations=[
                            dict(label='Dodgeball', segment=[5.40, 11.60]),
                            dict(label='Dodgeball', segment=[12.60, 88.16]),
                        ],
                        subset='training',
                        duration='92.166667',
                        url='https://www.youtube.com/watch?v=--0edUL8zmA',
                    ),
                    'abc': dict(
                        subset='testing', duration='10', url='https://www.youtube.com/watch?v=abc'
                    ),
                }
            )
        ),
    )
    file = read_annotations([path])
    assert file.videos == {
        '--0edUL8zmA': Video(
            92.166667,
            'training',
            (action(5.4, 11.6, 'Dodgeball'), action(12.6, 88.16, 'Dodgeball')),
        ),
        'abc': Video(10.0, 'testing'),
    }
    assert file.form == 'hacs' and file.notes == ("'url' of 2 videos is not kept",)
    write_annotations(tmp_path / 'out.json', file.videos, 'hacs')
    assert json.loads((tmp_path / 'out.json').read_text())['database']['abc'] == dict(
        duration='10.0', subset='testing', annotations=[]
    )


def test_opentad_and_actionformer(tmp_path):
    path = save(
        tmp_path / 'thumos14.json',
        json.dumps(
            dict(
                version='0.0.1',
                database=dict(
                    video_validation_0000190=dict(
                        subset='Validation',
                        duration=33.83,
                        fps=30.0,
                        frame=1015,
                        annotations=[
                            {
                                'label': 'Diving',
                                'segment': [0.3, 1.1],
                                'segment(frames)': [9.0, 33.0],
                                'label_id': 7,
                            },
                            {'label': 'CliffDiving', 'segment': [0.3, 1.1], 'label_id': 7},
                        ],
                    )
                ),
            )
        ),
    )
    file = read_annotations([path])
    assert file.videos == {
        'video_validation_0000190': Video(
            33.83,
            'Validation',
            (action(0.3, 1.1, 'Diving'), action(0.3, 1.1, 'CliffDiving')),
            None,
            30.0,
            1015,
        )
    }
    assert file.form == 'opentad' and file.notes == (
        "'segment(frames)' of 1 actions is not kept",
        "label_id 7 stands for 'CliffDiving', 'Diving': these are classes of their own here",
    )


def test_activitynet(tmp_path):
    path = save(
        tmp_path / 'activity_net.v1-3.min.json',
        json.dumps(
            dict(
                version='VERSION 1.3',
                taxonomy=[dict(nodeName='Root')],
                database={
                    'sJFgo9H6zNo': dict(
                        duration=139.48,
                        subset='validation',
                        resolution='320x240',
                        url='https://x',
                        annotations=[dict(segment=[0, 124.6], label='Drum corps')],
                    ),
                    'm3ST3ez3FTs': dict(
                        duration=148.08, subset='testing', annotations=[], resolution='1280x720'
                    ),
                },
            )
        ),
    )
    file = read_annotations([path])
    assert file.videos == {
        'sJFgo9H6zNo': Video(139.48, 'validation', (action(0, 124.6, 'Drum corps'),)),
        'm3ST3ez3FTs': Video(148.08, 'testing'),
    }
    assert file.notes == ("'resolution' of 2 videos is not kept", "'url' of 1 videos is not kept")


def test_repeated_ids(tmp_path):
    path = save(
        tmp_path / 'a.json',
        '{"database": {"a": {"duration": 1, "annotations": []}, '
        '"a": {"duration": 2, "annotations": []}}}',
    )
    assert read_annotations([path]).repeated_keys == ('a',)


THUMOS = {
    'annotation/BaseballPitch_val.txt': 'video_validation_0000266  72.8 76.4\r\n'
    'video_validation_0000681  44.0 50.9\n\n',
    'annotation/CliffDiving_val.txt': 'video_validation_0000266  1.5 5.4 \n',
    'annotation/Ambiguous_val.txt': 'video_validation_0000266  10 11\n'
    'video_validation_0000999  1 2\n',
    'annotation/Diving_test.txt': 'video_test_0000004 0.2 1.1',
    'readme.txt': 'THUMOS CHALLENGE 2014\n',
}


def thumos_folder(tmp_path: Path) -> Path:
    for name, text in THUMOS.items():
        save(tmp_path / 'th14' / name, text)
    return tmp_path / 'th14'


def test_thumos14_official_files(tmp_path):
    folder = thumos_folder(tmp_path)
    file = read_annotations([folder], options=Options(durations=lambda video_id: 100.0))
    assert file.videos == {
        'video_validation_0000266': Video(
            100.0, 'val', (action(72.8, 76.4, 'BaseballPitch'), action(1.5, 5.4, 'CliffDiving'))
        ),
        'video_validation_0000681': Video(100.0, 'val', (action(44, 50.9, 'BaseballPitch'),)),
        'video_test_0000004': Video(100.0, 'test', (action(0.2, 1.1, 'Diving'),)),
    }
    assert file.notes == (
        'Ambiguous_val.txt: 2 stretches that may be an action or not are not kept',
        'readme.txt is not read: no file of a class, such as BaseballPitch_val.txt',
    )
    some = [folder / 'annotation/BaseballPitch_val.txt', folder / 'annotation/CliffDiving_val.txt']
    assert len(read_annotations(some, options=Options(durations=lambda video_id: 1.0)).videos) == 2


def test_thumos14_durations(tmp_path):
    folder = thumos_folder(tmp_path)
    with pytest.raises(
        AnnotationError,
        match=r"th14: no duration is known for 3 of 3 videos: 'video_va.*"
        'official files have none: give --durations FILE',
    ):
        load_annotations(folder)
    save(
        folder / 'durations.csv',
        'video,duration\nvideo_validation_0000266,80\nvideo_test_0000004,9\n',
    )
    with pytest.raises(AnnotationError, match="for 1 of 3 videos: 'video_validation_0000681'"):
        load_annotations(folder)
    save(
        folder / 'durations.csv',
        'video_id;duration;fps\nvideo_validation_0000266;80;25\n'
        'video_test_0000004;9;25\nvideo_validation_0000681;60.5;25\nunused;1;1\n',
    )
    assert {video.duration for video in load_annotations(folder).values()} == {80.0, 9.0, 60.5}


EPIC_TIMES = (
    'narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,'
    'start_frame,stop_frame'
)
EPIC_HEADER = f'{EPIC_TIMES},narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n'
EPIC_TRAIN = EPIC_HEADER + (
    'P01_01_0,P01,P01_01,00:00:01.089,00:00:00.14,00:00:03.37,8,202,open '
    "door,open,3,door,3,['door'],[3]\n"
    'P01_01_45,P01,P01_01,00:04:08.370,01:04:10.05,01:04:17.87,15003,15472,pour courgette '
    'onto pan,pour-onto,'
    '9,courgette,76,"[\'courgette\', \'pan\']","[76, 5]"\n'
    'P01_02_1,P01,P01_02,00:00:09,00:00:10.00,00:00:11.5,,,dice '
    'courgette,dice,7,courgette,76,[],[]\n'
    'P01_02_2,P01,P01_02,00:00:09,00:00:12,00:00:13,,,slice courgette,slice,7,courgette,76,[],[]\n'
)
EPIC_TEST = f'{EPIC_TIMES}\nP01_101_0,P01,P01_101,00:00:02.851,00:00:02.86,00:00:03.87,143,193\n'


def epic_folder(tmp_path: Path, **other: str) -> Path:
    """The official repository's files."""
    files = dict(
        EPIC_100_train=EPIC_TRAIN,
        EPIC_100_test_timestamps=EPIC_TEST,
        EPIC_100_video_info=(
            'video_id,duration,fps,resolution\nP01_01,5652.152817,59.9400599400599,1920x1080\n'
            'P01_02,502.134967,50.0,1920x1080\nP01_101,1831.46,50.0,1920x1080\n'
        ),
        EPIC_100_verb_classes='id,key,instances,category\n3,open,"[\'open\']",access\n'
        "7,cut,\"['cut', 'dice']\",cut\n9,pour,\"['pour']\",manipulate\n",
        EPIC_100_noun_classes='id,key,instances,category\n3,door,"[\'door\']",x\n76,courgette,"[]",vegetables\n',
        **other,
    )
    for name, text in files.items():
        save(tmp_path / f'{name}.csv', text)
    return tmp_path


@pytest.mark.parametrize(
    ('labels', 'expected'),
    [
        ('verb', ['open', 'pour', 'cut', 'cut']),  # 'dice' and 'slice' are words of one class
        ('noun', ['door', 'courgette', 'courgette', 'courgette']),
        ('action', ['open door', 'pour courgette', 'cut courgette', 'cut courgette']),
    ],
)
def test_epic_kitchens(tmp_path, labels, expected):
    file = read_annotations(
        [epic_folder(tmp_path) / 'EPIC_100_train.csv'], options=Options(labels=labels)
    )
    first = (action(0.14, 3.37, expected[0]), action(3850.05, 3857.87, expected[1]))
    second = (action(10, 11.5, expected[2]), action(12, 13, expected[3]))
    assert file.videos == {
        'P01_01': Video(5652.152817, 'train', first, None, 59.9400599400599),
        'P01_02': Video(502.134967, 'train', second, None, 50.0),
    }
    assert file.form == 'epic' and 'columns narration_id, participant_id,' in file.notes[0]


def test_epic_kitchens_without_the_files_beside(tmp_path):
    path = save(tmp_path / 'EPIC_100_validation.csv', EPIC_TRAIN)
    options = Options(labels='action', durations={'P01_01': 9000.0, 'P01_02': 20.0}.get)
    videos = read_annotations([path], options=options).videos
    assert videos['P01_02'] == Video(
        20.0, 'validation', (action(10, 11.5, 'verb 7 noun 76'), action(12, 13, 'verb 7 noun 76'))
    )


def test_epic_kitchens_test_set_has_no_labels(tmp_path):
    folder = epic_folder(tmp_path)
    file = read_annotations(
        [folder / 'EPIC_100_train.csv', folder / 'EPIC_100_test_timestamps.csv'], options=VERBS
    )
    assert (
        file.videos['P01_101'] == Video(1831.46, 'test', (), None, 50.0) and len(file.videos) == 3
    )
    assert file.notes[-1].endswith(
        'there are no labels (test set): the videos are read without actions'
    )


def test_epic_kitchens_written(tmp_path):
    actions = (action(0.14, 3600.5, 'cut'), action(1 / 3, 2, 'add'))
    videos = {'P01_01': Video(4000.0, 'train', actions, None, 50.0)}
    write_annotations(tmp_path / 'epic', videos, 'epic', Options(labels='noun'))
    with (tmp_path / 'epic/EPIC_100_train.csv').open(newline='') as file:
        first, second = csv.DictReader(file)
    assert ','.join(first) + '\n' == EPIC_HEADER
    assert {key: text for key, text in first.items() if text} == dict(
        narration_id='P01_01_0',
        video_id='P01_01',
        start_timestamp='00:00:00.14',
        stop_timestamp='01:00:00.50',
        start_frame='7',
        stop_frame='180025',
        narration='cut',
        noun='cut',
        noun_class='1',
    )
    assert second['start_timestamp'] == '00:00:00.3333333333333333'


@pytest.mark.parametrize(
    'text',
    [
        'video,start,end,label,duration,subset\n0012,1.5,00:00:02.25,run,10,training\n"a,b",,,,7.5,\n'
        '0012,3,4,"say ""x""",,\n',
        '\ufeffVideo;Start;End;Label;Duration;Subset\r\n0012;1.5;2.25;run;10;training\r\na,b;;;;7.5;\r\n\r\n'
        '0012; 3 ;4;"say ""x""";10;training\r\n',
        'label\tvideo\tend\tstart\tsubset\tduration\nrun\t0012\t2.25\t1.5\t\t10\n\ta,b\t\t\t\t7.5\n'
        '"say ""x"""\t0012\t4\t0:03\ttraining\t\n',
    ],
)
def test_csv(tmp_path, text):
    """Commas, semicolons (with byte-order mark and CRLF, as a spreadsheet writes them) and tabs."""
    assert load_annotations(save(tmp_path / 'mine.csv', text)) == {
        '0012': Video(10.0, 'training', (action(1.5, 2.25), action(3, 4, 'say "x"'))),
        'a,b': Video(7.5),
    }


def test_csv_notes_and_given_durations(tmp_path):
    path = save(
        tmp_path / 'mine.csv', 'video,start,end,label,annotator,fps,frames\nv,1,2,run,me,25,250\n'
    )
    file = read_annotations([path], options=Options(durations={'v': 10.0}.get))
    assert file.videos == {'v': Video(10.0, None, (action(1, 2),), None, 25.0, 250)}
    assert file.notes == ("column 'annotator' is not kept",)


# --- several files --------------------------------------------------------------------------------


def test_several_files(tmp_path):
    """Of one data set, also in different formats; the messages name the file."""
    one = save(
        tmp_path / 'a.json',
        json.dumps(dict(database=dict(a=dict(duration=1, annotations=[], x=1)))),
    )
    two = save(tmp_path / 'b.csv', 'video,start,end,label,duration\nb,1,2,run,9\nc,1,2,,9\n')
    file = read_annotations([one, two])
    assert list(file.videos) == ['a', 'b'] and file.form == 'activitynet and csv'
    assert file.notes == (f"{one}: 'x' of 1 videos is not kept",)
    assert file.faults == (f"{two}: line 3: expected text under 'label', got nothing",)
    copy = save(tmp_path / 'c.json', one.read_text())
    with pytest.raises(
        AnnotationError, match="1 videos are in .*a.json and in .*c.json: 'a'. Expected each"
    ):
        read_annotations([one, copy])


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'the file is empty'),
        ('\n\n', 'the file is empty'),
        (
            'hello',
            "expected JSON, a CSV with the header video,start,end,label, .*got 'hello'. "
            'Known formats',
        ),
        ('v_1,1,2,run\nv_1,3,4,run\n', "header video,start,end,label, .*got 'v_1,1,2,run'"),
        (
            'video,start,end,label,duration\n',
            'expected rows below the header video, start, end, label, duration',
        ),
        (
            'video,start,end,duration\nv,1,2,9\n',
            "video, start, end, label .and may have dur.*'label' is missing",
        ),
        ('video_id,start,end,label,duration\nv,1,2,x,9\n', "'video' is missing: rename 'video_id'"),
        ('video,start,end,label,end\nv,1,2,x,9\n', "one column of each name, got several 'end'"),
        ('video,start,end,label\nv,1,2\n', 'line 2: expected 4 cells as in the header, got 3'),
        (
            'video,start,end,label\nv,1,2,a,b\n',
            'line 2: expected 4 cells .*got 5: put texts with commas',
        ),
        ('video,start,end,label\nv,1,2,"a\n', 'line 2: not a table of texts .*: check the quotes'),
        (
            'video,start,end,label,duration\n,1,2,a,9\n',
            "line 2: expected a video id under 'video', got nothing",
        ),
        (
            'video,start,end,label,duration\nv,1,2,,9\n',
            "line 2: expected text under 'label', got nothing",
        ),
        (
            'video,start,end,label,duration\nv,1,,a,9\n',
            "line 2: expected seconds or HH:MM:SS.ss under 'end'",
        ),
        (
            'video,start,end,label,duration\nv,one,2,a,9\n',
            "line 2: expected seconds .* under 'start', got 'one'",
        ),
        (
            'video;start;end;label;duration\nv;1,5;2;a;9\n',
            "'start', got '1,5': write a point, not a comma",
        ),
        ('video,start,end,label,duration\nv,0:61,2,a,9\n', "under 'start', got '0:61'"),
        ('video,start,end,label,duration\nv,nan,2,a,9\n', "under 'start', got 'nan'"),
        (
            'video,start,end,label,duration\nv,1,2,a,0\n',
            "expected a positive number under 'duration', got '0'",
        ),
        (
            'video,start,end,label,duration\nv,1,2,a,9\nv,3,4,a,8\n',
            "line 3: expected one duration for 'v', got 8.0 here and 9.0 before",
        ),
        (
            'video,start,end,label,duration,subset\nv,1,2,a,9,x\nv,3,4,a,,y\n',
            "line 3: expected one subset for 'v', got 'y' here and 'x' before",
        ),
        (
            'video,start,end,label\nv,1,2,a\nw,1,2,a\n',
            "no duration is known for 2 of 2 videos: 'v', 'w'. Add a",
        ),
    ],
)
def test_bad_tables(tmp_path, text, message):
    with pytest.raises(AnnotationError, match=f'mine.csv: .*{message}'):
        load_annotations(save(tmp_path / 'mine.csv', text))


def test_not_utf8(tmp_path):
    path = save(tmp_path / 'mine.csv', 'video,start,end,label\nv,1,2,é\n', 'latin-1')
    with pytest.raises(
        AnnotationError,
        match='mine.csv: expected UTF-8, got byte 0xe9 in line 2, as in Windows-1252 or .*: save',
    ):
        load_annotations(path)


@pytest.mark.parametrize('line', ['v_1  1.0', 'v_1 1.0 2.0 3.0', 'v_1 1.0 x'])
def test_bad_thumos14_lines(tmp_path, line):
    path = save(tmp_path / 'Diving_val.txt', f'v_1  1.0 2.0\n{line}\n')
    with pytest.raises(
        AnnotationError, match=f'_val.txt line 2: expected "video start end" .* got {line!r}'
    ):
        load_annotations(path, durations=lambda video_id: 9.0)


def test_thumos14_video_in_two_subsets(tmp_path):
    for subset in ('val', 'test'):
        save(tmp_path / f'Diving_{subset}.txt', 'v_1  1.0 2.0\n')
    with pytest.raises(
        AnnotationError, match="_val.txt line 1: expected one subset for 'v_1', got 'val'"
    ):
        load_annotations(tmp_path, durations=lambda video_id: 9.0)


def test_folder_without_text_files(tmp_path):
    with pytest.raises(
        AnnotationError, match='expected text files such as BaseballPitch_val.txt, .*got no'
    ):
        load_annotations(tmp_path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            ('00:00:03.37', '3.37'),
            "line 2: expected HH:MM:SS.ss under 'stop_timestamp', got '3.37'",
        ),
        (('00:00:03.37', '00:00:63.37'), "under 'stop_timestamp', got '00:00:63.37'"),
        (
            (',open,3,', ',open,,'),
            "line 2: expected the number of a class under 'verb_class', got ''",
        ),
        ((',open,3,', ',open,96,'), 'line 2: verb_class 96 is not in EPIC_100_verb_classes.csv'),
    ],
)
def test_bad_epic_kitchens(tmp_path, change, message):
    path = epic_folder(tmp_path) / 'EPIC_100_train.csv'
    save(path, EPIC_TRAIN.replace(*change))
    assert [message in fault for fault in read_annotations([path], options=VERBS).faults] == [True]


def test_epic_kitchens_asks_for_labels_and_durations(tmp_path):
    path = epic_folder(tmp_path) / 'EPIC_100_train.csv'
    with pytest.raises(
        AnnotationError, match='several kinds of labels: .*--labels verb|noun|action'
    ):
        load_annotations(path)
    (tmp_path / 'EPIC_100_video_info.csv').unlink()
    with pytest.raises(
        AnnotationError, match='no duration is known for 2 .*Put EPIC_100_video_info.csv'
    ):
        read_annotations([path], options=VERBS)
    save(path, EPIC_TRAIN.replace('verb_class', 'verb_number'))
    with pytest.raises(AnnotationError, match="with verb_class, got .*; 'verb_class' is missing$"):
        read_annotations([path], options=VERBS)


@pytest.mark.parametrize(
    ('form', 'content', 'message'),
    [
        (
            'mmaction',
            dict(database={}),
            "expected no 'database' at the top, got 'database': choose another",
        ),
        (
            'activitynet',
            dict(v=dict(duration_second=3)),
            "expected 'database' at the top, got 'v': choose",
        ),
    ],
)
def test_another_form_than_said(tmp_path, form, content, message):
    with pytest.raises(AnnotationError, match=f'a.json: {message}'):
        read_annotations([save(tmp_path / 'a.json', json.dumps(content))], form)


@pytest.mark.parametrize(
    ('form', 'video_id', 'video', 'message'),
    [
        ('csv', 'v ', Video(9.0, 'x', (action(1, 2),)), "a CSV cannot hold video 'v '"),
        (
            'csv',
            'v',
            Video(9.0, 'x', (action(1, 2, ''),)),
            "'v': a CSV cannot hold label '': it is empty",
        ),
        (
            'thumos14',
            'v',
            Video(9.0, None, (action(1, 2),)),
            "1 videos have no subset, .*: 'v'. Give them one",
        ),
        (
            'thumos14',
            'v w',
            Video(9.0, 'x', (action(1, 2),)),
            "'v w': THUMOS14's files cannot hold ids",
        ),
        (
            'thumos14',
            'v',
            Video(9.0, 'x', (action(1, 2, 'a/b'),)),
            "label 'a/b' of subset 'x' cannot be",
        ),
        (
            'thumos14',
            'v',
            Video(9.0, 'x_y', (action(1, 2),)),
            "of subset 'x_y' cannot be part of a file name",
        ),
        ('thumos14', 'v', Video(9.0, 'x', (action(1, 2, 'Ambiguous'),)), "label 'Ambiguous' of"),
        ('epic', 'v', Video(9.0, None, (action(1, 2),)), '1 videos have no subset'),
        (
            'epic',
            'v',
            Video(9.0, 'x/y', (action(1, 2),)),
            "subset 'x/y' cannot be part of a file name",
        ),
        (
            'epic',
            'v',
            Video(9.0, 'x', (action(-1, 2),)),
            r"'v' \[-1, 2\]: HH:MM:SS.ss cannot be negative",
        ),
    ],
)
def test_what_cannot_be_written(tmp_path, form, video_id, video, message):
    with pytest.raises(AnnotationError, match=message):
        write_annotations(tmp_path / 'out', {video_id: video}, form, VERBS)
    assert list(tmp_path.iterdir()) == [], 'nothing is left behind'


def test_epic_kitchens_has_no_actions_column(tmp_path):
    with pytest.raises(AnnotationError, match='expected --labels verb or noun, got action'):
        write_annotations(tmp_path / 'out', {}, 'epic', Options(labels='action'))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('video,length\nv,9\n', "expected a column duration or seconds, got 'video', 'length'"),
        (
            'name,duration\nv,9\n',
            "expected a column video or video_id or video_name, got 'name', 'duration'",
        ),
        (
            'video,duration\nv,long\n',
            "line 2: expected a positive number under 'duration', got 'long'",
        ),
        (
            'video,duration\nv,9\nv,8\n',
            "line 3: expected one line for 'v', got another with {'duration': 8.0}",
        ),
    ],
)
def test_bad_durations(tmp_path, text, message):
    folder = thumos_folder(tmp_path)
    save(folder / 'durations.csv', text)
    with pytest.raises(AnnotationError, match=f'durations.csv: {message}'):
        load_annotations(folder)
