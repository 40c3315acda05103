"""Result tables: exact strings in every form."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from sola_plugin.visualization import (
    Cell,
    Column,
    Difference,
    Table,
    build_table,
    to_html,
    to_markdown,
    to_rich,
    to_text,
)

RESULTS = {
    'raw features': {'mAP': [0.50, 0.56, 0.62], 'seconds': [12.4, 12.6, 12.5]},
    'SoLa': {'mAP': [0.56, 0.59, 0.61], 'pretrain': [20.0, 21.0, 22.0]},
}
COLUMNS = [
    Column('mAP', 'mAP (%)', scale=100, difference=True),
    Column('pretrain', 'pretraining (s)', digits=0),
]
NOTE = (
    'Mean ± standard deviation over 3 seeds. Δ: difference to raw features on the same seed, '
    'averaged; in brackets the number of seeds that improved.'
)


def test_cell_is_mean_and_sample_deviation():
    cell = Cell.of([51.9, 55.9, 59.9])
    assert (cell.mean, cell.spread, cell.n) == (pytest.approx(55.9), pytest.approx(4.0), 3)
    assert cell.text() == '55.9 ± 4.0'
    assert cell.text(digits=0) == '56 ± 4'


def test_a_single_seed_has_no_spread():
    assert Cell.of([3.14]) == Cell(3.14, None, 1)
    assert Cell.of([3.14]).text() == '3.1'
    assert Difference.of([3.0], [1.0]).text() == '+2.0 (1/1)'


def test_no_negative_zero():
    assert Cell.of([-0.04]).text() == '0.0'
    assert Difference.of([0.0], [0.04]).text() == '+0.0 (0/1)'


def test_difference_is_paired():
    difference = Difference.of([10.0, 22.0, 29.0], [9.0, 20.0, 30.0])
    assert difference.text() == '+0.7 ± 1.5 (2/3)'
    assert (difference.mean, difference.n, difference.improved) == (pytest.approx(2 / 3), 3, 2)


def test_lower_is_better_and_a_tie_is_no_improvement():
    difference = Difference.of([1.0, 2.0, 3.0], [2.0, 2.0, 4.0], higher_is_better=False)
    assert difference.text() == '-0.7 ± 0.6 (2/3)'


@pytest.mark.parametrize('values', [[], [1.0, np.nan], [np.inf], [[1.0]]])
def test_no_seeds_or_no_numbers(values):
    with pytest.raises(ValueError, match='expected (one value|finite values)'):
        Cell.of(values)


def test_rows_of_a_table():
    table = build_table(RESULTS, COLUMNS)
    assert table.header == ('method', 'mAP (%)', 'Δ mAP (%)', 'pretraining (s)')
    assert table.rows == (
        ('raw features', '56.0 ± 6.0', '–', '–'),
        ('SoLa', '58.7 ± 2.5', '+2.7 ± 3.5 (2/3)', '21 ± 1'),
    )
    assert table.note == NOTE


def test_note_of_one_seed_and_of_unequal_seeds():
    assert build_table({'a': {'x': [1.0]}}, [Column('x', 'x')]).note.startswith('One seed')
    table = build_table({'a': {'x': [1.0]}, 'b': {'x': [1.0, 2.0]}}, [Column('x', 'x')])
    assert table.note == 'Mean ± standard deviation over 1 to 2 seeds.'
    assert build_table({'a': {}}, [Column('x', 'x')]).note == ''


def test_bad_results_name_method_and_key():
    with pytest.raises(ValueError, match='at least one method'):
        build_table({}, COLUMNS)
    with pytest.raises(ValueError, match=r"results of 'SoLa', 'mAP': .* got \[0.5, nan\]"):
        build_table({'raw': {'mAP': [0.5, 0.6]}, 'SoLa': {'mAP': [0.5, np.nan]}}, COLUMNS)
    with pytest.raises(ValueError, match="results of 'raw', 'mAP': .* at least one seed"):
        build_table({'raw': {'mAP': []}}, COLUMNS)
    with pytest.raises(ValueError, match="'SoLa', 'mAP': .* same seeds .* 1 values against 2"):
        build_table({'raw': {'mAP': [0.5, 0.6]}, 'SoLa': {'mAP': [0.5]}}, COLUMNS)


def test_rows_must_fit_the_header():
    with pytest.raises(ValueError, match=r"row \('a', '1', '2'\): expected 2 cells, got 3"):
        Table(('method', 'x'), (('a', '1', '2'),))


def test_markdown():
    table = Table(('method', 'x'), (('a|b', '1.0'), ('<b>', '–')), note='A note.')
    assert to_markdown(table) == (
        '| method | x |\n| --- | ---: |\n| a\\|b | 1.0 |\n| &lt;b> | – |\n\nA note.\n'
    )


def test_html_is_escaped():
    table = Table(('method', 'x'), (('<script>', '1 & 2'),), note='not shown')
    assert to_html(table) == (
        '<thead><tr><th scope="col">method</th><th scope="col">x</th></tr></thead>\n<tbody>\n'
        '<tr><th scope="row">&lt;script&gt;</th><td>1 &amp; 2</td></tr>\n</tbody>'
    )


def test_text_is_aligned_and_never_cut():
    table = Table(('method', 'x'), (('raw', '1.0'), ('m' * 300, '10.0')))
    header, _, raw, long = to_text(table).splitlines()
    assert header.split() == ['method', 'x']
    assert long.split() == ['m' * 300, '10.0']
    assert len({len(line) for line in (header, raw, long)}) == 1


def test_text_shows_brackets_and_the_note():
    text = to_text(Table(('method', 'x'), (('[bold]raw[/bold]', '1.0'),), note='A note.'))
    assert '[bold]raw[/bold]' in text
    assert text.endswith('A note.\n')


def test_all_forms_show_the_same_cells():
    table = build_table(RESULTS, COLUMNS)
    console = Console(width=200, file=io.StringIO())
    console.print(to_rich(table))
    rich_text = console.file.getvalue()
    for shown in (to_text(table), to_markdown(table), to_html(table), rich_text):
        assert all(cell in shown for row in table.rows for cell in row)
