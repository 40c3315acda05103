"""Several groups of a study at once: pooled pairs, the worst group, p values, the rules."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from sola_plugin.studies.choice import choose, write_choices
from sola_plugin.studies.runner import Outcome
from sola_plugin.studies.study import Condition, Study, StudyError, load_study
from sola_plugin.studies.summary import holm, sign_flip_p, summary_tables
from tests.studies.test_study import write, write_configs

#: Set and head → method → mAP of two folds.
VALUES = {
    'A, BMN': dict(raw=(0.50, 0.60), smooth=(0.52, 0.61), sola=(0.60, 0.55)),
    'B, BMN': dict(raw=(0.20, 0.30), smooth=(0.21, 0.32), sola=(0.40, 0.60)),
    'A, G-TAD': dict(raw=(0.70, 0.80), smooth=(0.70, 0.81), sola=(0.75, 0.85)),
}


def made_study(**options) -> Study:
    cells = [
        Condition(dict(experiment=group, method=method), Path('head.py'))
        for group, methods in VALUES.items()
        for method in methods
    ]
    return Study(Path('study.py'), 'Made', tuple(cells), (0,), dict(method='raw'), **options)


def outcomes_of(study: Study, values=VALUES) -> list[Outcome]:
    return [
        Outcome(
            Condition(cell.levels, cell.head, fold=str(fold)),
            0,
            (),
            dict(mAP=values[cell.levels['experiment']][cell.levels['method']][fold]),
        )
        for cell in study.cells
        for fold in (0, 1)
    ]


def test_pairs_are_pooled_over_the_groups_that_match():
    study = made_study(summaries={'all': '*', 'BMN': '*, BMN', 'none': 'C, *'})
    tables = summary_tables(study, outcomes_of(study))
    assert list(tables) == ['all', 'BMN']
    rows = {row[0]: row for row in tables['BMN'].rows}
    assert rows['raw'][2:] == ('–',) * 4
    pairs = 100 * np.array([0.10, -0.05, 0.20, 0.30])
    assert rows['sola'][1] == '53.8 ± 5.3'  # of 57.5 and 50
    assert rows['sola'][2].startswith(f'+13.8 ± {pairs.std(ddof=1):.1f} [')
    assert rows['sola'][2].endswith('(3/4)')
    assert rows['sola'][4:] == ('+2.5 (A, BMN)', '2/2')
    assert 'difference to raw' in tables['BMN'].note


def test_headline_comparisons_are_corrected_together():
    study = made_study(
        summaries={'all': '*', 'BMN': '*, BMN'},
        headline=dict(row='sola', against=['raw', 'smooth']),
    )
    table = summary_tables(study, outcomes_of(study))['Headline comparisons']
    assert [row[:2] for row in table.rows] == [
        *(('all', 'raw'), ('all', 'smooth'), ('BMN', 'raw'), ('BMN', 'smooth')),
    ]
    assert 'over these 4 comparisons' in table.note
    # All 64 sign flips of six pairs, two of which are as far out: 2 / 64, times 4 at most.
    assert 2 / 64 <= float(table.rows[0][3]) <= 1


@pytest.mark.parametrize('n', [2, 5, 9])
def test_p_value_by_counting_all_sign_flips(n):
    differences = np.random.default_rng(n).normal(0.4, 1, n)
    flipped = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=n)]
    expected = np.mean(np.array(flipped) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p(differences) == pytest.approx(expected)


@pytest.mark.parametrize('differences', [[0.0, 0.0, 0.0], [0.3]])
def test_p_value_without_evidence(differences):
    assert sign_flip_p(np.array(differences)) == 1.0


def test_holm_by_its_definition():
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == []


class TestRules:
    def test_best_worst_case(self):
        """Smoothing gains little but everywhere; SoLa more, until it falls somewhere."""
        study = made_study(summaries={'all': '*', 'BMN': '*, BMN'}, rule='worst case')
        assert choose(study, outcomes_of(study)) == {'all': 'sola', 'BMN': 'sola'}
        values = {**VALUES, 'B, BMN': {**VALUES['B, BMN'], 'sola': (0.1, 0.3)}}
        assert choose(study, outcomes_of(study, values)) == {'all': 'smooth', 'BMN': 'smooth'}

    @pytest.mark.parametrize(
        ('second', 'third', 'expected'),
        [
            ((0.02, -0.02), (0.3, 0.3), '60'),  # no change by 90, whatever comes later
            ((-0.10, -0.11), (0.3, 0.3), '60'),  # worse: it learns the training videos by heart
            ((0.10, 0.11), (0.09, 0.12), '90'),
            ((0.10, 0.11), (0.20, 0.21), '135'),
        ],
    )
    def test_long_enough(self, second, third, expected):
        start = np.array([0.5, 0.6])
        values = {'BMN': {'60': start, '90': start + second, '135': start + third}}
        cells = [Condition(dict(head='BMN', epochs=name), Path('h.py')) for name in values['BMN']]
        study = Study(
            Path('s.py'), 'Made', tuple(cells), (0, 1), dict(epochs='60'), {'BMN': 'BMN'}, {},
            'long enough',
        )  # fmt: skip
        outcomes = [
            Outcome(cell, seed, (), dict(mAP=values['BMN'][cell.levels['epochs']][seed]))
            for cell in cells
            for seed in (0, 1)
        ]
        assert choose(study, outcomes) == {'BMN': expected}

    def test_nothing_is_chosen_by_fewer_trials(self):
        study = made_study(summaries={'all': '*'}, rule='worst case')
        outcomes = outcomes_of(study)
        failed = Outcome(outcomes[-1].cell, 0, (), None, 'broke')
        with pytest.raises(ValueError, match='nothing is chosen, as 1 runs failed: A, G-TAD'):
            choose(study, [*outcomes[:-1], failed])

    def test_a_study_without_a_rule(self):
        study = made_study(summaries={'all': '*'})
        with pytest.raises(ValueError, match='chooses nothing: it needs summaries and rule, one'):
            choose(study, outcomes_of(study))

    def test_written_as_a_config(self, tmp_path):
        path = tmp_path / 'choices.py'
        write_choices(path, {'BMN': '60'}, 'python tools/ablate.py ' + 'long ' * 40)
        assert Config.fromfile(path)._choices == {'BMN': '60'}
        assert all(len(line) <= 100 for line in path.read_text().splitlines())


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ("rule = 'best'", "rule='best' is none of"),
        ("headline = dict(row='x', against=['raw'])", "headline: 'x' is no row of"),
        ("headline = dict(row='frozen')", 'headline: expected dict'),
        ("summaries = ['*']", 'summaries: expected dict'),
    ],
)
def test_errors_of_a_study_file(tmp_path, data_root, line, message):
    configs = write_configs(tmp_path, data_root)
    text = (
        "head = 'head.py'\npretrain = 'pretrain.py'\nbaseline = dict(neck='raw')\n"
        "factors = dict(neck={'raw': dict(head_options={'model.neck': None}), 'frozen': dict()})\n"
    )
    with pytest.raises(StudyError, match=message):
        load_study(write(configs / 'study.py', text + line))
