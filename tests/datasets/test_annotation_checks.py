"""Faults of annotations: each with its message, on made data and on whole annotation sets."""

from __future__ import annotations

import gzip
import json

import pytest

from sola_plugin.datasets.annotations.checks import check_annotation_file, check_annotations
from sola_plugin.datasets.annotations.model import (
    AnnotationError,
    Video,
    check_segments,
    load_annotations,
)
from sola_plugin.datasets.findings import Finding
from tests.reference import THUMOS14_SETS, database_of


def action(start: float, end: float, label: str = 'run') -> dict:
    return dict(segment=[start, end], label=label)


def video(*actions: dict, duration: float = 10.0, subset: str | None = 'training') -> Video:
    return Video(duration, subset, actions)


def found(videos: dict[str, Video], classes: list[str] | None = None) -> dict[str, Finding]:
    """Findings by kind, which must not repeat; without the two that every data set has."""
    findings = check_annotations(videos, classes)
    by_kind = {finding.kind: finding for finding in findings}
    assert len(by_kind) == len(findings)
    del by_kind['contents']
    return by_kind


def only(findings: dict[str, Finding], kind: str) -> Finding:
    assert set(findings) == {kind}
    return findings[kind]


# --- one fault each -------------------------------------------------------------------------------


def test_sound_videos():
    videos = {'v_1': video(action(0, 3), action(4, 10)), 'v_2': video(action(1, 2, 'jump'))}
    (contents,) = check_annotations(videos, ['run', 'jump'])
    assert contents == Finding(
        'info',
        'contents',
        '2 videos',
        1,
        ("'training': 2 videos, 3 segments, 2 labels; length 1 to 6 s, median 3 s",),
    )


@pytest.mark.parametrize(
    ('actions', 'level', 'kind', 'message', 'example'),
    [
        (
            [action(6, 5)],
            'error',
            'reversed',
            '1 segments end before they start: training leaves them out, evaluation stops',
            "'bad' [6, 5] of 10 s",
        ),
        (
            [action(4, 4)],
            'warning',
            'no-length',
            '1 segments have no length: training leaves them out',
            "'bad' [4, 4] of 10 s",
        ),
        (
            [action(10.5, 12)],
            'warning',
            'outside',
            '1 segments lie outside their video',
            "'bad' [10.5, 12] of 10 s",
        ),
        (
            [action(9, 10.75)],
            'warning',
            'beyond-the-video',
            '1 segments reach out of their video, by up to 0.75 s',
            "'bad' [9, 10.75] of 10 s",
        ),
        (
            [action(-2, 1), action(9, 10.5)],
            'warning',
            'beyond-the-video',
            '2 segments reach out of their video, by up to 2 s',
            "'bad' [-2, 1] of 10 s",
        ),
        (
            [action(1, 5), action(2, 3, 'jump'), action(1, 5)],
            'warning',
            'duplicates',
            '1 segments equal another one of the same video and label',
            "'bad' 'run' [1, 5] and [1, 5]",
        ),
        (
            [action(1, 5), action(1, 5.2)],
            'warning',
            'near-duplicates',
            '1 segments have a tIoU of at least 0.9 with another one',
            "'bad' 'run' [1, 5.2] and [1, 5]",
        ),
        (
            [action(1, 5), action(4, 8)],
            'info',
            'overlaps',
            '1 segments overlap another one',
            "'bad' 'run' [4, 8] and [1, 5]",
        ),
        ([], 'info', 'no-actions', '1 videos have no action: training leaves them out', "'bad'"),
    ],
)
def test_faults_of_segments(actions, level, kind, message, example):
    videos = {f'v_{i}': video(action(1, 2), action(3, 4, 'jump')) for i in range(9)}
    finding = only(found({**videos, 'bad': video(*actions)}), kind)
    assert finding.level == level and finding.message.startswith(message)
    assert finding.examples[0] == example


def test_equal_segments_count_once_for_each_that_is_too_many():
    """Four equal segments are three too many, also where they have no length."""
    videos = {
        'v_1': video(*[action(1, 5)] * 4, action(1, 5, 'jump')),
        'v_2': video(action(3, 3), action(3, 3)),
    }
    findings = found(videos)
    assert findings['duplicates'].count == 4 and set(findings) == {'duplicates', 'no-length'}


def test_touching_segments_do_not_overlap():
    assert found({'v_1': video(action(1, 2), action(2, 3), action(1.5, 2.5, 'jump'))}) == {}


