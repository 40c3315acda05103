"""The pictures and tables of a diagnosis."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from sola_plugin.evaluation import Buckets, Diagnosis, diagnose
from sola_plugin.evaluation.diagnosis.errors import KINDS
from sola_plugin.visualization import (
    bucket_table,
    encode_figure,
    false_positive_table,
    plot_false_negatives,
    plot_false_positives,
    plot_sensitivity,
)


def make_diagnosis(num_detections: int = 60, **options) -> Diagnosis:
    rng = np.random.default_rng(0)
    truth = {
        f'v{i}': [
            dict(segment=[10 * j, 10 * j + rng.integers(1, 10)], label='ab'[j % 2])
            for j in range(4)
        ]
        for i in range(5)
    }
    found: dict[str, list] = {video: [] for video in truth}
    for _ in range(num_detections):
        start = rng.random() * 40
        segment = [start, start + rng.random() * 12]
        found[f'v{rng.integers(5)}'].append(
            dict(segment=segment, label='ab'[rng.integers(2)], score=rng.random())
        )
    durations = dict.fromkeys(truth, 50.0)
    return diagnose(truth, found, durations, **{'tiou_thresholds': [0.3, 0.5], **options})


def heights(axes) -> list[float]:
    return [bar.get_height() for bar in axes.patches]


def test_profile_shows_the_shares_and_gains():
    diagnosis = make_diagnosis()
    left, right = plot_false_positives(diagnosis).axes
    drawn = np.reshape(heights(left), (len(KINDS), 10)).T
    np.testing.assert_allclose(drawn, 100 * np.nan_to_num(diagnosis.false_positives.shares))
    assert set(drawn.sum(axis=1).round(6)) <= {0.0, 100.0}
    assert [label.get_text() for label in right.get_yticklabels()] == list(KINDS[1:])
    np.testing.assert_allclose(
        [bar.get_width() for bar in right.patches],
        100 * diagnosis.false_positives.gain_N.mean(axis=1),
    )


def test_a_kind_has_one_colour_in_both_axes():
    figure = plot_false_positives(make_diagnosis())
    left, right = figure.axes
    stacked = [to_hex(group[0].get_facecolor()) for group in left.containers]
    assert len(set(stacked)) == len(KINDS)
    assert [to_hex(bar.get_facecolor()) for bar in right.patches] == stacked[1:]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(KINDS)


@pytest.mark.parametrize(
    ('plot', 'attribute'), [(plot_sensitivity, 'mAP_N'), (plot_false_negatives, 'missed')]
)
def test_bars_of_the_buckets_and_the_line_of_all(plot, attribute):
    diagnosis = make_diagnosis()
    panels = plot(diagnosis).axes
    assert len(panels) == 3
    for axes, result in zip(panels, diagnosis.by_characteristic.values()):
        np.testing.assert_allclose(heights(axes), 100 * np.nan_to_num(getattr(result, attribute)))
        assert set(axes.lines[0].get_ydata()) == {100 * getattr(diagnosis, attribute)}
        counts = [label.get_text().split('\n')[-1] for label in axes.get_xticklabels()]
        assert counts == [str(count) for count in result.segments]


def test_coverage_is_in_percent_and_empty_buckets_have_a_dash():
    diagnosis = make_diagnosis(buckets={'coverage': Buckets((0.06, 0.5))})
    (axes,) = plot_sensitivity(diagnosis).axes
    names = [label.get_text().split('\n')[:2] for label in axes.get_xticklabels()]
    assert names == [['XS', '≤ 6'], ['S', '6–50'], ['M', '> 50']]
    assert axes.texts[2].get_text() == '–'
    assert bucket_table(diagnosis).rows[-1][3:] == ('0', '–', '–')


@pytest.mark.parametrize(
    'plot',
    [
        plot_false_positives,
        pytest.param(plot_sensitivity, marks=pytest.mark.slow),
        pytest.param(plot_false_negatives, marks=pytest.mark.slow),
    ],
)
def test_nothing_detected_is_drawn_too(plot):
    assert encode_figure(plot(make_diagnosis(0))).data


@pytest.mark.parametrize('plot', [plot_sensitivity, plot_false_negatives])
def test_without_characteristics(plot):
    with pytest.raises(ValueError, match='at least one characteristic with buckets, got none'):
        plot(make_diagnosis(buckets={}))


def test_the_last_two_rows_add_up_to_the_loss():
    diagnosis = make_diagnosis()
    rows = {row[0]: row[1:] for row in false_positive_table(diagnosis).rows}
    assert tuple(rows) == (*KINDS, 'all false positives', 'segments not found')
    gains = [float(rows[name][2]) for name in ('all false positives', 'segments not found')]
    loss = 100 * (1 - diagnosis.false_positives.mAP.mean())
    assert sum(gains) == pytest.approx(loss, abs=0.011)
    shares = [float(rows[name][3]) for name in ('all false positives', 'segments not found')]
    assert sum(shares) == pytest.approx(100, abs=0.11)
    assert rows['true positive'][2:] == ('–', '–', '–')
    assert sum(float(row[1]) for row in list(rows.values())[:6]) == pytest.approx(100, abs=0.31)


def test_nothing_lost_has_no_shares():
    truth = {'v': [dict(segment=[0, 5], label='a')]}
    found = {'v': [dict(segment=[0, 5], label='a', score=1.0)]}
    rows = false_positive_table(diagnose(truth, found, {'v': 9.0})).rows
    assert [row[4] for row in rows] == ['–'] * 8


def test_table_of_buckets():
    diagnosis = make_diagnosis(buckets={'instances': Buckets((1, 2), whole=True)})
    table = bucket_table(diagnosis)
    assert table.rows[0][:4] == ('all', '', '', '20')
    assert [row[:4] for row in table.rows[1:]] == [
        ('Instances in the video', 'XS', '≤ 1', '0'),
        ('Instances in the video', 'S', '2', '20'),
        ('Instances in the video', 'M', '> 2', '0'),
    ]
    # All segments are in one bucket, and no detection is left out.
    assert table.rows[2][4:] == table.rows[0][4:]
