"""The command that converts annotations, and what it changes on the way."""

from __future__ import annotations

import json
from functools import partial

import pytest

from sola_plugin.datasets.annotations.conversion import Changes, apply_changes, convert_annotations
from sola_plugin.datasets.annotations.model import AnnotationError, Video, load_annotations
from tests.conftest import ROOT
from tests.reference import THUMOS14_SETS

CSV = 'video,start,end,label\nv_1,1,2,run\nv_1,4,5,jump\nv_2,3,3,run\n'


def action(start: float, end: float, label: str = 'run') -> dict:
    return dict(segment=[start, end], label=label)


@pytest.fixture
def run(run_script):
    return partial(run_script, 'tools/convert_annotations.py')


@pytest.fixture
def refused(run):
    """Function of arguments that are refused; returns what is said."""

    def _refused(*arguments: object, code: int = 1) -> str:
        process = run(*arguments)
        assert process.returncode == code and 'Traceback' not in process.stderr
        return process.stderr

    return _refused


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'contents', 'subsets'),
    [
        ('thumos14-like', '70 videos, 1699 segments, 6 labels', 'test 40, val 30'),
        ('thumos14', '410 videos, 6318 segments, 20 labels', 'test 210, val 200'),
    ],
    ids=THUMOS14_SETS,
)
def test_there_and_back(run, tmp_path, annotation_file, name, contents, subsets):
    """THUMOS14 as ActivityNet's JSON, to its official text files, and back with the config's subset
    names."""
    thumos = annotation_file(name)
    process = run(thumos, tmp_path / 'th14', '--to', 'thumos14', '--rename-subset', 'train=val')
    assert process.stdout.splitlines() == [
        f'{tmp_path}/th14: {contents}, from activitynet to thumos14',
        f'subsets: {subsets}',
    ]
    assert {path.name for path in (tmp_path / 'th14').iterdir()} > {
        'BaseballPitch_val.txt',
        'durations.csv',
    }
    run(
        tmp_path / 'th14',
        tmp_path / 'th14.json',
        '--to',
        'opentad',
        '--rename-subset',
        'val=Validation',
        'test=Test',
    )
    videos, back = load_annotations(thumos), load_annotations(tmp_path / 'th14.json')
    names = dict(train='Validation', test='Test')
    assert {video_id: (video.duration, video.subset) for video_id, video in back.items()} == {
        video_id: (video.duration, names[video.subset]) for video_id, video in videos.items()
    }
    assert all(
        sorted(back[video_id].annotations, key=str) == sorted(video.annotations, key=str)
        for video_id, video in videos.items()
    )


def test_own_csv(run, tmp_path):
    (tmp_path / 'mine.csv').write_text(CSV)
    (tmp_path / 'durations.csv').write_text('video,duration,fps\nv_1,10,25\nv_2,20,\n')
    process = run(
        tmp_path / 'mine.csv',
        tmp_path / 'out.json',
        '--to',
        'mmaction',
        '--durations',
        tmp_path / 'durations.csv',
        '--fps',
        30,
        '--rename-subset',
        '=training',
    )
    assert process.stdout.splitlines() == [
        f'{tmp_path}/out.json: 2 videos, 3 segments, 2 labels, from csv to mmaction',
        'subsets: training 2',
        'warning: 1 segments have no length: training leaves them out, in evaluation hardly '
        'any detection '
        "can match them; remove them, or keep them to compare with published figures: 'v_2' "
        '[3, 3] of 20 s',
    ]
    assert json.loads((tmp_path / 'out.json').read_text()) == dict(
        v_1=dict(
            duration_second=10.0,
            duration_frame=250,
            feature_frame=250,
            fps=25.0,
            subset='training',
            annotations=[action(1.0, 2.0), action(4.0, 5.0, 'jump')],
        ),
        v_2=dict(
            duration_second=20.0,
            duration_frame=600,
            feature_frame=600,
            fps=30.0,
            subset='training',
            annotations=[action(3.0, 3.0)],
        ),
    )


def test_bad_input_is_an_error_and_nothing_is_written(refused, tmp_path, annotation_file):
    (tmp_path / 'mine.csv').write_text(CSV)
    out = tmp_path / 'out.json'
    assert refused(tmp_path / 'mine.csv', out, '--to', 'activitynet').startswith(
        f"error: {tmp_path}/mine.csv: no duration is known for 2 of 2 videos: 'v_1', 'v_2'. "
        'Add a column'
    )
    thumos = annotation_file('thumos14-like')
    assert 'nothing.csv' in refused(tmp_path / 'nothing.csv', out, '--to', 'csv')
    for options, message in (
        (('--rename-subset', 'a'), '--rename-subset expects OLD=NEW'),
        (('--fps', 0), '--fps expects a number above 0'),
        (('--to', 'elan'), "invalid choice: 'elan'"),
    ):
        assert message in refused(thumos, out, '--to', 'csv', *options, code=2)
    assert '--labels: expected verb|noun|action' in refused(
        thumos, out, '--to', 'csv', '--labels', 'word'
    )
    assert list(tmp_path.iterdir()) == [tmp_path / 'mine.csv']