def test_frames_are_reported_as_check_segments_reports_them():
    videos = {f'v_{i}': video(action(100 + i, 200)) for i in range(3)}
    with pytest.raises(AnnotationError) as caught:
        check_segments(videos)
    findings = found(videos)
    assert findings['segments-in-frames'] == Finding(
        'error', 'segments-in-frames', str(caught.value), 3
    )
    # What follows from the wrong unit is not reported once more.
    assert set(findings) == {'segments-in-frames', 'duration-too-short'}


def test_reversed_files_are_reported_as_check_segments_reports_them():
    videos = {'v_1': video(action(5, 2), action(4, 3), action(7, 8))}
    with pytest.raises(AnnotationError) as caught:
        check_segments(videos)
    assert only(found(videos), 'mostly-reversed') == Finding(
        'error', 'mostly-reversed', str(caught.value), 2
    )


def test_unknown_labels_are_reported_as_check_segments_reports_them():
    videos = {'v_1': video(action(1, 2, 'HighJmp'), action(3, 4, 'LongJump'))}
    with pytest.raises(AnnotationError) as caught:
        check_segments(videos, ['HighJump', 'LongJump'])
    findings = found(videos, ['HighJump', 'LongJump'])
    assert findings['unknown-labels'] == Finding('error', 'unknown-labels', str(caught.value), 1)
    assert findings['unused-classes'].examples == ("'HighJump'",)


def test_single_videos_with_a_wrong_duration():
    videos = {f'v_{i}': video(action(1, 2)) for i in range(9)}
    findings = found({**videos, 'bad': video(action(30, 60))})
    assert findings['duration-too-short'].examples == ("'bad': 10 s, latest end 60 s",)
    assert set(findings) == {'duration-too-short', 'outside'}


def test_everything_in_frames():
    videos = {
        'v_1': video(action(30, 60), duration=3000.0),
        'v_2': video(action(600, 900), duration=1500.0),
    }
    finding = only(found(videos), 'all-in-frames')
    assert (
        finding.level == 'warning'
        and 'the median of 2 videos is 2250 long: if these are frames' in (finding.message)
    )
    seconds = {**videos, 'v_3': video(action(30.5, 60), duration=2000.0)}
    assert found(seconds) == {}


def test_classes_and_labels_that_are_missing_somewhere():
    videos = {
        'v_1': video(action(1, 2), action(3, 4, 'jump')),
        'v_2': video(action(1, 2), subset='validation'),
        'v_3': video(subset='testing'),
    }
    findings = found(videos, ['run', 'jump', 'swim'])
    assert findings['unused-classes'].message.startswith(
        '1 of 3 classes have no segment: are they spelt'
    )
    assert findings['unused-classes'].examples == ("'swim'",)
    assert findings['labels-of-other-subsets'].message.startswith(
        "1 labels have no segment in subset 'validation', but in others"
    )
    assert findings['labels-of-other-subsets'].examples == ("'jump'",)
    assert set(findings) == {'unused-classes', 'labels-of-other-subsets', 'no-actions'}


def test_no_videos():
    (finding,) = check_annotations({})
    assert (finding.level, finding.kind) == ('error', 'no-videos')


def test_level_is_checked():
    with pytest.raises(ValueError, match="level is 'fatal', expected one of"):
        Finding('fatal', 'x', 'y')


# --- files ----------------------------------------------------------------------------------------


def entry(**changes) -> dict:
    return {**dict(duration=10, subset='training', annotations=[action(1, 2)]), **changes}


def test_all_videos_that_cannot_be_read_are_reported(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(
        json.dumps(
            dict(
                database=dict(
                    v_1=entry(duration=0),
                    v_2=entry(),
                    v_3=entry(annotations=[action(1, 2), dict(segment=[1])]),
                    v_4=7,
                )
            )
        )
    )
    with pytest.raises(AnnotationError, match="a.json: video 'v_1': expected a positive number"):
        load_annotations(path)
    videos, (finding,) = check_annotation_file(path)
    assert list(videos) == ['v_2'] and (finding.level, finding.kind) == (
        'error',
        'annotation-values',
    )
    assert (
        finding.message.startswith(f'{path}: 3 of 4 videos cannot be read') and finding.count == 3
    )
    assert [example.partition(':')[0] for example in finding.examples] == [
        "video 'v_1'",
        "video 'v_3', annotation 1",
        "video 'v_4'",
    ]


def test_repeated_ids_and_keys(tmp_path):
    path = tmp_path / 'a.json'
    one = json.dumps(entry())
    path.write_text(
        f'{{"database": {{"v_1": {one}, "v_2": {{"duration": 5, {one[1:]}, "v_1": {one}}}}}'
    )
    videos, (finding,) = check_annotation_file(path)
    assert list(videos) == ['v_1', 'v_2'] and videos == load_annotations(path)
    assert (finding.level, finding.kind, finding.count) == ('error', 'repeated-keys', 2)
    assert finding.examples == ("'duration'", "'v_1'")


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'{"database": {', 'not complete JSON'),
        (b'', 'the file is empty'),
        (b'\x00\xff\x81\x00', 'expected '),
        (gzip.compress(b'{"database": {}}', mtime=0)[:-6], 'not complete gzip data'),
        (b'[1]', 'expected a JSON object, got list'),
        (b'{"database": 3}', "expected an object under 'database'"),
    ],
    ids=['cut', 'empty', 'no text', 'cut gzip', 'list', 'number'],
)
def test_files_that_cannot_be_read_at_all(tmp_path, content, message):
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    videos, (finding,) = check_annotation_file(path)
    assert videos == {} and (finding.level, finding.kind) == ('error', 'annotation-file')
    assert f'a.json: {message}' in finding.message


