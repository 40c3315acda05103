"""Pictures of similarity by interval and of lengths."""

from __future__ import annotations

import numpy as np
import pytest

from sola_plugin.visualization import plot_lengths, plot_similarity_by_interval


def test_every_curve_begins_at_interval_one():
    figure = plot_similarity_by_interval(
        {'raw': np.array([0.9, 0.8, 0.7])}, {'target': np.array([1.0, 0.5, 0.2])}
    )
    (axes,) = figure.axes
    raw, target, _ = axes.lines  # and the line of cosine 0
    assert raw.get_xdata().tolist() == [1, 2, 3] and raw.get_ydata().tolist() == [0.9, 0.8, 0.7]
    assert (raw.get_linestyle(), target.get_linestyle()) == ('-', '--')
    assert [text.get_text() for text in axes.get_legend().texts] == ['raw', 'target']


@pytest.mark.parametrize('curves', [{}, {'raw': np.array([])}, {'raw': np.array([np.nan])}])
def test_curves_that_cannot_be_drawn(curves):
    with pytest.raises(ValueError, match='expected'):
        plot_similarity_by_interval(curves, {})


def test_every_segment_is_in_the_histogram():
    figure = plot_lengths([0.5, 2.0, 2.0, 300.0], {'window': 23.0})
    (axes,) = figure.axes
    assert sum(bar.get_height() for bar in axes.patches) == 4
    assert axes.lines[0].get_xdata()[0] == 23.0
    # All of one length, and without marks.
    assert sum(bar.get_height() for bar in plot_lengths([3.0], {}).axes[0].patches) == 1


@pytest.mark.parametrize('lengths', [[], [1.0, 0.0]])
def test_lengths_that_cannot_be_drawn(lengths):
    with pytest.raises(ValueError, match='at least one, all above 0'):
        plot_lengths(lengths, {})
