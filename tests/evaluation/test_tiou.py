"""tIoU and thresholds."""

import numpy as np
import pytest

from sola_plugin.segments import (
    ACTIVITYNET,
    HACS,
    THUMOS14,
    aligned_iou,
    by_threshold,
    resolve_thresholds,
    segment_iou,
    threshold_name,
)


def test_pairs_equal_the_definition():
    rng = np.random.default_rng(0)
    a, b = (np.sort(rng.integers(0, 8, (n, 2)) / 2.0, axis=1) for n in (40, 30))
    result = segment_iou(a, b)
    for i, (s, e) in enumerate(a):
        for j, (t, f) in enumerate(b):
            inter = max(0.0, min(e, f) - max(s, t))
            union = (e - s) + (f - t) - inter
            assert result[i, j] == (inter / union if union else 0.0)
    assert np.array_equal(result, segment_iou(b, a).T)


def test_segments_without_length_are_safe():
    with np.errstate(all='raise'):
        assert segment_iou([[3, 3]], [[3, 3], [0, 9], [5, 5]]).tolist() == [[0, 0, 0]]


def test_float32_is_computed_in_float64():
    a = np.array([[0, 1 / 3]], dtype=np.float32)
    b = np.array([[0, 1]], dtype=np.float32)
    assert segment_iou(a, b).dtype == np.float64
    assert segment_iou(a, b)[0, 0] == float(a[0, 1])


def test_empty_inputs_keep_their_shape():
    assert segment_iou(np.zeros((0, 2)), np.zeros((3, 2))).shape == (0, 3)
    assert aligned_iou(np.zeros((0, 2)), np.zeros((0, 2))).shape == (0,)


@pytest.mark.parametrize('shape', [(2,), (4, 3), (1, 2, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r'shape \(n, 2\), got'):
        segment_iou(np.zeros(shape), np.zeros((1, 2)))


def test_presets():
    np.testing.assert_array_equal(ACTIVITYNET, np.linspace(0.5, 0.95, 10))
    np.testing.assert_allclose(THUMOS14, [0.3, 0.4, 0.5, 0.6, 0.7], atol=1e-12)
    assert resolve_thresholds('THUMOS14').tolist() == list(THUMOS14)
    assert resolve_thresholds('hacs').tolist() == list(HACS) == list(ACTIVITYNET)
    assert [threshold_name(t) for t in ACTIVITYNET[-3:]] == ['0.85', '0.9', '0.95']


@pytest.mark.parametrize(
    'text, expected',
    [
        ('0.5:0.95:10', ACTIVITYNET),
        ('0.5:0.05:0.95', ACTIVITYNET),
        ('0.3:0.7:5', THUMOS14),
        ('0.3:0.1:0.7', THUMOS14),
        ('0.5,0.75,0.95', [0.5, 0.75, 0.95]),
        ('0.5', [0.5]),
        # The third number: 1 is the last threshold, 2 a count.
        ('0.2:0.4:1', np.linspace(0.2, 1, 3)),
        ('0.2:1:2', [0.2, 1]),
        ('0.2:1:2.0', [0.2, 1]),
        ('0.1:0.1:1.0', np.linspace(0.1, 1, 10)),
    ],
)
def test_text(text, expected):
    np.testing.assert_array_equal(resolve_thresholds(text), expected)


@pytest.mark.parametrize(
    'text',
    [
        '',
        'coco',
        '0.5;0.7',
        '0.5:0.9',
        '0.1:0.2:0.3:4',
        '0.3:0.7:2.5',
        '0.3:0.7:x',
        '0.5:0.1:0.95',
        '0.5:0:0.95',
        '0.9:0.1:0.5',
        '0.7:0.3:5',
        '0.5:0.5:0.5',
        '0.5:-0.1:0.9',
        'nan:0.1:0.9',
        '0.1:1e-320:0.9',
        '0.5,,0.7',
    ],
)
def test_bad_text_is_refused(text):
    with pytest.raises(
        ValueError,
        match=rf"'{text}': expected one of \['activitynet', 'hacs', "
        r"'thumos14'\], numbers with commas .* first:last:count .* start:step:stop",
    ):
        resolve_thresholds(text)


@pytest.mark.parametrize('text', ['0:0.5:3', '0.5:2:4', '1.5', '0.5,0'])
def test_text_with_numbers_out_of_range_is_refused(text):
    with pytest.raises(ValueError, match=rf"numbers in \(0, 1\], got '{text}'"):
        resolve_thresholds(text)


def test_by_threshold():
    assert by_threshold(np.array(ACTIVITYNET[-2:]), np.array([0.5, 0.25])) == {
        'average': 0.375,
        'per_tiou': {'0.9': 0.5, '0.95': 0.25},
    }


@pytest.mark.parametrize('bad', [[], [0.0], [0.5, 1.1], [[0.5]], [float('nan')]])
def test_bad_thresholds_are_refused(bad):
    with pytest.raises(ValueError, match=r'numbers in \(0, 1\], got'):
        resolve_thresholds(bad)
