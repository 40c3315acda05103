"""The diagnosis against DETAD's figures, and against loops that follow the paper's definitions."""

import json
from collections import Counter
from functools import cache

import numpy as np
import pytest

from sola_plugin.evaluation.diagnosis.buckets import Buckets
from sola_plugin.evaluation.diagnosis.diagnosis import diagnose
from sola_plugin.evaluation.diagnosis.errors import KINDS
from tests.reference import DATA, database_of
from tests.reference_evaluators import plain_tiou

CHARACTERISTICS = ('coverage', 'length', 'instances')


def first_of_equal_segments(annotations, duration):
    """What DETAD counts, less segments with two labels, of which it takes the first in the file."""
    kept = {}
    for a in annotations:
        start, end = a['segment']
        if 0 < end - start <= duration:
            kept.setdefault((start, end), a)
    return list(kept.values())


@cache
def detad_case(name, load_reference):
    expected = json.loads((DATA / 'diagnosis_expected.json').read_text())[name]
    case, _, detections = load_reference('map', expected['map_case'])
    database = database_of(case['annotations'])
    videos = sorted(v for v in database if database[v]['subset'] == case['subset'])
    durations = {v: database[v]['duration'] for v in videos[:: expected['step']]}
    truth = {
        v: first_of_equal_segments(database[v]['annotations'], t) for v, t in durations.items()
    }
    found = {v: detections[v] for v in durations}
    return expected, diagnose(truth, found, durations, expected['tiou'], expected['buckets'])


@pytest.fixture(params=['anet', 'thumos'])
def against_detad(request, load_reference):
    return detad_case(request.param, load_reference)


def test_detad_false_positives(against_detad):
    expected, result = against_detad
    assert result.num_segments == expected['num_segments']
    figures = result.to_dict()['false_positives']
    for key in ('mAP', 'mAP_N'):
        assert figures[key] == pytest.approx(expected[f'top_{key}'], abs=1e-12)
    for kind in KINDS[1:]:
        for key in ('gain', 'gain_N'):
            assert figures['kinds'][kind][key] == pytest.approx(expected[key][kind], abs=1e-12)
    sizes = [[split['detections']] for split in figures['splits']]
    moved = np.abs(result.false_positives.shares - expected['shares']) * sizes
    # One THUMOS14 detection has the same tIoU with segments of two classes, one of them its own: a
    # localization error here; DETAD takes the segment that comes first in the file.
    assert moved.sum() / 2 == pytest.approx(int(expected['map_case'] == 'thumos_dev'), abs=1e-9)


def test_detad_sensitivity_and_false_negatives(against_detad):
    expected, result = against_detad
    assert result.mAP_N == pytest.approx(expected['mAP_N'], abs=1e-12)
    assert tuple(result.by_characteristic) == CHARACTERISTICS
    for name, found in result.by_characteristic.items():
        np.testing.assert_allclose(found.mAP_N, expected['sensitivity'][name], atol=1e-12)
        np.testing.assert_allclose(found.missed, expected['missed'][name], atol=1e-12)


# A plain implementation: dicts and loops, one class, video, threshold and bucket after the other.


def plain_matching(truth, found, threshold):
    """Truth by detection (both by number), greedy in order of falling score."""
    partner = {}
    for i in sorted(range(len(found)), key=lambda i: found[i]['score'])[::-1]:
        fits = [
            (plain_tiou(found[i]['segment'], t['segment']), j)
            for j, t in enumerate(truth)
            if (t['video'], t['label']) == (found[i]['video'], found[i]['label'])
            and j not in partner.values()
        ]
        if fits and max(fits)[0] >= threshold:
            partner[i] = max(fits)[1]
    return partner


def plain_kind(truth, detection, threshold):
    """Kind of a detection without partner."""
    inside = [t for t in truth if t['video'] == detection['video']]
    best = max((plain_tiou(detection['segment'], t['segment']) for t in inside), default=0)
    nearest = {t['label'] for t in inside if plain_tiou(detection['segment'], t['segment']) == best}
    same = detection['label'] in nearest
    if best >= threshold:
        return 'double detection' if same else 'wrong label'
    if best >= 0.1:
        return 'localization' if same else 'confusion'
    return 'background'


def plain_precisions(flags, num_positive, number):
    """(Normalised) precision down to every rank; ``flags`` are the true positives in score
    order."""
    precisions = []
    for rank in range(1, len(flags) + 1):
        recall = sum(flags[:rank]) / num_positive
        precisions.append(recall * number / (recall * number + flags[:rank].count(False)))
    return precisions


def plain_ap(flags, num_positive, number):
    precisions = plain_precisions(flags, num_positive, number)
    return sum(max(precisions[i:]) for i, flag in enumerate(flags) if flag) / num_positive


def ranked(found, label):
    order = sorted(range(len(found)), key=lambda i: found[i]['score'])[::-1]
    return [i for i in order if found[i]['label'] == label]


