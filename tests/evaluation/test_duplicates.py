"""Repeated and empty annotations."""

import numpy as np
import pytest

from sola_plugin.evaluation import average_precision, drop_duplicates
from tests.reference import ALL_CASES
from tests.reference_evaluators import plain_distinct


def entry(start, end, label='a'):
    return {'segment': [start, end], 'label': label}


@pytest.mark.parametrize('name', ALL_CASES)
def test_average_precision_then_equals_actionformer(load_reference, name):
    """On made sets: a plain evaluator."""
    expected, truth, detections = load_reference('actionformer', name)
    result = average_precision(drop_duplicates(truth), detections, expected['tiou'])
    np.testing.assert_allclose(result.mAP, expected['mAP'], rtol=0, atol=1e-9)


def test_real_annotations_have_some(load_reference):
    _, truth, _ = load_reference('actionformer', 'anet_dev')
    counts = [sum(map(len, entries.values())) for entries in (truth, drop_duplicates(truth))]
    assert counts == [7293, 7271]


def test_made_annotations_have_some(load_reference):
    """Segments without length, and those that are there twice."""
    _, truth, _ = load_reference('actionformer', 'anet_made')
    distinct = drop_duplicates(truth)
    assert distinct == plain_distinct(truth)
    assert sum(len(truth[v]) - len(distinct[v]) for v in truth) == 16 + 8


def test_what_counts_as_repeated():
    first = entry(1, 5)
    kept = [first, entry(1, 5, 'b'), entry(1.002, 5), entry(1, 5.002)]
    truth = {
        'v': [first, entry(1.0005, 4.9995), *kept[1:], entry(7, 7.0005), entry(8, 7)],
        'w': [entry(1, 5)],
        'x': [],
    }
    assert drop_duplicates(truth) == {'v': kept, 'w': [entry(1, 5)], 'x': []}
    assert drop_duplicates(truth, tolerance=0.01)['v'] == kept[:2]
