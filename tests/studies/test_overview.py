"""A study in one small table."""

from __future__ import annotations

import dataclasses

import pytest

from sola_plugin.studies.overview import overview_markdown, overview_table
from tests.studies.test_summary import VALUES, made_study, outcomes_of


def test_columns_are_the_groups():
    study = made_study()
    table = overview_table(study, outcomes_of(study))
    assert table.header == ('method', 'A, BMN', 'Δ', 'B, BMN', 'Δ', 'A, G-TAD', 'Δ')
    assert [row[0] for row in table.rows] == ['raw', 'smooth', 'sola']
    assert table.rows[0][1:] == ('55.0 ± 7.1', '–', '25.0 ± 7.1', '–', '75.0 ± 7.1', '–')
    assert table.rows[2][1:3] == ('57.5 ± 3.5', '+2.5 [-5.0, +10.0] (1/2)')
    assert '2 pairs of fold and seed' in table.note and 'difference to raw' in table.note


def test_columns_are_the_summaries_of_a_study_that_has_some():
    study = made_study(summaries={'all': '*', 'BMN': '*, BMN', 'G-TAD': '*, G-TAD', 'none': 'C'})
    table = overview_table(study, outcomes_of(study))
    assert table.header == ('method', 'all', 'BMN', 'G-TAD')
    raw, _, sola = table.rows
    assert raw[1] == '51.7'  # of 55, 25 and 75: a mean over groups has no spread over seeds
    assert raw[3] == '75.0 ± 7.1'
    assert sola[2].startswith('+13.8 [') and sola[2].endswith('(3/4)')
    assert 'in each group' in table.note


def test_without_folds():
    one = {'A, BMN': VALUES['A, BMN']}
    study = dataclasses.replace(made_study(), cells=made_study().cells[:3])
    outcomes = [
        dataclasses.replace(
            outcome, seed=int(outcome.cell.fold), cell=dataclasses.replace(outcome.cell, fold='')
        )
        for outcome in outcomes_of(study, one)
    ]
    assert '2 seeds.' in overview_table(study, outcomes).note


def test_a_method_that_a_group_lacks():
    study = made_study()
    outcomes = [
        outcome
        for outcome in outcomes_of(study)
        if list(outcome.cell.levels.values()) != ['B, BMN', 'smooth']
    ]
    assert overview_table(study, outcomes).rows[1][3:5] == ('–', '–')


def test_without_a_baseline():
    study = dataclasses.replace(made_study(), baseline={})
    with pytest.raises(ValueError, match='no overview without a baseline that has results'):
        overview_table(study, outcomes_of(study))


def test_for_a_page():
    study = made_study()
    text = overview_markdown(study, outcomes_of(study), 'python tools/ablate.py STUDY')
    assert '`python tools/ablate.py STUDY`, measured at commit' in text
    assert '\n\n\n' not in text and text.startswith('| method |')
