"""The diagnosis: cases computed by hand, properties, whole annotation sets, bad input."""

import json
import time

import numpy as np
import pytest

from sola_plugin.evaluation import average_precision
from sola_plugin.evaluation.diagnosis.buckets import (
    PRESETS,
    Buckets,
    resolve_buckets,
    segment_properties,
)
from sola_plugin.evaluation.diagnosis.diagnosis import diagnose
from sola_plugin.evaluation.diagnosis.errors import KINDS, error_kinds, missed_segments
from sola_plugin.evaluation.metrics.average_precision import match_detections
from tests.reference import ALL_CASES, THUMOS14_CASES, database_of
from tests.slow import slow_but

KIND_COUNTS = {kind: 0 for kind in KINDS}


def entry(start, end, label='run', score=None):
    result = {'segment': [start, end], 'label': label}
    return result if score is None else {**result, 'score': score}


def kinds_of(truth, found, threshold=0.5):
    """Kinds of the detections of one video, in the order of the list."""
    found = [{**d, 'score': 1 - i / 100} for i, d in enumerate(found)]
    matches = match_detections({'v': truth}, {'v': found}, np.array([threshold]))
    by_segment = dict(zip(map(tuple, matches.found), error_kinds(matches)[0]))
    return [KINDS[by_segment[tuple(d['segment'])]] for d in found]


TRUTH = [entry(0, 10, 'run'), entry(20, 30, 'jump')]


@pytest.mark.parametrize(
    ('found', 'kind'),
    [
        (entry(0, 10), 'true positive'),
        (entry(0, 5), 'true positive'),  # tIoU 0.5 is the threshold
        (entry(20, 30), 'wrong label'),
        (entry(20, 25), 'wrong label'),
        (entry(0, 4.9), 'localization'),
        (entry(0, 1), 'localization'),  # tIoU 0.1
        (entry(0, 0.99), 'background'),
        (entry(20, 24.9), 'confusion'),
        (entry(20, 21), 'confusion'),
        (entry(20, 20.99), 'background'),
        (entry(40, 50), 'background'),
        (entry(8, 24), 'confusion'),  # 4 of 22 with the jump, 2 of 24 with the run
        (entry(5, 25), 'localization'),  # the same with both: its own class decides
        (entry(5, 5), 'background'),
    ],
)
def test_kind_of_one_detection(found, kind):
    assert kinds_of(TRUTH, [found]) == [kind]


def test_second_detection_of_a_segment_is_a_double_detection():
    assert kinds_of(TRUTH, [entry(0, 10), entry(0, 9), entry(1, 3)]) == [
        'true positive',
        'double detection',
        'localization',
    ]


def test_taken_segment_leaves_the_next_best():
    truth = [entry(0, 10), entry(2, 12)]
    assert kinds_of(truth, [entry(0, 10), entry(1, 10), entry(1, 11)]) == [
        'true positive',
        'true positive',
        'double detection',
    ]


def test_nearest_segment_decides_not_the_nearest_of_the_own_class():
    truth = [entry(0, 10, 'run'), entry(0, 8, 'jump')]
    assert kinds_of(truth, [entry(0, 10), entry(0, 8.1)]) == ['true positive', 'wrong label']


def test_threshold_below_the_background_threshold():
    assert kinds_of(TRUTH, [entry(0, 10), entry(0, 0.8), entry(0, 0.4)], 0.05) == [
        'true positive',
        'double detection',
        'background',
    ]


def test_detections_without_length():
    truth = [entry(5, 5), entry(5, 5, 'jump')]
    assert kinds_of(truth, [entry(5, 5), entry(6, 6)]) == ['true positive', 'double detection']


def test_every_threshold_has_its_own_kinds():
    matches = match_detections(
        {'v': TRUTH}, {'v': [entry(0, 7, score=1)]}, np.array([0.5, 0.7, 0.75])
    )
    assert [KINDS[kind] for (kind,) in error_kinds(matches)] == [
        'true positive',
        'true positive',
        'localization',
    ]


def one_of_each():
    """Two classes with two segments each; one false positive of each kind between the true ones."""
    truth = {'v': [entry(0, 10), entry(20, 30), entry(40, 50, 'jump')], 'w': [entry(0, 10, 'jump')]}
    found = {
        'v': [
            entry(0, 10, score=0.95),
            entry(0, 9, score=0.9),
            entry(40, 50, score=0.85),
            entry(20, 23, score=0.8),
            entry(40, 43, score=0.75),
            entry(60, 90, score=0.7),
            entry(20, 30, score=0.65),
            entry(40, 50, 'jump', 0.9),
        ],
        'w': [entry(0, 10, 'jump', 0.8)],
    }
    return truth, found, {'v': 100.0, 'w': 100.0}


