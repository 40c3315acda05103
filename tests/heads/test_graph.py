"""Graph layers of G-TAD against loops over snippets, edges and points."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from sola_plugin.heads.gtad.graph import (
    GCNeXt,
    gather_snippets,
    nearest_neighbors,
    sgalign_positions,
)
from sola_plugin.heads.shared.sampling import interpolation_weights


def read(features: np.ndarray, position: Fraction) -> np.ndarray:
    """One point of the authors' operator, features ``(T, ...)``."""
    size = len(features)
    if position < -1 or position > size:
        return np.zeros_like(features[0])
    position = max(position, Fraction(0))
    low = int(position)
    if low >= size - 1:
        return features[-1]
    fraction = float(position - low)
    return (1 - fraction) * features[low] + fraction * features[low + 1]


def align(features: np.ndarray, first: float, last: float, num_samples: int) -> np.ndarray:
    """The authors' operator on one interval, in exact numbers: ``(T, ...)`` to ``(N, ...)``."""
    first, last = Fraction(float(first)), Fraction(float(last))
    length = max(last - first, Fraction(1))
    width, points = length / num_samples, math.ceil(length / num_samples)
    return np.stack(
        [
            sum(
                read(features, first + sample * width + (2 * point + 1) * width / (2 * points))
                for point in range(points)
            )
            / points
            for sample in range(num_samples)
        ]
    )


@pytest.mark.parametrize('num_samples', [1, 3, 4, 32])
@pytest.mark.parametrize('size', [1, 2, 7])
def test_sgalign_samples_what_the_authors_operator_samples(num_samples, size):
    rng = np.random.default_rng(0)
    intervals = np.sort(rng.uniform(-4, size + 4, (30, 2)), axis=1)
    intervals = np.concatenate([intervals, [[0, 0], [-1, size], [-0.5, 0.5], [2, 2.25], [-9, -8]]])
    positions = sgalign_positions(*intervals.T, size, num_samples)
    weights = interpolation_weights(positions, size).toarray().reshape(-1, size, num_samples)
    expected = [align(np.eye(size), *interval, num_samples).T for interval in intervals]
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_nearest_neighbors_and_their_features():
    torch.manual_seed(0)
    x = torch.randn(2, 5, 9, dtype=torch.float64)
    index = nearest_neighbors(x, 4)
    distance = torch.cdist(x.transpose(1, 2), x.transpose(1, 2))
    assert torch.equal(index, distance.argsort(2)[:, :, :4])
    assert torch.equal(index[:, :, 0], torch.arange(9).expand(2, -1))
    features = gather_snippets(x, index)
    for video, snippet, rank in np.ndindex(2, 9, 4):
        assert torch.equal(
            features[video, :, snippet, rank], x[video, :, index[video, snippet, rank]]
        )


def test_too_few_snippets_for_the_neighbors():
    with pytest.raises(ValueError, match=r'at least k=4 snippets, got features \(1, 5, 3\)'):
        nearest_neighbors(torch.zeros(1, 5, 3), 4)


def test_gcnext_is_the_sum_over_both_kinds_of_edges():
    torch.manual_seed(0)
    block = GCNeXt(8, num_neighbors=3, groups=4, group_width=2).double()
    x = torch.randn(2, 8, 6, dtype=torch.float64)
    expected = x + block.tconvs(x)
    for video in range(2):
        distance = torch.cdist(x[video].t(), x[video].t())
        for snippet in range(6):
            edges = [
                block.sconvs(torch.cat([x[video, :, other], x[video, :, snippet]])[:, None, None])
                for other in distance[snippet].argsort()[:3]
            ]
            expected[video, :, snippet] += torch.stack(edges).amax(0).flatten()
    torch.testing.assert_close(block(x), expected.relu(), rtol=0, atol=1e-12)


def test_gcnext_keeps_the_videos_of_a_batch_apart():
    torch.manual_seed(0)
    block, x = GCNeXt(8, groups=4).double(), torch.randn(3, 8, 6, dtype=torch.float64)
    torch.testing.assert_close(block(x)[1:2], block(x[1:2]), rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(block, x[:1].requires_grad_())


def test_gcnext_size_is_that_of_the_paper():
    # 256 channels, 32 paths of 4 channels each.
    assert sum(p.numel() for p in GCNeXt(256).parameters()) == 166_912
