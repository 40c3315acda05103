"""Average precision: the official figures, a plain reference implementation, and properties."""

import time

import numpy as np
import pytest

from sola_plugin.evaluation import average_precision
from tests.reference import ACTIVITYNET_CASES, ALL_CASES, PUBLIC_CASES, THUMOS14_CASES
from tests.reference_evaluators import plain_average_precision, plain_map


def random_case(seed):
    """Coarse times and scores, so that ties, duplicates and empty videos and segments occur."""
    rng = np.random.default_rng(seed)
    videos, labels = [f'v{i}' for i in range(rng.integers(1, 5))], list('abc')

    def entries(number, names, scored):
        result = []
        for _ in range(number):
            start, end = np.sort(rng.integers(0, 8, 2)).tolist()
            entry = {'segment': [start, end], 'label': names[rng.integers(len(names))]}
            result.append({**entry, 'score': rng.integers(0, 6) / 5} if scored else entry)
        return result

    truth = {v: entries(rng.integers(0, 6), labels, False) for v in videos}
    truth['v0'] = truth['v0'] or [{'segment': [1, 4], 'label': 'a'}]
    found = {
        v: entries(rng.integers(0, 12), [*labels, 'never true'], True)
        for v in [*videos[1:], 'unknown video']
    }
    return truth, found