def test_gains_by_hand():
    figures = diagnose(*one_of_each(), [0.5]).to_dict()['false_positives']
    # run: true at the ranks 1 and 7 of 7; jump is perfect, G = N = 2.
    assert figures['mAP'] == pytest.approx(((1 + 2 / 7) / 2 + 1) / 2)
    assert figures['mAP_N'] == pytest.approx(figures['mAP'])
    assert figures['recall'] == 1
    assert figures['kinds']['true positive'] == {'count': 4, 'share': 4 / 9}
    for kind in KINDS[1:]:
        assert figures['kinds'][kind] == pytest.approx(
            {'count': 1, 'share': 1 / 9, 'gain': (2 / 6 - 2 / 7) / 4, 'gain_N': (2 / 6 - 2 / 7) / 4}
        )


def test_splits_by_hand():
    truth, found, durations = one_of_each()
    splits = diagnose(truth, found, durations, [0.5]).to_dict()['false_positives']['splits']
    assert [split['detections'] for split in splits] == [4, 2, 2, 1, 0, 0, 0, 0, 0, 0]
    assert splits[0]['shares'] == {**KIND_COUNTS, 'true positive': 0.75, 'double detection': 0.25}
    assert splits[3]['shares'] == {**KIND_COUNTS, 'true positive': 1}
    assert splits[4]['shares'] == dict.fromkeys(KINDS)  # nothing there: no shares


def test_only_the_best_detections_are_looked_at():
    truth, found, durations = one_of_each()
    result = diagnose(truth, found, durations, [0.5], num_splits=3)
    figures = result.to_dict()['false_positives']
    assert sum(row['count'] for row in figures['kinds'].values()) == 8
    assert figures['recall'] == 0.75  # the last true positive of run has rank 7
    assert result.mAP == pytest.approx(((1 + 2 / 7) / 2 + 1) / 2) != figures['mAP']


def test_normalised_map_by_hand():
    # N = 2. run: recall 1/3 before the false positive, 2/3 after; jump: found at once.
    truth = {'v': [entry(0, 10), entry(20, 30), entry(40, 50), entry(0, 10, 'jump')]}
    found = {
        'v': [
            entry(0, 10, score=0.9),
            entry(70, 80, score=0.8),
            entry(20, 30, score=0.7),
            entry(0, 10, 'jump', 0.9),
        ]
    }
    result = diagnose(truth, found, {'v': 100.0}, [0.5])
    second = (2 / 3 * 2) / (2 / 3 * 2 + 1)
    assert result.mAP_N == pytest.approx(((1 + second) / 3 + 1) / 2)
    assert result.mAP == pytest.approx(((1 + 2 / 3) / 3 + 1) / 2)


def test_sensitivity_by_hand():
    truth = {'v': [entry(0, 10), entry(20, 24)]}
    found = {'v': [entry(70, 80, score=0.9), entry(0, 10, score=0.8), entry(20, 24, score=0.7)]}
    result = diagnose(truth, found, {'v': 100.0}, [0.5], {'length': Buckets((5, 20))})
    short, long, none = result.by_characteristic['length'].mAP_N
    # The false positive counts in both buckets, the true positive of the other one in none; N = 2.
    assert (
        short == pytest.approx(2 / (2 + 1))
        and long == pytest.approx(2 / (2 + 1))
        and np.isnan(none)
    )


def test_detection_that_takes_a_segment_of_another_bucket_at_some_threshold_is_left_out():
    truth = {'v': [entry(0, 10), entry(20, 24)]}
    found = {'v': [entry(0, 6, score=0.9), entry(20, 24, score=0.8)]}
    result = diagnose(truth, found, {'v': 100.0}, [0.5, 0.9], {'length': Buckets((5,))})
    # At 0.9 the first one is wrong, but it belongs to the long segment.
    assert result.by_characteristic['length'].mAP_N.tolist() == [1.0, 0.5]


def test_false_negatives_by_hand():
    truth = {'v': [entry(0, 10), entry(20, 24), entry(40, 44)]}
    found = {'v': [entry(0, 10, score=0.9), entry(20, 22, score=0.8)]}
    result = diagnose(truth, found, {'v': 100.0}, [0.5, 0.75], {'length': Buckets((5, 20))})
    figures = result.by_characteristic['length']
    np.testing.assert_allclose(figures.missed, [0.75, 0, np.nan])
    assert result.missed == 0.5


def test_detections_behind_many_false_positives_find_nothing():
    truth = {'v': [entry(0, 10)]}
    wrong = [entry(20 + i, 20.5 + i, score=0.9) for i in range(20)]
    found = {'v': [*wrong, entry(0, 10, score=0.1)]}
    matches = match_detections(truth, found, np.array([0.5]))
    assert missed_segments(matches).tolist() == [[True]]  # precision 1/21 is not above 0.05
    assert missed_segments(matches, min_precision=0.04).tolist() == [[False]]
    del found['v'][:2]
    assert not missed_segments(match_detections(truth, found, np.array([0.5]))).any()