def test_nothing_is_written_over(tmp_path, annotation_file):
    thumos = annotation_file('thumos14-like')
    out = tmp_path / 'there'
    out.write_text('mine')
    with pytest.raises(FileExistsError, match='there is there: choose another name, or --force'):
        convert_annotations([thumos], out, 'csv')
    assert out.read_text() == 'mine'
    assert len(convert_annotations([thumos], out, 'csv', force=True).videos) == 70
    with pytest.raises(FileExistsError, match='choose a new folder'):
        convert_annotations([thumos], tmp_path, 'thumos14', force=True)


def test_the_commands_of_the_page(run, tmp_path):
    """docs/own_data.md, on made files; the paths are put into a folder, nothing else is changed."""
    page = (ROOT / 'docs/own_data.md').read_text(encoding='utf-8')
    commands = [
        line.split()[2:]
        for line in page.splitlines()
        if line.startswith('python tools/convert_annotations.py') and 'INPUT' not in line
    ]
    assert len(commands) == 9
    header = 'video_id,start_timestamp,stop_timestamp,verb_class\n'
    flat = dict(duration_second=9, annotations=[action(1, 2)])
    for name, text in {
        'mine.csv': CSV,
        'durations.csv': 'video,duration\nv_1,10\nv_2,20\n',
        'charades/Charades_v1_train.csv': 'id,actions,length\na,c001 1 2,9\n',
        'charades/Charades_v1_test.csv': 'id,actions,length\nb,c001 1 2,9\n',
        'charades/Charades_v1_classes.txt': 'c001 run\n',
        'perception/action_localisation_train.json': json.dumps(
            dict(
                a=dict(
                    metadata=dict(split='train', frame_rate=30, num_frames=90),
                    action_localisation=[dict(timestamps=[1_000_000, 2_000_000], label='run')],
                )
            )
        ),
        'breakfast/groundTruth/a.txt': 15 * 'SIL\n' + 15 * 'run\n',
        'elan/eaf/v_1.eaf': (
            '<ANNOTATION_DOCUMENT><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="1" TIME_VALUE="1000"/>'
            '<TIME_SLOT TIME_SLOT_ID="2" TIME_VALUE="2000"/></TIME_ORDER><TIER TIER_ID="actions">'
            '<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a" TIME_SLOT_REF1="1" '
            'TIME_SLOT_REF2="2"><ANNOTATION_VALUE>run</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>'
            '</ANNOTATION></TIER></ANNOTATION_DOCUMENT>'
        ),
        'studio/project-1.json': json.dumps(
            [
                dict(
                    data=dict(video='/v_1.mp4'),
                    annotations=[
                        dict(
                            result=[
                                dict(
                                    value=dict(
                                        ranges=[dict(start=25, end=48)], timelinelabels=['run']
                                    )
                                )
                            ]
                        )
                    ],
                )
            ]
        ),
        'epic/EPIC_100_train.csv': f'{header}a,00:00:01,00:00:02,7\n',
        'epic/EPIC_100_validation.csv': f'{header}b,00:00:01,00:00:02,7\n',
        'epic/EPIC_100_video_info.csv': 'video_id,duration,fps\na,9,50\nb,9,50\n',
        'anet_anno_train.json': json.dumps(dict(a=flat)),
        'anet_anno_val.json': json.dumps(dict(b=flat)),
        'annotations.json': json.dumps(
            dict(database=dict(a=dict(duration=9, subset='training', annotations=[action(1, 2)])))
        ),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    for command in commands:
        process = run(*(tmp_path / word if {'.', '/'} & {*word} else word for word in command))
        assert process.returncode == 0, process.stderr
    for name in ('charades', 'perception', 'breakfast', 'elan', 'studio'):
        first = next(iter(load_annotations(tmp_path / f'{name}.json').values()))
        assert first.annotations == (action(1, 2),)
    assert set(load_annotations(tmp_path / 'anet.csv')) == {'a', 'b'}
    assert load_annotations(tmp_path / 'verbs.json')['a'].annotations == (action(1, 2, 'verb 7'),)


# --- what is changed ------------------------------------------------------------------------------

VIDEOS = {
    'a': Video(10.0, 'x', (action(30, 60), action(60, 90, 'Ambiguous'))),
    'b': Video(10.0, 'y', (action(25, 50),), None, 25.0),
    'c': Video(10.0, None, (), None, None, 240),
}


def test_subsets():
    changed, notes = apply_changes(VIDEOS, Changes(['x', None], {'': 'z'}), {})
    assert {video_id: video.subset for video_id, video in changed.items()} == dict(a='x', c='z')
    assert notes == ['1 of 3 videos are of other subsets and left out']
    with pytest.raises(AnnotationError, match="expected one of the subsets 'x' .*got subset='w'"):
        apply_changes(VIDEOS, Changes(['w']), {})
    with pytest.raises(AnnotationError, match="there is no subset 'w' in the annotations"):
        apply_changes(VIDEOS, Changes(rename_subsets=dict(w='x')), {})


def test_labels():
    changed, notes = apply_changes(VIDEOS, Changes(drop_labels=['Ambiguous']), {})
    assert changed['a'].annotations == (action(30, 60),) and changed['b'] == VIDEOS['b']
    assert notes == ["1 actions with label 'Ambiguous' are left out"]
    with pytest.raises(AnnotationError, match="there is no label 'ambiguous' in the annotations"):
        apply_changes(VIDEOS, Changes(drop_labels=['ambiguous']), {})


def test_frames():
    """Own rates come first, then those of the durations file, then --fps."""
    changed, _ = apply_changes(
        VIDEOS, Changes(in_frames=True, fps=60), {'a': 30.0, 'b': 10.0, 'c': 10.0}
    )
    assert changed['a'].annotations == (action(1, 2), action(2, 3, 'Ambiguous'))
    assert changed['b'].annotations == (action(1, 2),)
    assert [video.fps for video in changed.values()] == [30.0, 25.0, None]
    assert VIDEOS['a'].annotations[0] == action(30, 60), 'the input is left alone'
    with pytest.raises(
        AnnotationError, match="video 'a': the frame rate is not known: give --fps, or a"
    ):
        apply_changes(VIDEOS, Changes(in_frames=True), {})


def test_frames_are_recognised_and_explained(tmp_path):
    path = tmp_path / 'mine.csv'
    path.write_text('video,start,end,label,duration\nv_1,30,290,run,10\n')
    with pytest.raises(
        AnnotationError,
        match=(
            r'mine.csv: .* seem to be frames. Divide by fps \(here probably 30\): give '
            r'--in-frames, and'
        ),
    ):
        convert_annotations([path], tmp_path / 'out', 'csv')
    done = convert_annotations(
        [path], tmp_path / 'out', 'csv', changes=Changes(fps=30, in_frames=True)
    )
    assert done.videos['v_1'].annotations == (action(1.0, 290 / 30),) and done.warnings == ()


def test_faults_and_repeated_ids(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"database": {"a": {"duration": 0, "annotations": []}, "b": {"duration": 1}}}')
    with pytest.raises(
        AnnotationError,
        match=(
            "a.json: 2 videos cannot be read: video 'a': expected a positive number under "
            "'duration', got 0, "
            "video 'b': key 'annotations' is missing"
        ),
    ):
        convert_annotations([path], tmp_path / 'out', 'csv')
    path.write_text(
        '{"database": {"a": {"duration": 1, "annotations": []}, '
        '"a": {"duration": 2, "annotations": []}}}'
    )
    done = convert_annotations([path], tmp_path / 'out', 'csv')
    assert done.notes == ("'a' occurs more than once in an object: only the last is read",)


def test_actions_that_stand_twice(tmp_path):
    path = tmp_path / 'mine.csv'
    path.write_text(
        'video,start,end,label,duration\nv_1,1,2,run,10\nv_1,1,2,jump,10\nv_1,1,2.0,run,10\n'
    )
    done = convert_annotations([path], tmp_path / 'out', 'csv')
    (warning,) = done.warnings
    assert '1 segments equal another one' in warning and "'v_1' 'run' [1, 2] and [1, 2]" in warning
    assert len(done.videos['v_1'].annotations) == 3


def test_durations_of_other_videos(tmp_path):
    (tmp_path / 'mine.csv').write_text(CSV)
    (tmp_path / 'durations.csv').write_text('video,duration\nv_1.mp4,10\nv_2.mp4,9\n')
    with pytest.raises(
        AnnotationError,
        match=(
            r"mine.csv: no duration is known for 2 of 2 videos: 'v_1', 'v_2'. "
            r'.*durations.csv has 2 videos: '
            "'v_1.mp4', 'v_2.mp4'"
        ),
    ):
        convert_annotations(
            [tmp_path / 'mine.csv'], tmp_path / 'out', 'csv', durations=tmp_path / 'durations.csv'
        )
