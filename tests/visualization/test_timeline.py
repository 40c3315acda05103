"""Timelines: the choice of detections, the lanes and the marks in them."""

from __future__ import annotations

import warnings

import pytest
from matplotlib.patches import Rectangle

from sola_plugin.visualization import best_detections, encode_figure, plot_timeline

TRUTH = [dict(segment=[2.0, 5.0], label='run'), dict(segment=[6.0, 9.0], label='jump')]


def detection(start, end, score, label='run'):
    return dict(segment=[start, end], label=label, score=score)


def fills(figure):
    """Filled bars as (start, end, opacity), in the order of drawing; the grey bands left out."""
    return [
        (patch.get_x(), patch.get_x() + patch.get_width(), patch.get_facecolor()[3])
        for patch in figure.axes[0].patches
        if isinstance(patch, Rectangle) and patch.get_fill() and patch.get_zorder() > 0
    ]


def lane_names(figure):
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def test_every_method_shows_the_same_number_of_detections():
    many = [detection(0, 1, score) for score in (0.1, 0.5, 0.3, 0.9, 0.7)]
    assert [item['score'] for item in best_detections(many, num_truth=2)] == [0.9, 0.7, 0.5, 0.3]
    assert [item['score'] for item in best_detections(many, 2, top_k=1)] == [0.9]
    assert len(best_detections(many, num_truth=0)) == 2
    assert best_detections(many, 2, top_k=0) == best_detections([], 2) == []


def test_ties_keep_their_order():
    first, second = detection(0, 1, 0.5), detection(1, 2, 0.5)
    assert best_detections([first, second], 1, top_k=1) == [first]


def test_negative_top_k():
    with pytest.raises(ValueError, match='top_k: expected a number >= 0, got -1'):
        best_detections([], 1, top_k=-1)


def test_lanes_from_top_to_bottom_and_the_time_axis():
    detections = {'raw features': [detection(2, 4, 0.5)], 'SoLa': [detection(6, 9, 0.7, 'jump')]}
    figure = plot_timeline(TRUTH, detections, 12.0, title='v_1')
    (axes,) = figure.axes
    assert lane_names(figure) == ['true segments', 'raw features', 'SoLa']
    ticks = axes.get_yticks()
    assert list(ticks) == sorted(ticks)
    assert axes.get_ylim()[0] > axes.get_ylim()[1] == 0
    assert axes.get_xlim() == (0, 12)
    assert axes.get_xlabel() == 'time (s)'
    assert axes.get_title(loc='left').startswith('v_1\nbest 4 detections of each method')
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['jump', 'run']
    assert b'<svg' in encode_figure(figure, 'svg').data


def test_opacity_is_the_share_of_the_best_score():
    detections = {'raw': [detection(0, 1, 0.02), detection(2, 3, 0.04)]}
    figure = plot_timeline([], detections, 12.0)
    assert fills(figure) == [(2, 3, 1.0), (0, 1, pytest.approx(0.65))]


def test_scores_without_a_positive_one_are_opaque():
    figure = plot_timeline([], {'raw': [detection(0, 1, -3.0), detection(2, 3, 0.0)]}, 12.0)
    assert [opacity for _, _, opacity in fills(figure)] == [1, 1]


def test_overlapping_detections_stand_in_rows_the_better_one_above():
    detections = {'raw': [detection(1, 4, 0.5), detection(2, 5, 0.9), detection(5, 6, 0.1)]}
    figure = plot_timeline([], detections, 12.0, top_k=3)
    bars = [p for p in figure.axes[0].patches if p.get_fill()]
    tops = {bar.get_x(): bar.get_y() for bar in bars}
    assert tops[2] == tops[5] < tops[1]


def test_true_segments_are_led_down_as_bands():
    figure = plot_timeline(TRUTH, {'raw': []}, 12.0)
    bands = [patch for patch in figure.axes[0].patches if patch.get_zorder() == 0]
    assert [(band.get_x(), band.get_width()) for band in bands] == [(2, 3), (6, 3)]


def test_a_crowded_lane_does_not_grow_without_end():
    crowd = [detection(0, 10, 0.5) for _ in range(100)]
    figure = plot_timeline(TRUTH, {'raw': crowd}, 12.0, top_k=100)
    assert figure.get_size_inches()[1] < 4


def test_empty_lanes_stay_and_say_so():
    figure = plot_timeline([], {'raw': [], 'SoLa': []}, 12.0)
    assert lane_names(figure) == ['true segments', 'raw', 'SoLa']
    assert [text.get_text() for text in figure.axes[0].texts] == ['none'] * 3
    assert not figure.legends
    encode_figure(figure)


def test_a_method_named_like_the_top_lane_keeps_its_own():
    figure = plot_timeline(TRUTH, {'true segments': []}, 12.0)
    assert lane_names(figure) == ['true segments', 'true segments']


def test_labels_with_special_characters_draw_without_warning():
    truth = [dict(segment=[0, 1], label='_private'), dict(segment=[1, 2], label='<b>$x$ & $')]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figure = plot_timeline(truth, {'$a$': []}, 12.0, title='$v$ $w$')
        encode_figure(figure, 'svg')
        encode_figure(figure, 'png')
    assert len(figure.legends[0].get_texts()) == 2


@pytest.mark.parametrize('duration', [0, -1, float('nan'), float('inf')])
def test_duration_must_be_positive(duration):
    with pytest.raises(ValueError, match='duration: expected a positive number of seconds'):
        plot_timeline(TRUTH, {}, duration)


def test_broken_detection_names_the_method():
    with pytest.raises(ValueError, match="detections of 'raw', item 0: .* got"):
        plot_timeline(TRUTH, {'raw': [detection(5, 2, 0.5)]}, 12.0)


def test_classes_must_hold_all_labels():
    with pytest.raises(ValueError, match=r"\['jump'\] missing"):
        plot_timeline(TRUTH, {}, 12.0, classes=['run'])
