"""Temporal similarity matrices: the numbers against a plain loop, and the picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from sola_plugin.visualization import cosine_tsm, encode_figure, plot_tsm

SEGMENTS = [dict(segment=[1.0, 2.0], label='run'), dict(segment=[2.5, 4.0], label='jump')]


def loop_tsm(features):
    channels, length = features.shape
    result = np.zeros((length, length))
    for i in range(length):
        for j in range(length):
            dot = sum(float(features[c, i]) * float(features[c, j]) for c in range(channels))
            norm_i = math.sqrt(sum(float(features[c, i]) ** 2 for c in range(channels)))
            norm_j = math.sqrt(sum(float(features[c, j]) ** 2 for c in range(channels)))
            result[i, j] = (1 + dot / (norm_i * norm_j)) / 2
    return result


def test_equals_a_plain_loop():
    features = np.random.default_rng(0).normal(size=(5, 9)).astype(np.float32)
    np.testing.assert_allclose(cosine_tsm(features), loop_tsm(features), atol=1e-12)


def test_is_symmetric_in_range_and_blind_to_length():
    features = np.random.default_rng(1).normal(size=(4, 30)) * 1e6
    tsm = cosine_tsm(features)
    assert tsm.min() >= 0 and tsm.max() <= 1
    np.testing.assert_allclose(tsm, tsm.T)
    np.testing.assert_allclose(np.diag(tsm), 1)
    np.testing.assert_allclose(tsm, cosine_tsm(features * np.linspace(1e-9, 1, 30)), atol=1e-12)


def test_snippet_of_zeros_is_unrelated_to_all():
    features = np.array([[1.0, 0.0, 2.0], [1.0, 0.0, 2.0]])
    tsm = cosine_tsm(features)
    assert (tsm[1] == 0.5).all() and (tsm[:, 1] == 0.5).all()
    assert tsm[0, 2] == pytest.approx(1)


def test_no_snippets():
    assert cosine_tsm(np.zeros((4, 0))).shape == (0, 0)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_features_that_are_not_finite(value):
    features = np.ones((2, 3))
    features[1, 2] = value
    with pytest.raises(ValueError, match='1 of 6 numbers are NaN or infinite'):
        cosine_tsm(features)


def test_features_of_another_shape():
    with pytest.raises(ValueError, match=r'expected the shape \(C, T\), got \(3,\)'):
        cosine_tsm(np.ones(3))


def test_one_axes_for_each_matrix_in_seconds_and_one_colour_bar():
    matrices = {'raw': np.eye(10), 'SoLa': np.full((10, 10), 0.5), 'target': np.eye(10)}
    figure = plot_tsm(matrices, seconds_per_cell=0.5, start=3.0)
    *panels, bar = figure.axes
    assert [axes.get_title() for axes in panels] == ['raw', 'SoLa', 'target']
    for axes, matrix in zip(panels, matrices.values()):
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array(), matrix)
        assert image.get_clim() == (0, 1)
        assert image.get_extent() == [3, 8, 8, 3]
        assert axes.get_xlabel() == 'time (s)'
    assert panels[0].get_ylabel() == 'time (s)'
    assert bar.get_ylabel() == 'similarity, (1 + cosine) / 2'
    assert encode_figure(figure, 'png').data.startswith(b'\x89PNG\r\n\x1a\n')


def test_axes_count_snippets_without_a_stride():
    (axes, _) = plot_tsm({'raw': np.eye(4)}).axes
    assert axes.get_xlabel() == axes.get_ylabel() == 'snippet'
    assert axes.images[0].get_extent() == [0, 4, 4, 0]


def test_segments_stand_at_both_edges_cut_to_the_axes():
    figure = plot_tsm({'raw': np.eye(6)}, 0.5, SEGMENTS + [dict(segment=[7, 9], label='run')])
    bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert [(bar.get_x(), bar.get_width()) for bar in bars[::2]] == [(1, 1), (2.5, 0.5)]
    assert [(bar.get_y(), bar.get_height()) for bar in bars[1::2]] == [(1, 1), (2.5, 0.5)]
    assert bars[0].get_facecolor() != bars[2].get_facecolor()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ['jump', 'run']


@pytest.mark.parametrize(
    ('matrices', 'message'),
    [
        ({}, 'at least one TSM'),
        ({'raw': np.array([[1, np.nan], [0, 1]])}, "TSM 'raw': 1 of 4 entries are NaN"),
        ({'raw': np.ones((2, 3))}, r"TSM 'raw': expected the shape \(L, L\) .* got \(2, 3\)"),
        ({'raw': np.ones((0, 0))}, 'L >= 1'),
        ({'raw': -np.eye(2)}, r'expected entries in \[0, 1\], got -1 to -?0; rescale'),
        ({'a': np.eye(2), 'b': np.eye(3)}, "expected one size, got {'a': 2, 'b': 3}"),
    ],
)
def test_bad_matrices(matrices, message):
    with pytest.raises(ValueError, match=message):
        plot_tsm(matrices)


def test_bad_time_axis():
    with pytest.raises(ValueError, match='seconds_per_cell: expected a positive number, got 0'):
        plot_tsm({'raw': np.eye(2)}, 0)
    with pytest.raises(ValueError, match='seconds_per_cell is needed'):
        plot_tsm({'raw': np.eye(2)}, segments=SEGMENTS)


def test_float32_rounding_is_no_error():
    plot_tsm({'raw': np.full((2, 2), 1 + 1e-7, dtype=np.float32)})