@pytest.mark.parametrize(
    ('preset', 'name', 'edges'),
    [
        ('activitynet', 'coverage', (0.2, 0.4, 0.6, 0.8)),
        ('activitynet', 'length', (30, 60, 120, 180)),
        ('activitynet', 'instances', (1, 4, 8)),
        ('thumos14', 'coverage', (0.02, 0.04, 0.06, 0.08)),
        ('thumos14', 'length', (3, 6, 12, 18)),
        ('thumos14', 'instances', (1, 40, 80)),
    ],
)
def test_edges_of_the_buckets_belong_to_the_lower_one(preset, name, edges):
    buckets = PRESETS[preset][name]
    assert buckets.edges == edges
    assert buckets.place(np.array(edges)).tolist() == list(range(len(edges)))
    assert buckets.place(np.nextafter(edges, np.inf)).tolist() == list(range(1, len(edges) + 1))
    assert buckets.names == ('XS', 'S', 'M', 'L', 'XL')[: len(edges) + 1]


def test_characteristics_by_hand():
    truth = {'v': [entry(0, 10), entry(5, 30), entry(7, 7, 'jump')], 'w': [entry(0, 60)]}
    matches = match_detections(truth, {}, np.array([0.5]))
    values = segment_properties(
        matches.true, matches.true_class, matches.true_video, np.array([50, 50, 50, 40.0])
    )
    assert values['coverage'].tolist() == [0.2, 0.5, 0, 1.5]
    assert values['length'].tolist() == [10, 25, 0, 60]
    assert values['instances'].tolist() == [2, 2, 1, 1]
    places = {
        name: ranges.place(values[name]).tolist()
        for name, ranges in resolve_buckets('activitynet', values).items()
    }
    # Without length: the lowest; longer than the video: the highest.
    assert places == {'coverage': [0, 2, 0, 4], 'length': [0, 0, 0, 1], 'instances': [1, 1, 0, 0]}


def test_quantile_buckets_hold_about_the_same_number():
    values = {
        'length': np.arange(100.0),
        'instances': np.array([1] * 90 + [2] * 10),
        'coverage': np.full(100, 0.5),
    }
    buckets = resolve_buckets('quantiles', values)
    assert np.bincount(buckets['length'].place(values['length'])).tolist() == [20] * 5
    assert buckets['instances'] == Buckets((1,), whole=True)
    assert buckets['coverage'] == Buckets(()) and buckets['coverage'].ranges == ('all',)


def test_more_buckets_than_names_are_numbered():
    buckets = Buckets((1, 2, 3, 4, 2000))
    assert buckets.names == ('1', '2', '3', '4', '5', '6')
    assert buckets.ranges == ('≤ 1', '1–2', '2–3', '3–4', '4–2000', '> 2000')


# Whole annotation sets with generated detections.


@pytest.fixture(
    scope='module', params=slow_but(('anet_made', 'thumos_made', 'thumos_dev'), ALL_CASES)
)
def real(request, load_reference):
    expected, truth, found = load_reference('map', request.param)
    database = database_of(expected['annotations'])
    buckets = 'thumos14' if 'thumos' in request.param else 'activitynet'
    start = time.process_time()
    result = diagnose(
        truth, found, {v: x['duration'] for v, x in database.items()}, expected['tiou'], buckets
    )
    return truth, found, result, expected, time.process_time() - start


def test_map_is_that_of_the_evaluator(real):
    truth, found, result, expected, _ = real
    assert result.mAP == average_precision(truth, found, expected['tiou']).average


def test_a_diagnosis_takes_seconds(real):
    assert real[-1] < 4  # 0.3 s on an idle core


def test_kinds_partition_the_detections(real):
    truth, found, result, expected, _ = real
    positives, detected = {}, {}
    for results, count in ((truth, positives), (found, detected)):
        for entries in results.values():
            for item in entries:
                count[item['label']] = count.get(item['label'], 0) + 1
    looked_at = sum(min(10 * n, detected.get(label, 0)) for label, n in positives.items())
    counts = result.false_positives.counts
    assert counts.sum(axis=(0, 2)).tolist() == [looked_at] * len(expected['tiou'])
    # A split that the detections do not reach has no shares.
    expected_sums = np.where(counts.any(axis=(1, 2)), 1.0, np.nan)
    assert result.false_positives.shares.sum(axis=1) == pytest.approx(expected_sums, nan_ok=True)


def test_more_is_a_false_positive_at_a_higher_threshold(real):
    true, _, _, localization, confusion, background = real[2].false_positives.counts.sum(axis=0).T
    assert np.all(np.diff(true) <= 0) and np.all(np.diff(localization + confusion) >= 0)
    assert len(set(background)) == 1  # 0.1 is the bound at every threshold


