"""Annotation files: both forms, whole sets, and what is said about bad ones."""

from __future__ import annotations

import gzip
import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from sola_plugin.datasets.annotations.model import (
    AnnotationError,
    Video,
    check_segments,
    choose_subset,
    first_few,
    load_annotations,
)
from tests.reference import ACTIVITYNET_SETS, THUMOS14_SETS, database_of


def action(start: float, end: float, label: str = 'run') -> dict:
    return dict(segment=[start, end], label=label)


def video(*actions: dict, duration: float = 10.0) -> Video:
    return Video(duration, 'training', actions)


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def entry(**changes) -> dict:
    return {**dict(duration=10, subset='training', annotations=[action(1, 2)]), **changes}


# --- whole sets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'name, subsets, num_segments, num_labels',
    [
        ('thumos14-like', {'train': 30, 'test': 40}, 1699, 6),
        ('activitynet-like', {'training': 120, 'validation': 240, 'testing': 6}, 657, 20),
        ('thumos14', {'train': 200, 'test': 210}, 6318, 20),
        ('activitynet-1.3', {'training': 9649, 'validation': 4728}, 22152, 200),
    ],
    ids=['thumos14-like', 'activitynet-like', 'thumos14', 'activitynet-1.3'],
)
def test_real_files(annotation_file, name, subsets, num_segments, num_labels):
    videos = load_annotations(annotation_file(name))
    counted = [one.subset for one in videos.values()]
    assert {subset: counted.count(subset) for subset in subsets} == subsets
    assert len(videos) == sum(subsets.values())
    actions = [one for each in videos.values() for one in each.annotations]
    assert len(actions) == num_segments
    assert len({one['label'] for one in actions}) == num_labels
    assert all(each.feature_span is None for each in videos.values())


@pytest.mark.parametrize('name', THUMOS14_SETS)
def test_values_are_those_of_the_file(annotation_file, name):
    videos = load_annotations(annotation_file(name))
    assert {
        video_id: dict(
            subset=each.subset, duration=each.duration, annotations=list(each.annotations)
        )
        for video_id, each in videos.items()
    } == database_of(name)


def test_thumos_values_are_those_of_the_file(annotation_file):
    video_896 = load_annotations(annotation_file('thumos14'))['video_test_0000896']
    assert (video_896.duration, video_896.subset) == (104.8, 'test')
    assert video_896.annotations[0] == action(18.6, 24.8, 'HighJump')


@pytest.mark.parametrize(
    ('name', 'num_clipped'), list(zip(ACTIVITYNET_SETS, (16, 71))), ids=ACTIVITYNET_SETS
)
def test_activitynet_loses_three_segments_and_has_71_clipped(annotation_file, name, num_clipped):
    """In its validation set; a made one has others."""
    videos = {
        video_id: each
        for video_id, each in load_annotations(annotation_file(name)).items()
        if each.subset == 'validation'
    }
    clean, dropped = check_segments(videos)
    if name == 'activitynet-1.3':
        assert dropped == [
            "'6kgJx6ahgq0' [0, 0] of 72.66 s",
            "'QhiKgeJV3k0' [4.10395, 4.10395] of 195.05 s",
            "'e6J_ygZ779A' [142.281, 142.281] of 142.32 s",
        ]
    else:
        assert len(dropped) == 16 and any('[0, 0]' in one for one in dropped)
    raw = {video_id: database_of(name)[video_id] for video_id in videos}
    expected = {
        name: [
            [one['segment'][0], min(one['segment'][1], each['duration'])]
            for one in each['annotations']
            if one['segment'][0] != one['segment'][1]
        ]
        for name, each in raw.items()
    }
    assert {
        name: [one['segment'] for one in each.annotations] for name, each in clean.items()
    } == expected
    assert (
        sum(
            one['segment'][1] > each['duration']
            for each in raw.values()
            for one in each['annotations']
        )
        == num_clipped
    )


@pytest.mark.parametrize('name', THUMOS14_SETS)
def test_thumos_is_clean(annotation_file, name):
    videos = load_annotations(annotation_file(name))
    clean, dropped = check_segments(videos)
    assert clean == videos and dropped == []


@pytest.mark.parametrize('name', THUMOS14_SETS)
@pytest.mark.parametrize('fps', [25, 30])
def test_real_segments_in_frames_are_recognised(annotation_file, fps, name):
    videos = {
        video_id: Video(
            each.duration,
            each.subset,
            tuple(action(*(time * fps for time in one['segment'])) for one in each.annotations),
        )
        for video_id, each in load_annotations(annotation_file(name)).items()
    }
    with pytest.raises(
        AnnotationError,
        match=(
            r'in (41\d of 41\d|70 of 70) annotated videos a segment ends beyond 1.5 times the '
            rf'duration .*seem to be frames. Divide by fps \(here probably {fps}\)'
        ),
    ):
        check_segments(videos)


