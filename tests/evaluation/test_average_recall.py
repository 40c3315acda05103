"""Average recall: the official figures, a plain reference implementation, and properties."""

import numpy as np
import pytest

from sola_plugin.evaluation import average_recall
from tests.reference import ACTIVITYNET_CASES, ALL_CASES, PUBLIC_CASES, THUMOS14_CASES
from tests.reference_evaluators import expected_recall, plain_recall


def random_case(seed):
    rng = np.random.default_rng(seed)

    def segments(number):
        return [{'segment': np.sort(rng.integers(0, 8, 2)).tolist()} for _ in range(number)]

    truth = {f'v{i}': segments(rng.integers(0, 5)) for i in range(5)}
    truth['v0'] = truth['v0'] or [{'segment': [1, 4]}]
    proposals = {
        v: [{**s, 'score': rng.integers(0, 5) / 4} for s in segments(rng.integers(0, 30))]
        for v in ('v0', 'v1', 'v3', 'unknown')
    }
    return truth, proposals, float(rng.choice([1, 3, 10, 100]))


@pytest.mark.parametrize('name', ALL_CASES)
def test_equals_the_official_evaluator(load_reference, name):
    """On made sets: a plain one, which the next test compares with the official figures."""
    expected, truth, proposals = load_reference('recall', name)
    result = average_recall(truth, proposals, max_proposals=expected['max_avg_nr_proposals'])
    np.testing.assert_allclose(result.average_recall, expected['avg_recall'], rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        result.proposals_per_video, expected['proposals_per_video'], rtol=0, atol=1e-9
    )
    assert 100 * result.auc == pytest.approx(expected['auc_percent'], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize('name', PUBLIC_CASES)
def test_the_plain_implementation_is_the_official_one(load_reference, name):
    expected, truth, proposals = load_reference('recall', name)
    figures = expected_recall(truth, proposals, expected['max_avg_nr_proposals'])
    for key in ('proposals_per_video', 'avg_recall', 'auc_percent'):
        assert figures[key] == pytest.approx(expected[key], abs=1e-9)


@pytest.mark.parametrize('seed', range(40))
def test_equals_the_plain_implementation(seed):
    truth, proposals, max_proposals = random_case(seed)
    thresholds = [0.25, 0.5, 1.0]
    result = average_recall(truth, proposals, thresholds, max_proposals)
    expected = [plain_recall(truth, proposals, t, max_proposals) for t in thresholds]
    np.testing.assert_allclose(result.recall, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.average_recall, np.mean(expected, axis=0), atol=1e-12)


def test_at_and_area_on_a_curve_known_by_hand():
    truth = {'v': [{'segment': [0, 10]}, {'segment': [20, 30]}]}
    proposals = {
        'v': [
            {'segment': [0, 10], 'score': 3},
            {'segment': [50, 60], 'score': 2},
            {'segment': [20, 30], 'score': 1},
            {'segment': [70, 80], 'score': 0},
        ]
    }
    result = average_recall(truth, proposals, max_proposals=4)
    assert [result.at(n) for n in (1, 2, 3, 4)] == [0.5, 0.5, 1, 1]
    # 0 up to 0.96, then 0.5 from 1 to 2.96 and 1 from 3 on; straight lines between the points.
    area = 0.04 * 0.25 + 1.96 * 0.5 + 0.04 * 0.75 + 1.0
    assert result.auc == pytest.approx(area / 4)
    assert result.to_dict((1, 4)) == {'AR@1': 0.5, 'AR@4': 1.0, 'auc': result.auc}


def test_number_of_proposals_is_an_average_over_videos():
    """At AR@2 of 4 on average, half of every video's proposals are used: 3 of 6 and 1 of 2."""

    def ranked(number, hit):
        return [{'segment': [0, 10] if i == hit else [90, 99], 'score': -i} for i in range(number)]

    def recall_at_2(hit_a, hit_b):
        proposals = {'a': ranked(6, hit_a), 'b': ranked(2, hit_b)}
        truth = {v: [{'segment': [0, 10]}] for v in 'ab'}
        return average_recall(truth, proposals, max_proposals=4).at(2)

    assert (recall_at_2(2, 0), recall_at_2(3, 0), recall_at_2(2, 1)) == (1, 0.5, 0.5)


def test_fewer_proposals_than_the_end_of_the_curve():
    truth = {'v': [{'segment': [0, 10]}]}
    proposals = {'v': [{'segment': [0, 1], 'score': 0.9}, {'segment': [0, 10], 'score': 0.8}]}
    result = average_recall(truth, proposals)
    assert (result.at(1), result.at(2), result.at(100)) == (0.0, 1.0, 1.0)


def test_one_proposal_may_find_several_segments():
    truth = {'v': [{'segment': [0, 10]}, {'segment': [1, 10]}]}
    assert average_recall(truth, {'v': [{'segment': [0, 10], 'score': 1}]}, [0.9]).at(1) == 1


def test_of_equal_scores_the_later_proposal_comes_first():
    truth = {'v': [{'segment': [0, 10]}]}
    good, bad = {'segment': [0, 10], 'score': 0.5}, {'segment': [50, 60], 'score': 0.5}
    assert average_recall(truth, {'v': [bad, good]}, max_proposals=2).at(1) == 1
    assert average_recall(truth, {'v': [good, bad]}, max_proposals=2).at(1) == 0


def test_a_repeated_proposal_takes_a_place():
    truth = {'v': [{'segment': [0, 10]}, {'segment': [20, 30]}]}
    again, other = {'segment': [0, 10], 'score': 0.9}, {'segment': [20, 30], 'score': 0.1}
    curve = average_recall(truth, {'v': [again, again, other]}, max_proposals=3)
    assert (curve.at(2), curve.at(3)) == (0.5, 1)


@pytest.mark.parametrize('listed', [True, False])
def test_proposals_in_videos_without_truth_count_in_the_number_only(listed):
    """Of 4 proposals on average over the one annotated video, half are elsewhere."""
    truth = {'v': [{'segment': [0, 10]}], **({'w': []} if listed else {})}
    proposals = {
        'v': [{'segment': [0, 1], 'score': 0.9}, {'segment': [0, 10], 'score': 0.8}],
        'w': [{'segment': [0, 10], 'score': 0.7}] * 2,
    }
    curve = average_recall(truth, proposals, max_proposals=2)
    assert curve.at(2) == 0  # 1 of the 2 proposals of v is used
    assert average_recall(truth, proposals, max_proposals=4).at(4) == 1


@pytest.mark.parametrize('proposals', [{}, {'v': []}, {'other': [{'segment': [0, 9], 'score': 1}]}])
def test_nothing_proposed(proposals):
    with np.errstate(all='raise'):
        result = average_recall({'v': [{'segment': [0, 9]}], 'w': []}, proposals)
    assert result.recall.shape == (10, 100) and not result.recall.any()
    assert result.auc == 0
    assert result.proposals_per_video.tolist() == np.linspace(1, 100, 100).tolist()


@pytest.mark.parametrize('name', THUMOS14_CASES)
def test_labels_and_monotone_scores_do_not_matter(load_reference, name):
    _, truth, found = load_reference('recall', name)
    bare = {
        v: [{'segment': d['segment'], 'score': 7 * d['score'] - 3} for d in x]
        for v, x in found.items()
    }
    before, after = average_recall(truth, found), average_recall(truth, bare)
    assert before.auc > 0 and np.array_equal(before.recall, after.recall)


@pytest.mark.parametrize('name', ACTIVITYNET_CASES)
def test_recall_grows_with_proposals_and_falls_with_the_threshold(load_reference, name):
    _, truth, found = load_reference('recall', name)
    recall = average_recall(truth, found, max_proposals=10).recall
    assert np.all(np.diff(recall, axis=1) >= 0) and np.all(np.diff(recall, axis=0) <= 0)


@pytest.mark.parametrize('number', [0.05, 11])
def test_outside_of_the_curve(number):
    result = average_recall({'v': [{'segment': [0, 9]}]}, {}, max_proposals=10)
    with pytest.raises(ValueError, match='the curve runs from 0.1 to 10 proposals'):
        result.at(number)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (({'v': []}, {}), 'none of the 1 videos has an annotated segment'),
        (({'v': [{'segment': [0, 1]}]}, {'w': [{'segment': [0, 1]}]}), "video 'w' has no 'score'"),
        (({'v': [{'segment': [0, 1]}]}, {'w': [{'segment': [1, 0], 'score': 1}]}), "of video 'w'"),
        (({'v': [{'segment': [0, 1]}]}, {}, [0.5], 0), 'max_proposals must be positive, got 0'),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        average_recall(*arguments)
