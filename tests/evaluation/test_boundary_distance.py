"""Distance of snippets to the boundaries of actions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sola_plugin.evaluation import (
    accuracy_by_distance,
    boundary_distances,
    merge_segments,
    snippet_centers,
    snippet_labels,
)
from tests.reference import database_of

START, END = 1, -1


@pytest.mark.parametrize(
    ('segments', 'expected'),
    [
        ([], []),
        ([[1, 2]], [[1, 2]]),
        ([[3, 5], [1, 4]], [[1, 5]]),  # overlap
        ([[1, 2], [2, 3]], [[1, 3]]),  # touch
        ([[1, 9], [2, 3], [4, 5]], [[1, 9]]),  # inside
        ([[1, 2], [1, 2]], [[1, 2]]),
        ([[5, 6], [1, 2]], [[1, 2], [5, 6]]),
        ([[2, 2], [5, 4], [7, 8]], [[7, 8]]),  # without length, reversed
    ],
)
def test_merged(segments, expected):
    assert merge_segments(segments).tolist() == expected
    assert merge_segments(segments).shape == (len(expected), 2)


@pytest.mark.parametrize(
    ('segments', 'distances', 'kinds'),
    [
        # Six snippets of a second; centres 0.5 to 5.5.
        ([[2, 4]], [-1.5, -0.5, 0.5, -0.5, 0.5, 1.5], [START] * 3 + [END] * 3),
        ([[2, 3.5], [3, 4]], [-1.5, -0.5, 0.5, -0.5, 0.5, 1.5], [START] * 3 + [END] * 3),  # overlap
        ([[2, 3], [3, 4]], [-1.5, -0.5, 0.5, -0.5, 0.5, 1.5], [START] * 3 + [END] * 3),  # touch
        ([[0, 2]], [-1.5, -0.5, 0.5, 1.5, 2.5, 3.5], [END] * 6),  # begins with the video
        ([[-3, 2]], [-1.5, -0.5, 0.5, 1.5, 2.5, 3.5], [END] * 6),
        ([[4, 6]], [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5], [START] * 6),  # ends with the video
        ([[4, 99]], [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5], [START] * 6),
        ([[1.5, 4.5]], [-1, 0, 1, -1, 0, 1], [START] * 3 + [END] * 3),  # a centre on the boundary
        (
            [[0.5, 4]],
            [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5],
            [END] * 6,
        ),  # from the first centre: no background before
        ([[2, 5.5]], [-1.5, -0.5, 0.5, 1.5, 2.5, 3.5], [START] * 6),
        (
            [[1.6, 2.4]],
            [-1.1, -0.1, 0.1, 1.1, 2.1, 3.1],
            [START] * 2 + [END] * 4,
        ),  # between two centres
        (
            [[1, 2.2], [5, 9]],
            [-0.5, 0.5, 0.3, 1.3, -0.5, 0.5],
            [START, START, END, END, START, START],
        ),
    ],
)
def test_at_hand(segments, distances, kinds):
    found = boundary_distances(segments, (0, 6), 6)
    np.testing.assert_allclose(found.distance, distances, atol=1e-12)
    assert found.kind.tolist() == kinds


def test_of_two_equally_far_boundaries_the_earlier_counts():
    distance, kind = boundary_distances([[1, 4]], (0, 5), 5)
    assert (distance[2], kind[2]) == (1.5, START)
    distance, kind = boundary_distances([[0, 1], [4, 5]], (0, 5), 5)
    assert (distance[2], kind[2]) == (1.5, END)


@pytest.mark.parametrize(
    'segments', [[], [[0, 6]], [[-1, 9]], [[7, 9]], [[3, 3]], [[0.2, 0.4]], [[0.5, 5.5]]]
)
def test_video_without_boundaries(segments):
    distance, kind = boundary_distances(segments, (0, 6), 6)
    assert np.isnan(distance).all() and not kind.any()


def test_one_snippet_has_no_boundary():
    assert boundary_distances([[1, 2]], (0, 6), 1).kind.tolist() == [0]


def test_span_of_the_features_may_start_later():
    np.testing.assert_allclose(
        boundary_distances([[12, 14]], (10, 16), 6).distance,
        boundary_distances([[2, 4]], (0, 6), 6).distance,
    )


def naive(segments, centers):
    """Every edge of every segment, kept if no other segment continues the foreground there."""
    real = [(s, e) for s, e in segments if s < e]
    boundaries = [
        (s, START)
        for s, _ in real
        if not any(a < s <= b for a, b in real)
        and any(c < s for c in centers)
        and any(c >= s for c in centers)
    ]
    boundaries += [
        (e, END)
        for _, e in real
        if not any(a <= e < b for a, b in real)
        and any(c <= e for c in centers)
        and any(c > e for c in centers)
    ]
    if not boundaries:
        return [math.nan] * len(centers), [0] * len(centers)
    nearest = [min(boundaries, key=lambda b: (abs(c - b[0]), b[0])) for c in centers]
    return [c - time for c, (time, _) in zip(centers, nearest)], [kind for _, kind in nearest]


@pytest.mark.parametrize(
    ('name', 'stride', 'videos'),
    [
        ('thumos14-like', 0.8, 30),
        ('activitynet-like', 1.5, 200),
        ('thumos14', 0.8, 60),
        ('activitynet-1.3', 1.5, 400),
    ],
)
def test_equal_to_a_loop_on_whole_sets(name, stride, videos):
    kinds = set()
    for video in list(database_of(name).values())[:videos]:
        segments = [a['segment'] for a in video['annotations']]
        count = max(round(video['duration'] / stride), 1)
        span = (0.0, video['duration'])
        found = boundary_distances(segments, span, count)
        distances, expected = naive(segments, snippet_centers(span, count).tolist())
        np.testing.assert_allclose(found.distance, distances, atol=1e-9)
        assert found.kind.tolist() == expected
        kinds |= set(expected)
        # The labels follow from distance and kind.
        labels = snippet_labels([s for s in segments if s[0] < s[1]], span, count)
        near = found.kind != 0
        implied = np.where(found.kind == START, found.distance >= 0, found.distance <= 0)
        assert (labels[near] == implied[near]).all()
    assert {START, END} <= kinds


def random_segments(seed):
    rng = np.random.default_rng(seed)
    starts = rng.uniform(-2, 50, 12)
    return np.stack([starts, starts + rng.uniform(0, 5, 12)], axis=1)


@pytest.mark.parametrize('seed', range(5))
def test_reversed_time_swaps_the_kinds(seed):
    segments = random_segments(seed)
    forwards = boundary_distances(segments, (0, 50), 125)
    backwards = boundary_distances(50 - segments[:, ::-1], (0, 50), 125)
    np.testing.assert_allclose(backwards.distance[::-1], -forwards.distance, atol=1e-9)
    assert (backwards.kind[::-1] == -forwards.kind).all()


@pytest.mark.parametrize('seed', range(5))
def test_a_bin_of_one_snippet_holds_one_snippet_of_each_far_boundary(seed):
    segments = np.arange(5, 95, 10)[:, None] + np.random.default_rng(seed).uniform(
        [0, 4], [1, 6], (9, 2)
    )
    distance, kind = boundary_distances(segments, (0, 100), 250)
    binned = accuracy_by_distance(distance / 0.4, kind, np.ones(250), [-2, -1, 0, 1, 2])
    assert all(bins.num_snippets.tolist() == [9] * 4 for bins in binned.values())


def test_accuracy_equals_a_loop():
    rng = np.random.default_rng(0)
    distance, kind = rng.integers(-6, 7, 500) / 2, rng.choice([START, END, 0], 500)
    distance[kind == 0] = np.nan
    correct, edges = rng.random(500) < 0.7, [-2, -1, 0.5, 2, 9, 10]
    found = accuracy_by_distance(distance, kind, correct, edges)
    for name, number in (('start', START), ('end', END)):
        for index, (low, high) in enumerate(zip(edges, edges[1:])):
            inside = [
                ok
                for d, k, ok in zip(distance, kind, correct)
                if k == number and (low <= d < high if number == START else low < d <= high)
            ]
            assert found[name].num_snippets[index] == len(inside)
            expected = sum(inside) / len(inside) if inside else math.nan
            np.testing.assert_allclose(found[name].accuracy[index], expected)
    assert np.isnan(found['start'].accuracy[-1]) and found['start'].num_snippets[-1] == 0


def test_snippet_on_the_boundary_is_on_the_side_of_the_action():
    for kind, name, counts in ((START, 'start', [0, 1]), (END, 'end', [1, 0])):
        assert (
            accuracy_by_distance([0.0], [kind], [True], [-1, 0, 1])[name].num_snippets.tolist()
            == counts
        )


@pytest.mark.parametrize('edges', [[], [0], [1, 0], [0, 0], [0, np.nan], [0, np.inf], [[0, 1]]])
def test_bad_edges(edges):
    with pytest.raises(
        ValueError, match='bin edges: expected at least two ascending finite numbers'
    ):
        accuracy_by_distance([0.0], [1], [True], edges)


def test_other_lengths():
    with pytest.raises(ValueError, match=r'of one shape \(n,\), got \(2,\), \(2,\) and \(1,\)'):
        accuracy_by_distance([0.0, 1.0], [1, 1], [True], [-1, 0, 1])