@pytest.mark.parametrize(
    ('factor', 'unit'),
    [(1_000, 'milliseconds. Divide by 1,000'), (1_000_000, 'microseconds. Divide by 1,000,000')],
)
@pytest.mark.parametrize('share', [0.25, 1.0])
def test_other_units_than_frames_are_recognised(factor, unit, share):
    videos = {
        f'v{i}': Video(80.0, 'x', (action(10 * share * factor, 80 * share * factor),))
        for i in range(9)
    }
    with pytest.raises(AnnotationError, match=f'these seem to be {unit}'):
        check_segments(videos)


# --- the two forms --------------------------------------------------------------------------------


@pytest.mark.parametrize('compressed', [False, True])
def test_database_form(tmp_path, compressed):
    content = json.dumps(dict(version='1', database={'-x_/é': entry()})).encode()
    path = tmp_path / 'annotations.json'
    path.write_bytes(gzip.compress(content) if compressed else content)
    assert load_annotations(path) == {'-x_/é': Video(10.0, 'training', (action(1, 2),))}


def test_flat_form(tmp_path):
    path = write(
        tmp_path / 'a.json',
        {
            'v_1': dict(
                duration_second=211.53,
                duration_frame=6337,
                feature_frame=6336,
                fps=30.0,
                annotations=[action(30.0, 205.2)],
            ),
            'v_2': dict(duration_second=20, annotations=[]),
        },
    )
    videos = load_annotations(path)
    assert videos['v_1'].duration == 211.53 and videos['v_1'].subset is None
    # mmaction2's "corrected second"
    assert videos['v_1'].feature_span == (0.0, pytest.approx(float(6336) / 6337 * 211.53))
    assert (videos['v_1'].num_frames, videos['v_1'].fps) == (6337, 30.0)
    assert videos['v_2'] == Video(20.0)


def test_videos_are_frozen():
    with pytest.raises(FrozenInstanceError):
        video().duration = 3  # type: ignore[misc]


# --- bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            dict(duration='10 s'),
            "video 'v': expected a positive number under 'duration', got '10 s'",
        ),
        (
            dict(duration=[10]),
            r"video 'v': expected a positive number under 'duration', got \[10\]",
        ),
        (dict(fps=0), "video 'v': expected a positive number under 'fps', got 0"),
        (dict(frame='300'), "video 'v': expected a positive number under 'frame', got '300'"),
        (dict(duration=0), "video 'v': expected a positive number under 'duration', got 0"),
        (dict(duration=float('nan')), "expected a positive number under 'duration', got nan"),
        (dict(subset=3), "video 'v': expected text under 'subset', got 3"),
        (dict(annotations={}), r"expected a list under 'annotations' .* got dict"),
        (dict(annotations=[3]), "video 'v', annotation 0: expected an object, got int"),
        (
            dict(annotations=[action(1, 2), dict(segment=[1, 2])]),
            r"video 'v', annotation 1: key 'label' is missing; there are \['segment'\]",
        ),
        (dict(annotations=[action(1, 2, label=5)]), "expected text under 'label', got 5"),
        (
            dict(annotations=[action(1, float('nan'))]),
            r"annotation 0: expected \[start, end\] in seconds under 'segment', got \[1, nan\]",
        ),
        (dict(annotations=[action(1, float('inf'))]), r'got \[1, inf\]'),
        (dict(annotations=[action('1', 2)]), r"got \['1', 2\]"),
        (dict(annotations=[action(True, 2)]), r'got \[True, 2\]'),
        (dict(annotations=[dict(segment=[1, 2, 3], label='a')]), r'got \[1, 2, 3\]'),
    ],
)
def test_bad_values_name_file_video_and_key(tmp_path, changes, message):
    path = write(tmp_path / 'a.json', dict(database=dict(v=entry(**changes))))
    with pytest.raises(AnnotationError, match=f'a.json: .*{message}'):
        load_annotations(path)


@pytest.mark.parametrize('key', ['duration', 'annotations'])
def test_missing_keys(tmp_path, key):
    content = entry()
    del content[key]
    path = write(tmp_path / 'a.json', dict(database=dict(v=content)))
    with pytest.raises(AnnotationError, match=f"a.json: video 'v': key '{key}' is missing; there"):
        load_annotations(path)


@pytest.mark.parametrize(
    'content, message',
    [
        ([1], 'expected a JSON object, got list'),
        (dict(database=[]), "expected an object under 'database', got list"),
        (
            dict(version='1', results={}),
            "video 'version': expected an object, got str. Known forms",
        ),
        (dict(v=entry()), "key 'duration_second' is missing"),
        (
            dict(v=dict(duration_second=3, duration_frame=0, feature_frame=5, annotations=[])),
            "expected a positive number under 'duration_frame', got 0",
        ),
    ],
)
def test_other_json(tmp_path, content, message):
    with pytest.raises(AnnotationError, match=f'a.json: .*{message}'):
        load_annotations(write(tmp_path / 'a.json', content))


