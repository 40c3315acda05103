"""Points, and what they should predict."""

from __future__ import annotations

import math

import pytest
import torch

from sola_plugin.heads.actionformer.points import (
    Points,
    point_targets,
    pyramid_points,
    regression_ranges,
)


def make_points(*sizes: int) -> Points:
    return pyramid_points(sizes, regression_ranges(len(sizes)))


def targets_by_loops(points: Points, segments, labels, num_classes: int, radius: float | None):
    """The assignment in words: inside, near the centre, range of the level, the shortest wins."""
    classes, distances = [], []
    for position, stride, low, high in zip(*(part.tolist() for part in points)):
        found = []
        for (start, end), label in zip(segments, labels):
            left, right = position - start, end - position
            centre = (start + end) / 2
            near = radius is None or abs(position - centre) < radius * stride
            if min(left, right) > 0 and near and low <= max(left, right) <= high:
                found.append((end - start, label, (left / stride, right / stride)))
        row = [0.0] * num_classes
        for length, label, _ in found:
            if length <= min(found)[0] + 1e-3:
                row[label] = 1.0
        classes.append(row)
        distances.append(min(found)[2] if found else (0.0, 0.0))
    return torch.tensor(classes), torch.tensor(distances)


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('radius', [1.5, 3.0, None])
def test_equals_plain_loops(seed, radius):
    torch.manual_seed(seed)
    points = make_points(50, 25, 13)
    segments = (torch.rand(6, 2, dtype=torch.float64) * 50).sort(1).values
    labels = torch.randint(3, (6,))
    got = point_targets(points, segments, labels, 3, radius)
    expected = targets_by_loops(points, segments.tolist(), labels.tolist(), 3, radius)
    for a, b in zip(got, expected):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert expected[0].any()


def test_by_hand():
    classes, distances = point_targets(
        make_points(8, 4), torch.tensor([[1.0, 4.0]]), torch.tensor([1]), 2
    )
    # Centre 2.5: points 1.5 and 3.5 are 1 from it, less than 1.5; the coarse level begins at
    # distance 4.
    assert classes[:, 1].nonzero().flatten().tolist() == [1, 2, 3] and not classes[:, 0].any()
    assert distances[1:4].tolist() == [[0.5, 2.5], [1.5, 1.5], [2.5, 0.5]]
    assert not distances[4:].any()


def test_distances_are_in_strides():
    classes, distances = point_targets(
        make_points(32, 16, 8), torch.tensor([[2.0, 14.0]]), torch.tensor([0]), 1
    )
    chosen = classes[:, 0].nonzero().flatten()
    assert (chosen >= 32).all()
    points = make_points(32, 16, 8)
    reach = distances[chosen] * points.stride[chosen, None]
    assert (points.position[chosen] - reach[:, 0]).tolist() == pytest.approx([2.0] * len(chosen))
    assert (points.position[chosen] + reach[:, 1]).tolist() == pytest.approx([14.0] * len(chosen))


def test_the_shorter_of_overlapping_actions_wins():
    segments, labels = torch.tensor([[0.0, 6.0], [2.0, 5.0]]), torch.tensor([0, 1])
    for order in ([0, 1], [1, 0]):
        classes, distances = point_targets(make_points(8), segments[order], labels[order], 2, None)
        assert classes[:6].argmax(1).tolist() == [0, 0, 1, 1, 1, 0]
        assert distances[3].tolist() == [1.5, 1.5] and distances[0].tolist() == [0.5, 5.5]


def test_equally_short_actions_share_a_point():
    """As CliffDiving and Diving of THUMOS14, which are annotated twice."""
    segments = torch.tensor([[1.0, 4.0], [1.0, 4.0005]])
    classes, _ = point_targets(make_points(6), segments, torch.tensor([2, 0]), 3)
    assert classes[2].tolist() == [1, 0, 1]


def test_no_action():
    classes, distances = point_targets(
        make_points(4, 2),
        torch.zeros(0, 2, dtype=torch.float64),
        torch.zeros(0, dtype=torch.long),
        3,
    )
    assert classes.shape == (6, 3) and distances.shape == (6, 2)
    assert not classes.any() and not distances.any()


def test_points_lie_on_the_snippets_that_the_levels_keep():
    points = make_points(5, 3, 2)
    assert points.position.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 0.5, 2.5, 4.5, 0.5, 4.5]
    assert points.stride.tolist() == [1] * 5 + [2] * 3 + [4] * 2
    assert points.high.tolist() == [4] * 5 + [8] * 3 + [math.inf] * 2


def test_ranges_are_the_papers():
    assert regression_ranges(6) == [(0, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, math.inf)]
    assert regression_ranges(1) == [(0, math.inf)]


def test_a_range_for_each_level():
    with pytest.raises(ValueError, match='a regression range for each of the 2 levels'):
        pyramid_points([4, 2], regression_ranges(3))
