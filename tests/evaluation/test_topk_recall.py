"""Recall@kx: ActionFormer's figures, a plain reference implementation, and properties."""

import numpy as np
import pytest

from sola_plugin.evaluation import drop_duplicates, topk_recall
from tests.reference import ALL_CASES, THUMOS14_CASES
from tests.reference_evaluators import plain_topk_recall


def random_case(seed):
    """Coarse times and scores, so that ties, duplicates and empty videos and segments occur."""
    rng = np.random.default_rng(seed)

    def entries(number, labels):
        return [
            {
                'segment': np.sort(rng.integers(0, 8, 2)).tolist(),
                'score': rng.integers(0, 5) / 4,
                'label': labels[rng.integers(len(labels))],
            }
            for _ in range(number)
        ]

    truth = {f'v{i}': entries(rng.integers(0, 6), 'abc') for i in range(4)}
    truth['v0'] = truth['v0'] or entries(1, 'a')
    return truth, {v: entries(rng.integers(0, 25), 'abx') for v in ('v0', 'v1', 'v3', 'unknown')}


@pytest.mark.parametrize('name', ALL_CASES)
def test_equals_actionformer(load_reference, name):
    """On made sets: a plain evaluator."""
    expected, truth, detections = load_reference('actionformer', name)
    result = topk_recall(drop_duplicates(truth), detections, expected['tiou'])
    np.testing.assert_allclose(result.recall, list(expected['recall'].values()), rtol=0, atol=1e-9)


@pytest.mark.parametrize('seed', range(40))
def test_equals_the_plain_implementation(seed):
    truth, detections = random_case(seed)
    thresholds, top_k = [0.25, 0.5, 1.0], (1, 2, 10)
    result = topk_recall(truth, detections, thresholds, top_k)
    expected = [
        [
            [plain_topk_recall(truth, detections, label, t, k) for t in thresholds]
            for label in result.labels
        ]
        for k in top_k
    ]
    np.testing.assert_allclose(result.per_class, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.average, np.mean(expected, axis=(1, 2)), rtol=0, atol=1e-12)


def entry(start, end, label='a', score=None):
    result = {'segment': [start, end], 'label': label}
    return result if score is None else {**result, 'score': score}


def recalls(truth, found, top_k=(1, 2)):
    return topk_recall(truth, found, [0.5], top_k).recall[:, 0].tolist()


def test_number_of_detections_follows_the_truth_of_the_video_and_class():
    """Two true segments of class a in the video: 1x are the two best detections of class a."""
    truth = {'v': [entry(0, 10), entry(20, 30), entry(40, 50, 'b')]}
    found = {
        'v': [
            entry(90, 99, 'b', 0.9),
            entry(90, 99, score=0.8),
            entry(0, 10, score=0.7),
            entry(20, 30, score=0.6),
            entry(40, 50, 'b', 0.5),
        ]
    }
    assert recalls(truth, found, (1, 2, 3)) == [(1 / 2 + 0) / 2, 1, 1]


def test_one_detection_may_find_several_segments():
    truth = {'v': [entry(0, 10), entry(1, 10)]}
    assert recalls(truth, {'v': [entry(0, 10, score=1)]}) == [1, 1]


def test_a_repeated_detection_takes_a_place():
    truth, again = {'v': [entry(0, 10), entry(20, 30)]}, entry(0, 10, score=0.9)
    assert recalls(truth, {'v': [again, again, entry(20, 30, score=0.1)]}) == [0.5, 1]


def test_of_equal_scores_the_later_detection_comes_first():
    good, bad = entry(0, 10, score=0.5), entry(50, 60, score=0.5)
    assert recalls({'v': [entry(0, 10)]}, {'v': [bad, good]}) == [1, 1]
    assert recalls({'v': [entry(0, 10)]}, {'v': [good, bad]}) == [0, 1]


def test_classes_without_detections_count_and_classes_without_truth_do_not():
    truth = {'v': [entry(0, 10, 'a'), entry(0, 10, 'b')]}
    found = {'v': [entry(0, 10, 'a', 0.9), entry(0, 10, 'c', 1.0)]}
    assert topk_recall(truth, found).labels == ('a', 'b')
    assert recalls(truth, found) == [0.5, 0.5]


@pytest.mark.parametrize('listed', [True, False])
def test_detections_in_videos_without_truth_do_not_matter(listed):
    truth = {'v': [entry(0, 10)], **({'w': []} if listed else {})}
    assert recalls(truth, {'v': [entry(0, 10, score=0.1)], 'w': [entry(0, 10, score=0.9)]}) == [
        1,
        1,
    ]


def test_a_video_without_detections_counts():
    assert (
        recalls({'v': [entry(0, 10)], 'w': [entry(0, 10)]}, {'v': [entry(0, 10, score=1)]})
        == [0.5] * 2
    )


def test_a_segment_without_length_is_never_found():
    assert recalls({'v': [entry(3, 3)]}, {'v': [entry(3, 3, score=1)]}) == [0, 0]


@pytest.mark.parametrize('found', [{}, {'v': []}, {'v': [entry(0, 9, 'other', 1.0)]}])
def test_nothing_found(found):
    with np.errstate(all='raise'):
        assert recalls({'v': [entry(0, 9)]}, found) == [0, 0]


@pytest.mark.parametrize('name', THUMOS14_CASES)
def test_recall_grows_with_k_and_falls_with_the_threshold(load_reference, name):
    _, truth, found = load_reference('actionformer', name)
    recall = topk_recall(truth, found, top_k=(1, 2, 5, 50)).recall
    assert np.all(np.diff(recall, axis=0) >= 0) and np.all(np.diff(recall, axis=1) <= 0)


def test_to_dict():
    truth = {'v': [entry(0, 10)]}
    found = {'v': [entry(0, 8, score=0.5), entry(0, 10, score=0.4)]}
    assert topk_recall(truth, found, [0.5, 0.9], (1, 3)).to_dict() == {
        '1': {'average': 0.5, 'per_tiou': {'0.5': 1.0, '0.9': 0.0}},
        '3': {'average': 1.0, 'per_tiou': {'0.5': 1.0, '0.9': 1.0}},
    }


@pytest.mark.parametrize('top_k', [(), (0,), (1, -2), (1.5,)])
def test_bad_k(top_k):
    with pytest.raises(
        ValueError, match=r'top_k must be one or more positive whole numbers, got \('
    ):
        topk_recall({'v': [entry(0, 1)]}, {}, top_k=top_k)


def test_bad_input_names_its_video():
    with pytest.raises(ValueError, match='none of the 1 videos has an annotated segment'):
        topk_recall({'v': []}, {})
    with pytest.raises(ValueError, match="detections: an entry of video 'w' has no 'score'"):
        topk_recall({'v': [entry(0, 1)]}, {'w': [entry(0, 1)]})