@pytest.mark.parametrize('compressed', [False, True])
def test_truncated_file(tmp_path, compressed):
    content = json.dumps(dict(database={f'v_{i}': entry() for i in range(50)})).encode()
    content = gzip.compress(content) if compressed else content
    (tmp_path / 'a.json').write_bytes(content[:-20])
    kind = 'complete gzip data' if compressed else 'complete JSON'
    with pytest.raises(AnnotationError, match=f'a.json: not {kind} .* may be truncated'):
        load_annotations(tmp_path / 'a.json')


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.json'):
        load_annotations(tmp_path / 'nothing.json')


# --- segments -------------------------------------------------------------------------------------


def test_clip_and_drop():
    good = {f'v_{i}': video(action(1, 2)) for i in range(9)}
    bad = video(
        action(-1, 3), action(9, 10.5), action(4, 4), action(6, 5), action(12, 13), action(-3, -1)
    )
    clean, dropped = check_segments({**good, 'bad': bad})
    assert clean['bad'].annotations == (action(0, 3), action(9, 10))
    assert dropped == [
        "'bad' [4, 4] of 10 s",
        "'bad' [6, 5] of 10 s",
        "'bad' [12, 13] of 10 s",
        "'bad' [-3, -1] of 10 s",
    ]
    assert bad.annotations[0] == action(-1, 3), 'the input is left alone'
    assert all(clean[name] == good[name] for name in good)


def test_reversed_in_more_than_half():
    videos = {'v_1': video(action(5, 2), action(1, 2)), 'v_2': video(action(4, 1), action(3, 2))}
    with pytest.raises(
        AnnotationError,
        match=(
            r"3 of 4 segments end before they start \('v_1' \[5, 2\], 'v_2' \[4, 1\], 'v_2' "
            r'\[3, 2\]\): expected \[start, end\] .* \[start, length\]'
        ),
    ):
        check_segments(videos)


def test_frames_in_half_of_the_videos_are_dropped():
    videos = {'v_1': video(action(100, 200)), 'v_2': video(action(1, 2))}
    clean, dropped = check_segments(videos)
    assert clean['v_1'].annotations == () and dropped == ["'v_1' [100, 200] of 10 s"]
    with pytest.raises(AnnotationError, match='in 2 of 3 annotated videos'):
        check_segments({**videos, 'v_3': video(action(9, 15.1))})
    assert len(check_segments({**videos, 'v_3': video(action(9, 14.9))})[1]) == 1


def test_videos_without_annotations_do_not_hide_frames():
    videos = {f'v_{i}': video() for i in range(10)}
    videos['v_0'] = video(action(100, 200))
    with pytest.raises(AnnotationError, match=r'in 1 of 1 annotated .*\(at up to 20 times\)'):
        check_segments(videos)


def test_unknown_labels():
    videos = {
        'v_1': video(action(1, 2, 'HighJmp'), action(1, 2, 'HighJmp'), action(1, 2, '???')),
        'v_2': video(action(1, 2, 'LongJump')),
    }
    with pytest.raises(
        AnnotationError,
        match=(
            r"not among the 2 classes: 'HighJmp' \(2 times, did you mean 'HighJump'\?\), "
            r"'\?\?\?' \(1 times\). Correct"
        ),
    ):
        check_segments(videos, ['HighJump', 'LongJump'])
    assert check_segments(videos, ['HighJmp', 'LongJump', '???']) == (videos, [])


def test_no_videos():
    assert check_segments({}) == ({}, [])


def test_first_few():
    assert first_few([]) == ''
    assert first_few('abc') == 'a, b, c'
    assert first_few(range(5), 2) == '0, 1 and 3 more'


def test_subsets_of_annotations_without_any():
    videos = {'a': Video(10.0)}
    assert choose_subset(videos, None) == videos
    with pytest.raises(AnnotationError, match="have no subsets, got subset='training': leave it"):
        choose_subset(videos, ['training'])


def test_choose_subset():
    videos = {'a': Video(1.0, 'training'), 'b': Video(1.0, 'validation'), 'c': Video(1.0)}
    assert choose_subset(videos, None) == videos
    assert list(choose_subset(videos, ['validation', None])) == ['b', 'c']
    with pytest.raises(
        AnnotationError,
        match=(
            r"one of the subsets 'training' \(1 videos\), 'validation' \(1 videos\), None "
            r'\(1 videos\), got '
            "subset='testing'"
        ),
    ):
        choose_subset(videos, ['testing'])
