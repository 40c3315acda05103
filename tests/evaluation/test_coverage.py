"""What ground truth and detections have in common."""

import pytest

from sola_plugin.evaluation import measure_coverage


def entries(*labels):
    return [{'segment': [0, 1], 'score': 0.5, 'label': label} for label in labels]


TRUTH = {'a': entries('run', 'run'), 'b': entries('jump'), 'c': [], 'd': entries('swim')}


def test_full():
    coverage = measure_coverage(TRUTH, TRUTH)
    assert (coverage.num_videos, coverage.num_annotated, coverage.num_segments) == (4, 3, 4)
    assert (coverage.num_classes, coverage.num_detections, coverage.num_detected_videos) == (
        3,
        4,
        3,
    )
    assert coverage.warnings == coverage.notes == []


def test_what_is_missing_on_either_side():
    found = {
        'y': entries('run'),
        'a': entries('fly', 'run', 'fly', 'air'),
        'b': [],
        'x': entries('run', 'run'),
        'z': [],
    }
    coverage = measure_coverage(TRUTH, found)
    assert coverage.missing_videos == ('b', 'd')
    assert coverage.unknown_videos == {'x': 2, 'y': 1}
    assert coverage.missing_classes == ('jump', 'swim')
    assert coverage.unknown_labels == {'air': 1, 'fly': 2}
    assert coverage.warnings == [
        '3 of 7 detections have one of 2 labels without ground truth, which mAP and '
        'Recall@kx ignore: '
        "'air', 'fly'",
        '3 of 7 detections lie in 2 videos that the ground truth does not have and count as false '
        "positives: 'x', 'y'",
        "2 of 3 annotated videos have no detections: 'b', 'd'",
    ]
    assert coverage.notes == [
        "2 of 3 classes have no detections, so their average precision is 0: 'jump', 'swim'"
    ]


def test_many_are_counted_and_three_are_named():
    coverage = measure_coverage({f'v{i}': entries('run') for i in range(2000)}, {})
    assert coverage.warnings == [
        "2,000 of 2,000 annotated videos have no detections: 'v0', 'v1', 'v10' and 1997 more"
    ]


@pytest.mark.parametrize('found', [{'a': [{'segment': [0, 1], 'score': 0.5}]}, {}])
def test_without_labels_classes_are_not_compared(found):
    coverage = measure_coverage(TRUTH, found)
    assert coverage.missing_classes == () and coverage.unknown_labels == {}
