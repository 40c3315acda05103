"""Snippets and segments."""

import numpy as np
import pytest

from sola_plugin.evaluation import segment_means, snippet_centers, snippet_labels


def test_centers():
    assert snippet_centers((10, 14), 4).tolist() == [10.5, 11.5, 12.5, 13.5]


def test_centre_decides():
    span = (10, 14)
    assert snippet_labels([[10.6, 12.4]], span, 4).tolist() == [False, True, False, False]
    assert snippet_labels([[10.5, 11.5]], span, 4).tolist() == [True, True, False, False]
    assert snippet_labels([[0, 10.7], [13, 99]], span, 4).tolist() == [True, False, False, True]


def test_no_segment_is_all_background():
    assert snippet_labels([], (0, 4), 4).tolist() == [False] * 4


def test_means_equal_a_loop_over_snippets():
    rng = np.random.default_rng(0)
    features, span = rng.normal(size=(3, 20)), (2.0, 12.0)
    segments = np.sort(rng.uniform(0, 14, (50, 2)), axis=1)
    centers = snippet_centers(span, 20)
    expected = []
    for start, end in segments:
        inside = [i for i, c in enumerate(centers) if start <= c <= end]
        inside = inside or [int(np.argmin(np.abs(centers - (start + end) / 2)))]
        expected.append(features[:, inside].mean(axis=1))
    np.testing.assert_allclose(segment_means(features, span, segments), expected, atol=1e-12)


def test_long_features_are_read_in_parts_and_give_the_same():
    class Parts:
        """Hands out few snippets at a time."""

        def __init__(self, features):
            self.features, self.shape = features, features.shape

        def __getitem__(self, index):
            assert index[0] == slice(None) and 0 <= index[1].start < index[1].stop <= self.shape[1]
            part = self.features[index]
            assert part.shape[1] <= 1024
            return part

    features = np.random.default_rng(0).normal(size=(3, 5000)).astype(np.float32)
    segments = [
        [0, 1],
        [0, 5000],
        [1023.6, 1024.4],
        [1024, 2048],
        [3, 4096],
        [4999, 5000],
        [2000.2, 2000.3],
    ]
    sums = np.concatenate(
        [np.zeros((3, 1)), np.cumsum(features.astype(np.float64), axis=1)], axis=1
    )
    first, last = [0, 0, 1024, 1024, 3, 4999, 2000], [1, 5000, 1025, 2048, 4096, 5000, 2001]
    first[2], last[2] = 1024, 1025  # no centre inside: the nearest snippet
    expected = ((sums[:, last] - sums[:, first]) / np.subtract(last, first)).T
    for given in (features, Parts(features)):
        np.testing.assert_array_equal(segment_means(given, (0, 5000), segments), expected)


def test_means_are_those_of_the_labelled_snippets():
    features = np.arange(8.0)[None]
    inside = snippet_labels([[1.5, 4.5]], (0, 8), 8)
    assert segment_means(features, (0, 8), [[1.5, 4.5]])[0, 0] == features[0, inside].mean() == 2.5


@pytest.mark.parametrize(
    'segment, index',
    [([2.6, 2.9], 2), ([3.1, 3.2], 3), ([-5, -4], 0), ([90, 99], 7), ([4, 4], 4), ([2.5, 2.5], 2)],
)
def test_short_segment_takes_the_nearest_snippet(segment, index):
    assert segment_means(np.arange(8.0)[None], (0, 8), [segment])[0, 0] == index


def test_one_snippet_and_no_segment():
    assert segment_means(np.array([[3.0], [4.0]]), (0, 1), [[0, 0.1]]).tolist() == [[3.0, 4.0]]
    assert segment_means(np.ones((2, 5)), (0, 1), []).shape == (0, 2)


def test_long_float32_features_keep_their_precision():
    features = np.full((1, 50_000), 1e4, dtype=np.float32)
    features[0, -1] = 1.0
    assert segment_means(features, (0, 50_000), [[49_999, 50_000]])[0, 0] == 1.0


@pytest.mark.parametrize('span', [(3, 3), (4, 1), (0, float('nan'))])
def test_empty_span_is_refused(span):
    with pytest.raises(ValueError, match='start < end'):
        snippet_centers(span, 4)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r'shape \(C, T\), got \(4,\)'):
        segment_means(np.ones(4), (0, 1), [[0, 1]])
    with pytest.raises(ValueError, match='at least one snippet, got 0'):
        segment_means(np.ones((4, 0)), (0, 1), [[0, 1]])