@pytest.mark.parametrize('name', ALL_CASES)
def test_equals_the_official_evaluator(load_reference, name):
    """On made sets: a plain one, which the next test compares with the official figures."""
    expected, ground_truth, detections = load_reference('map', name)
    result = average_precision(ground_truth, detections, expected['tiou'])
    np.testing.assert_allclose(result.mAP, expected['mAP'], rtol=0, atol=1e-9)
    assert result.average == pytest.approx(expected['avg'], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize('name', PUBLIC_CASES)
def test_the_plain_implementation_is_the_official_one(load_reference, name):
    expected, ground_truth, detections = load_reference('map', name)
    figures = plain_map(ground_truth, detections, expected['tiou'][::4])
    assert figures == pytest.approx(expected['mAP'][::4], abs=1e-9)


def test_activitynet_takes_about_a_second_or_less(load_reference):
    _, ground_truth, detections = load_reference('map', 'anet_dev')
    start = time.process_time()
    average_precision(ground_truth, detections)
    assert time.process_time() - start < 2  # 0.07 s on an idle core


@pytest.mark.parametrize('seed', range(60))
def test_equals_the_plain_implementation(seed):
    truth, found = random_case(seed)
    thresholds = [0.2, 0.5, 0.75, 1.0]
    result = average_precision(truth, found, thresholds)
    assert result.labels == tuple(sorted({a['label'] for x in truth.values() for a in x}))
    expected = [
        [plain_average_precision(truth, found, label, t) for t in thresholds]
        for label in result.labels
    ]
    np.testing.assert_allclose(result.per_class, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', THUMOS14_CASES)
def test_perfect_detections(load_reference, name):
    _, truth, _ = load_reference('map', name)
    found = {v: [{**a, 'score': 1.0 - i / 1000} for i, a in enumerate(x)] for v, x in truth.items()}
    assert average_precision(truth, found, [0.5, 1.0]).mAP.tolist() == [1.0, 1.0]


@pytest.mark.parametrize('name', THUMOS14_CASES)
def test_order_of_videos_and_names_of_classes_do_not_matter(load_reference, name):
    _, truth, found = load_reference('map', name)
    before = average_precision(truth, found, 'thumos14')
    rename = {label: f'{i:03d}' for i, label in enumerate(reversed(before.labels))}

    def shuffled(per_video):
        return {
            v: [{**e, 'label': rename[e['label']]} for e in per_video[v]]
            for v in sorted(per_video, key=lambda v: v[::-1])
        }

    after = average_precision(shuffled(truth), shuffled(found), 'thumos14')
    np.testing.assert_allclose(after.mAP, before.mAP, rtol=0, atol=1e-12)
    np.testing.assert_allclose(after.per_class, before.per_class[::-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', THUMOS14_CASES)
def test_only_the_order_of_scores_matters(load_reference, name):
    _, truth, found = load_reference('map', name)
    logits = {
        v: [{**d, 'score': 1e3 * np.log(d['score']) - 5} for d in x] for v, x in found.items()
    }
    before, after = average_precision(truth, found), average_precision(truth, logits)
    assert before.average > 0 and np.array_equal(before.per_class, after.per_class)


@pytest.mark.parametrize('name', ACTIVITYNET_CASES)
def test_higher_threshold_never_gains(load_reference, name):
    _, truth, found = load_reference('map', name)
    assert np.all(np.diff(average_precision(truth, found).mAP) <= 0)


def entry(start, end, label='a', score=None):
    result = {'segment': [start, end], 'label': label}
    return result if score is None else {**result, 'score': score}


def test_second_detection_of_a_segment_is_a_false_positive():
    truth = {'v': [entry(0, 10), entry(20, 30)]}
    found = {'v': [entry(0, 10, score=0.9), entry(0, 10, score=0.8), entry(20, 30, score=0.7)]}
    assert average_precision(truth, found, [0.5]).mAP[0] == pytest.approx((1 + 2 / 3) / 2)


def test_repeated_annotations_are_segments_of_their_own():
    truth, once = {'v': [entry(0, 10), entry(0, 10)]}, entry(0, 10, score=0.9)
    assert average_precision(truth, {'v': [once]}, [0.5]).mAP[0] == 0.5
    assert average_precision(truth, {'v': [once, once]}, [0.5]).mAP[0] == 1


def test_taken_segment_leaves_the_next_best():
    truth = {'v': [entry(0, 10), entry(4, 12)]}
    found = {'v': [entry(0, 10, score=0.9), entry(1, 10, score=0.8)]}
    assert average_precision(truth, found, [0.5]).mAP[0] == 1


def test_of_equal_scores_the_later_detection_comes_first():
    truth = {'v': [entry(0, 10)]}
    good, bad = entry(0, 10, score=0.5), entry(50, 60, score=0.5)
    assert average_precision(truth, {'v': [bad, good]}, [0.5]).mAP[0] == 1
    assert average_precision(truth, {'v': [good, bad]}, [0.5]).mAP[0] == 0.5


def test_of_equal_tious_the_later_segment_is_taken():
    # The first detection fits both segments alike, the second only one of them.
    first, second = entry(2, 8, score=0.9), entry(6, 10, score=0.8)
    left, right = entry(0, 6), entry(4, 10)
    assert average_precision({'v': [right, left]}, {'v': [first, second]}, [0.5]).mAP[0] == 1
    assert average_precision({'v': [left, right]}, {'v': [first, second]}, [0.5]).mAP[0] == 0.5


def test_threshold_itself_matches():
    assert (
        average_precision({'v': [entry(0, 10)]}, {'v': [entry(0, 5, score=1)]}, [0.5]).mAP[0] == 1
    )


def test_detection_without_length_matches_a_segment_without_length():
    truth, found = {'v': [entry(3, 3)]}, {'v': [entry(7, 7, score=1), entry(3, 4, score=2)]}
    assert average_precision(truth, found, [1.0]).mAP[0] == 0.5


def test_classes_without_detections_count_and_classes_without_truth_do_not():
    truth = {'v': [entry(0, 10, 'a'), entry(0, 10, 'b')]}
    found = {
        'v': [entry(0, 10, 'a', 0.9), entry(0, 10, 'c', 0.9), entry(0, 10, 'c', 0.8)],
        'w': [entry(0, 10, 'd', 0.9)],
    }
    result = average_precision(truth, found, [0.5])
    assert result.labels == ('a', 'b')
    assert result.per_class.tolist() == [[1.0], [0.0]]
    assert result.average == 0.5
    assert result.ignored == {'c': 2, 'd': 1}


@pytest.mark.parametrize('listed', [True, False])
def test_detections_in_videos_without_truth_are_false_positives(listed):
    truth = {'v': [entry(0, 10)], **({'w': []} if listed else {})}
    found = {'v': [entry(0, 10, score=0.1)], 'w': [entry(0, 10, score=0.9)]}
    result = average_precision(truth, found, [0.5])
    assert result.mAP[0] == 0.5
    assert result.unknown_videos == (0 if listed else 1)


@pytest.mark.parametrize('found', [{}, {'v': []}, {'v': [entry(0, 1, 'other', 0.5)]}])
def test_nothing_found(found):
    assert average_precision({'v': [entry(0, 10)]}, found).mAP.tolist() == [0.0] * 10


def test_to_dict():
    result = average_precision({'v': [entry(0, 10)]}, {'v': [entry(0, 8, score=0.9)]}, [0.7, 0.9])
    assert result.to_dict() == {'average': 0.5, 'per_tiou': {'0.7': 1.0, '0.9': 0.0}}


@pytest.mark.parametrize('name', THUMOS14_CASES)
def test_to_dict_per_class(load_reference, name):
    _, truth, found = load_reference('map', name)
    result = average_precision(truth, found, '0.3:0.1:0.7')
    figures = result.to_dict(per_class=True)
    per_class = figures.pop('per_class')
    assert figures == result.to_dict() and list(per_class) == list(result.labels)
    for label, row in zip(result.labels, result.per_class):
        assert per_class[label]['average'] == row.mean()
        assert per_class[label]['per_tiou'] == dict(zip(('0.3', '0.4', '0.5', '0.6', '0.7'), row))


def test_inputs_are_left_alone():
    truth, found = random_case(3)
    before = repr((truth, found))
    average_precision(truth, found)
    assert repr((truth, found)) == before


@pytest.mark.parametrize(
    'bad, message',
    [
        ({'segment': [0, 1], 'label': 'a'}, "detections: an entry of video 'w' has no 'score'"),
        ({'segment': [0, 1], 'score': 1.0}, "detections: an entry of video 'w' has no 'label'"),
        (entry(0, 1, score=float('nan')), "score .*nan.* of video 'w' is not a finite number"),
        (entry(2, 1, score=1.0), r"segment \[2, 1\] of video 'w' is not .*start <= end"),
        (entry(0, float('inf'), score=1.0), r"segment \[0, inf\] of video 'w' is not finite"),
        ({'segment': [0, 1, 2], 'label': 'a', 'score': 1.0}, r"of video 'w' is not a pair"),
    ],
)
def test_bad_detections_name_their_video(bad, message):
    with pytest.raises(ValueError, match=message):
        average_precision({'v': [entry(0, 1)]}, {'v': [entry(0, 1, score=1.0)], 'w': [bad]})


def test_ground_truth_without_segments_is_refused():
    with pytest.raises(ValueError, match='none of the 2 videos has an annotated segment'):
        average_precision({'v': [], 'w': []}, {})


def test_bad_ground_truth_names_its_video():
    with pytest.raises(ValueError, match="ground truth: segment .* of video 'w'"):
        average_precision({'v': [entry(0, 1)], 'w': [entry(5, 4)]}, {})