def random_case(seed):
    """Coarse times and scores, so that ties, empty videos and segments without length occur."""
    rng = np.random.default_rng(seed)

    def entries(videos, number, labels, scored):
        result = []
        for _ in range(number):
            start, end = np.sort(rng.integers(0, 14, 2)).tolist()
            entry = {
                'video': str(rng.choice(videos)),
                'segment': [start, end],
                'label': str(rng.choice(labels)),
            }
            result.append({**entry, 'score': rng.integers(0, 12) / 11} if scored else entry)
        return result

    videos = ['u', 'v', 'w']
    truth = entries(videos[:2], rng.integers(1, 9), list('abc'), False)
    found = entries([*videos, 'unknown video'], rng.integers(0, 30), list('abcd'), True)
    return sorted(truth, key=lambda t: t['video']), sorted(found, key=lambda d: d['video'])


def per_video(entries):
    return {
        v: [e for e in entries if e['video'] == v] for v in sorted({e['video'] for e in entries})
    }


class PlainCase:
    """A random case, its diagnosis, and what the plain implementation needs."""

    def __init__(self, seed):
        self.truth, found = random_case(seed)
        self.thresholds, self.num_splits = [0.05, 0.4, 0.75], 2
        self.durations = {'u': 10.0, 'v': 14.0}
        self.buckets = {
            'coverage': Buckets((0.3, 0.6)),
            'length': Buckets((2, 5)),
            'instances': Buckets((1, 3), whole=True),
        }
        self.result = diagnose(
            per_video(self.truth),
            per_video(found),
            self.durations,
            self.thresholds,
            self.buckets,
            self.num_splits,
        )
        self.known = Counter(t['label'] for t in self.truth)
        self.found = [d for d in found if d['label'] in self.known]
        self.number = len(self.truth) / len(self.known)
        self.matchings = [plain_matching(self.truth, self.found, t) for t in self.thresholds]


@pytest.mark.parametrize('seed', range(40))
def test_false_positives_equal_the_plain_implementation(seed):
    case = PlainCase(seed)
    truth, found, known, number = case.truth, case.found, case.known, case.number
    top = [i for label, n in known.items() for i in ranked(found, label)[: case.num_splits * n]]
    for t, (threshold, partner) in enumerate(zip(case.thresholds, case.matchings)):
        kind = {
            i: 'true positive' if i in partner else plain_kind(truth, found[i], threshold)
            for i in top
        }
        counts = Counter(kind.values())
        assert dict(zip(KINDS, case.result.false_positives.counts.sum(axis=0)[t])) == {
            k: counts[k] for k in KINDS
        }

        def mean_ap(normalised, removed, kind=kind, partner=partner):
            return np.mean(
                [
                    plain_ap(
                        [
                            i in partner
                            for i in ranked(found, label)
                            if i in kind and kind[i] != removed
                        ],
                        n,
                        number if normalised else n,
                    )
                    for label, n in known.items()
                ]
            )

        fp = case.result.false_positives
        assert fp.mAP[t] == pytest.approx(mean_ap(False, None))
        assert fp.mAP_N[t] == pytest.approx(mean_ap(True, None))
        for row, removed in enumerate(KINDS[1:]):
            assert fp.mAP[t] + fp.gain[row, t] == pytest.approx(mean_ap(False, removed))
            assert fp.mAP_N[t] + fp.gain_N[row, t] == pytest.approx(mean_ap(True, removed))


@pytest.mark.parametrize('seed', range(40))
def test_buckets_equal_the_plain_implementation(seed):
    case = PlainCase(seed)
    truth, found, known, number = case.truth, case.found, case.known, case.number
    buckets, matchings = case.buckets, case.matchings

    def bucket_of(t):
        length = t['segment'][1] - t['segment'][0]
        same = sum((o['video'], o['label']) == (t['video'], t['label']) for o in truth)
        values = {
            'coverage': length / case.durations[t['video']],
            'length': length,
            'instances': same,
        }
        return {name: sum(values[name] > edge for edge in buckets[name].edges) for name in buckets}

    places = [bucket_of(t) for t in truth]
    for name, place in ((name, b) for name in buckets for b in range(3)):
        inside = [j for j in range(len(truth)) if places[j][name] == place]
        figures = case.result.by_characteristic[name]
        assert figures.segments[place] == len(inside)
        if not inside:
            assert np.isnan(figures.mAP_N[place]) and np.isnan(figures.missed[place])
            continue
        left_out = {i for partner in matchings for i, j in partner.items() if j not in inside}
        expected = [
            plain_ap([i in partner for i in ranked(found, label) if i not in left_out], n, number)
            for label, n in Counter(truth[j]['label'] for j in inside).items()
            for partner in matchings
        ]
        assert figures.mAP_N[place] == pytest.approx(np.mean(expected))

        hits = 0
        for partner in matchings:
            for label, n in known.items():
                order = ranked(found, label)
                precisions = plain_precisions([i in partner for i in order], n, number)
                hits += sum(
                    precision > 0.05 and partner.get(i) in inside
                    for i, precision in zip(order, precisions)
                )
        assert figures.missed[place] == pytest.approx(1 - hits / len(inside) / len(case.thresholds))