@pytest.mark.parametrize(
    ('name', 'message'), [('nothing.json', 'check the path'), ('.', 'expected text files such as')]
)
def test_missing_file_and_folder(tmp_path, name, message):
    videos, (finding,) = check_annotation_file(tmp_path / name)
    assert videos == {} and finding.kind == 'annotation-file' and message in finding.message


# --- whole annotation sets, against naive loops ---------------------------------------------------


def naive_counts(database: dict) -> dict[str, int]:
    counts = dict.fromkeys(
        ('no-length', 'beyond-the-video', 'duplicates', 'near-duplicates', 'overlaps'), 0
    )
    for each in database.values():
        earlier: list[dict] = []
        for one in each['annotations']:
            start, end = one['segment']
            counts['no-length'] += start == end
            counts['beyond-the-video'] += start < end and end > each['duration']
            best = 0.0
            for other in earlier:
                if other['label'] == one['label']:
                    inter = max(
                        0.0, min(end, other['segment'][1]) - max(start, other['segment'][0])
                    )
                    union = max(end, other['segment'][1]) - min(start, other['segment'][0])
                    best = max(best, inter / union if union else 0.0)
            if any(other == one for other in earlier):
                counts['duplicates'] += 1
            elif best >= 0.9:
                counts['near-duplicates'] += 1
            else:
                counts['overlaps'] += best > 0
            earlier.append(one)
    return counts


def test_activitynet(annotation_file):
    """The file has the 4728 of 4926 validation videos that features exist for."""
    name = 'activitynet-1.3'
    videos, problems = check_annotation_file(annotation_file(name))
    assert problems == []
    findings = found({v: x for v, x in videos.items() if x.subset == 'validation'})
    database = {v: x for v, x in database_of(name).items() if x['subset'] == 'validation'}
    assert (
        {kind: finding.count for kind, finding in findings.items()}
        == naive_counts(database)
        == {
            'no-length': 3,
            'beyond-the-video': 71,
            'duplicates': 17,
            'near-duplicates': 4,
            'overlaps': 76,
        }
    )
    assert 'by up to 0.848 s' in findings['beyond-the-video'].message
    assert not any(finding.level == 'error' for finding in findings.values())


def test_activitynet_like(annotation_file):
    """Every quirk is found, as often as it was made."""
    videos, problems = check_annotation_file(annotation_file('activitynet-like'))
    assert problems == []
    findings = found(videos)
    counts = {kind: finding.count for kind, finding in findings.items()}
    assert counts.pop('no-actions') == 6
    assert counts == naive_counts(database_of('activitynet-like'))
    assert counts['no-length'] == counts['beyond-the-video'] == 24 and counts['duplicates'] == 12
    assert counts['near-duplicates'] >= 12 and counts['overlaps'] >= 12
    assert not any(finding.level == 'error' for finding in findings.values())


@pytest.mark.parametrize(('name', 'overlaps'), [*zip(THUMOS14_SETS, (9, 8))])
def test_thumos14(annotation_file, name, overlaps):
    videos, _ = check_annotation_file(annotation_file(name))
    counts = naive_counts(database_of(name))
    assert only(found(videos), 'overlaps').count == counts.pop('overlaps') == overlaps
    assert not any(counts.values())


@pytest.mark.parametrize('name', THUMOS14_SETS)
@pytest.mark.parametrize('fps', [25, 30])
def test_thumos14_in_frames(annotation_file, fps, name):
    videos = {
        video_id: Video(
            each.duration,
            each.subset,
            tuple(
                action(*(time * fps for time in one['segment']), one['label'])
                for one in each.annotations
            ),
        )
        for video_id, each in load_annotations(annotation_file(name)).items()
    }
    assert found(videos)['segments-in-frames'].message.endswith(
        f'Divide by fps (here probably {fps})'
    )
