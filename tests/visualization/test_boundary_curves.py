"""Accuracy around boundaries."""

from __future__ import annotations

import numpy as np
import pytest

from sola_plugin.visualization import encode_figure, plot_boundary_accuracy

EDGES = [-2, -1, 0, 1, 2]
COUNTS = {'start': np.array([3, 4, 4, 0]), 'end': np.array([5, 5, 5, 5])}


def curves(*methods: str, seeds: int = 3) -> dict:
    rng = np.random.default_rng(0)
    made = {method: {kind: rng.random((seeds, 4)) for kind in COUNTS} for method in methods}
    for values in made.values():
        values['start'][:, 3] = np.nan
    return made


def test_a_line_and_a_band_for_each_method_in_each_panel():
    values = curves('raw features', 'SoLa')
    figure = plot_boundary_accuracy(values, COUNTS, EDGES, 'seconds')
    start, end, below_start, below_end = figure.axes
    for axes, kind in ((start, 'start'), (end, 'end')):
        for line, method in zip(axes.lines, values):
            assert line.get_label() == method
            np.testing.assert_array_equal(line.get_xdata(), [-1.5, -0.5, 0.5, 1.5])
            np.testing.assert_allclose(line.get_ydata(), 100 * values[method][kind].mean(axis=0))
        assert len(axes.collections) == 2  # the bands
    assert (start.get_title(), end.get_title()) == ('background → action', 'action → background')
    assert [text.get_text() for text in start.texts] == ['background', 'action']
    assert [text.get_text() for text in end.texts] == ['action', 'background']
    assert [bar.get_height() for bar in below_start.patches] == COUNTS['start'].tolist()
    assert 'seconds' in below_end.get_xlabel()
    assert b'<svg' in encode_figure(figure, 'svg').data


def test_one_seed_has_no_band():
    figure = plot_boundary_accuracy(curves('raw features', seeds=1), COUNTS, EDGES)
    assert not figure.axes[0].collections


def test_more_methods_than_colours_stay_apart():
    figure = plot_boundary_accuracy(curves(*map(str, range(8))), COUNTS, EDGES)
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines[:8]}
    assert len(looks) == 8


def test_bad_input():
    with pytest.raises(ValueError, match='at least one method, got none'):
        plot_boundary_accuracy({}, COUNTS, EDGES)
    with pytest.raises(
        ValueError, match=r"curves of 'raw', 'start': expected \(seeds, 3\) .* got \(3, 4\)"
    ):
        plot_boundary_accuracy(curves('raw'), COUNTS, EDGES[1:])
    nothing = {kind: 0 * count for kind, count in COUNTS.items()}
    with pytest.raises(ValueError, match='no snippet lies within the bins around a boundary'):
        plot_boundary_accuracy(curves('raw'), nothing, EDGES)