def test_gains_lie_between_nothing_and_all_false_positives(real):
    fp = real[2].false_positives
    assert np.all(fp.gain >= -1e-12) and np.all(fp.mAP + fp.gain <= fp.recall + 1e-12)
    assert np.all(fp.gain_N >= -1e-12) and np.all(fp.mAP_N + fp.gain_N <= fp.recall + 1e-12)


def test_buckets_partition_the_segments(real):
    truth, _, result, _, _ = real
    assert result.num_segments == sum(map(len, truth.values()))
    for figures in result.by_characteristic.values():
        assert figures.segments.sum() == result.num_segments
        assert np.sum(figures.missed * figures.segments) / result.num_segments == pytest.approx(
            result.missed
        )
        assert np.all((figures.mAP_N > 0) & (figures.mAP_N < 1))


def test_json_round_trip(real):
    figures = real[2].to_dict()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


@pytest.mark.parametrize('name', THUMOS14_CASES)
def test_perfect_detections(load_reference, name):
    _, truth, _ = load_reference('map', name)
    found = {v: [{**a, 'score': 1 - i / 1000} for i, a in enumerate(x)] for v, x in truth.items()}
    result = diagnose(truth, found, dict.fromkeys(truth, 5000.0), [0.5, 1.0], 'thumos14')
    fp = result.false_positives
    assert result.mAP == result.mAP_N == 1 and result.missed == 0
    assert not fp.counts[..., 1:].any() and not fp.gain.any()
    for figures in result.by_characteristic.values():
        assert set(figures.mAP_N[figures.segments > 0]) == {1.0}


@pytest.mark.parametrize('found', [{}, {'v': []}, {'v': [entry(0, 1, 'swim', 0.5)]}])
def test_nothing_found(found):
    result = diagnose({'v': TRUTH}, found, {'v': 100.0})
    assert result.mAP == result.mAP_N == 0 and result.missed == 1
    assert not result.false_positives.counts.any() and not result.false_positives.gain.any()
    assert result.ignored == ({'swim': 1} if found.get('v') else {})
    assert result.by_characteristic['length'].mAP_N[0] == 0
    json.dumps(result.to_dict(), allow_nan=False)


def test_class_without_detections():
    result = diagnose({'v': TRUTH}, {'v': [entry(0, 10, score=0.5)]}, {'v': 100.0}, [0.5])
    assert result.mAP == 0.5 and result.false_positives.recall == 0.5 and result.missed == 0.5


def test_detections_in_unknown_videos_are_background():
    result = diagnose({'v': TRUTH}, {'x': [entry(0, 10, score=0.5)]}, {'v': 100.0}, [0.5])
    assert result.false_positives.counts[0, 0].tolist() == [0, 0, 0, 0, 0, 1]
    assert result.unknown_videos == 1 and result.num_detections == 1


def test_inputs_are_left_alone():
    case = one_of_each()
    before = repr(case)
    diagnose(*case)
    assert repr(case) == before


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(tiou_thresholds=[0.0, 0.5]), r'numbers in \(0, 1\], got \[0.0, 0.5\]'),
        (dict(tiou_thresholds=[1.1]), r'numbers in \(0, 1\]'),
        (dict(tiou_thresholds=[]), 'non-empty list'),
        (dict(buckets='hacs'), "buckets 'hacs': expected one of .*'activitynet', 'thumos14'"),
        (
            dict(buckets={'agreement': Buckets((1,))}),
            r"buckets of \['agreement'\]: expected .*'coverage'",
        ),
        (dict(num_splits=0), 'num_splits: expected at least 1, got 0'),
        (dict(durations={}), "video 'v': expected a duration in seconds above 0, got None"),
        (dict(durations={'v': 0.0}), "video 'v': expected a duration .* got 0.0"),
        (dict(durations={'v': float('nan')}), "video 'v': expected a duration .* got nan"),
        (dict(ground_truth={'v': []}), 'none of the 1 videos has an annotated segment'),
        (dict(ground_truth={'v': [entry(5, 4)]}), "ground truth: segment .* of video 'v'"),
        (dict(detections={'v': [entry(0, 4)]}), "detections: an entry of video 'v' has no 'score'"),
    ],
)
def test_bad_input(options, message):
    good = dict(
        ground_truth={'v': TRUTH},
        detections={'v': [entry(0, 1, score=1.0)]},
        durations={'v': 100.0},
    )
    with pytest.raises(ValueError, match=message):
        diagnose(**{**good, **options})


@pytest.mark.parametrize('edges', [(2, 1), (1, 1), (float('nan'),), (1, float('inf'))])
def test_bad_edges(edges):
    with pytest.raises(ValueError, match='expected finite, ascending numbers'):
        Buckets(edges)
