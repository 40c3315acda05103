"""Comparison of experiments over seeds."""

from __future__ import annotations

import numpy as np
import pytest

from sola_plugin.visualization import encode_figure, plot_comparison
from sola_plugin.visualization.pictures import MUTED, PALETTE
from sola_plugin.visualization.spread import bootstrap_interval

RESULTS = {
    'raw': [60.0, 62.0, 64.0],
    'SoLa, $k$': [70.0, 74.0, 72.0],
    'smoothed': [61.0, 61.0, 61.0],
}


def lines_of(axes, label):
    return [line for line in axes.lines if line.get_label() == label]


def test_seeds_mean_and_interval_of_each_row():
    figure = plot_comparison(RESULTS, xlabel='mAP@0.5, %')
    (axes,) = figure.axes
    seeds, means = lines_of(axes, 'one seed'), lines_of(axes, 'mean')
    intervals = lines_of(axes, '95% bootstrap interval of the mean')
    assert len(axes.lines) == 9
    for row, values in enumerate(RESULTS.values()):
        np.testing.assert_array_equal(seeds[row].get_xdata(), values)
        assert (row - 0.5 < seeds[row].get_ydata()).all() and (seeds[row].get_ydata() < row).all()
        assert means[row].get_xdata()[0] == np.mean(values) and means[row].get_ydata()[0] == row
        np.testing.assert_array_equal(intervals[row].get_xdata(), bootstrap_interval(values))
        np.testing.assert_array_equal(intervals[row].get_ydata(), [row, row])
    assert axes.get_xlabel() == 'mAP@0.5, %'
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        'raw',
        r'SoLa, \$k\$',
        'smoothed',
    ]
    bottom, top = axes.get_ylim()
    assert bottom > top  # the first row is on top
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        'one seed',
        '95% bootstrap interval of the mean',
        'mean',
    ]
    assert b'<svg' in encode_figure(figure).data


def test_baseline():
    figure = plot_comparison(RESULTS, baseline='raw')
    (axes,) = figure.axes
    (line,) = lines_of(axes, 'mean of raw')
    np.testing.assert_array_equal(line.get_xdata(), [62, 62])
    colours = [line.get_color() for line in lines_of(axes, 'mean')]
    assert colours == [MUTED, PALETTE[0], PALETTE[0]]
    assert figure.legends[0].get_texts()[-1].get_text() == 'mean of raw'


def test_one_seed_has_neither_interval_nor_mean():
    figure = plot_comparison({'raw': [60.0], 'SoLa': [70.0]})
    (axes,) = figure.axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0], [1]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['one seed']


def test_lines_between_groups():
    (axes,) = plot_comparison(RESULTS, groups=['BMN', 'BMN', 'G-TAD']).axes
    assert axes.lines[-1].get_ydata() == [1.5, 1.5] and len(axes.lines) == 10
    (axes,) = plot_comparison(RESULTS, groups=['BMN'] * 3).axes
    assert len(axes.lines) == 9


def test_figure_grows_with_its_rows():
    heights = [
        plot_comparison({str(n): [n] for n in range(rows)}).get_figheight() for rows in (1, 11)
    ]
    assert heights[1] - heights[0] == pytest.approx(3.2)


@pytest.mark.parametrize(
    ('results', 'options', 'message'),
    [
        ({}, {}, 'results: expected at least one experiment, got none'),
        (RESULTS, dict(baseline='rwa'), r"baseline 'rwa': expected one of \['raw', "),
        (
            RESULTS,
            dict(groups=['BMN']),
            r"groups: expected 3, one for each experiment, got \['BMN'\]",
        ),
        (
            {'raw': [1.0], 'SoLa': []},
            {},
            "'SoLa': expected one value for each of at least one seed",
        ),
        (
            {'raw': [1.0], 'SoLa': [1, np.nan]},
            {},
            r"'SoLa': expected finite values, got \[1.0, nan\]",
        ),
    ],
)
def test_bad_input(results, options, message):
    with pytest.raises(ValueError, match=message):
        plot_comparison(results, **options)
