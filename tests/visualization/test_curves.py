"""Loss curves."""

from __future__ import annotations

import numpy as np
import pytest

from sola_plugin.visualization import encode_figure, plot_loss


def test_one_line_a_seed_and_their_mean():
    losses = np.array([[3.0, 2.0, 1.0], [5.0, 2.0, 2.0]])
    figure = plot_loss([10, 20, 30], losses, ylabel='similarity-matching loss')
    (axes,) = figure.axes
    np.testing.assert_array_equal([line.get_ydata() for line in axes.lines[:2]], losses)
    np.testing.assert_array_equal(axes.lines[2].get_ydata(), [4, 2, 1.5])
    assert axes.lines[2].get_linewidth() > axes.lines[0].get_linewidth()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('training step', 'similarity-matching loss')
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ['each of 2 seeds', 'mean']
    assert b'<svg' in encode_figure(figure, 'svg').data


def test_one_seed_has_no_mean():
    (axes,) = plot_loss([1, 2], [0.5, 0.4]).axes
    assert len(axes.lines) == 1


def test_lower_bound_is_inside_the_axes():
    (axes,) = plot_loss([1, 2], [0.5, 0.41], lower_bound=0.4).axes
    assert axes.get_legend().get_texts()[-1].get_text() == 'lower bound 0.400'
    assert axes.get_ylim()[0] < 0.4


def test_single_step_is_a_visible_point():
    (axes,) = plot_loss([1], [[0.5], [0.4]]).axes
    assert {line.get_marker() for line in axes.lines} == {'o'}


@pytest.mark.parametrize('losses', [[], [[]], np.zeros((0, 2)), [1.0], [[1.0, 2.0, 3.0]], 1.0])
def test_no_seeds_or_another_number_of_steps(losses):
    with pytest.raises(ValueError, match=r'losses: expected \(seeds, steps\).*got the shape'):
        plot_loss([1, 2], losses)


def test_no_steps():
    with pytest.raises(ValueError, match='at least one seed and 0 >= 1 steps'):
        plot_loss([], [])


def test_loss_that_is_not_finite_names_step_and_seed():
    with pytest.raises(ValueError, match='got nan at step 20 of seed number 1'):
        plot_loss([10, 20], [[1, 1], [1, np.nan]])


def test_steps_must_increase():
    with pytest.raises(ValueError, match='strictly increasing'):
        plot_loss([1, 1], [0.5, 0.4])
