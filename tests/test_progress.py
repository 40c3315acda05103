"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from sola_plugin import progress
from sola_plugin.progress import ProgressLines, show_progress


def lines(times: list[float], *states: tuple[str, int, int]) -> list[str]:
    """What is written when states are told at these times."""
    stream, clock = io.StringIO(), iter([0.0, *times])
    show = ProgressLines('job', stream=stream, clock=lambda: next(clock))
    for state in states:
        show(*state)
    return stream.getvalue().splitlines()


def test_what_was_done_before_is_no_work():
    states = [('a', 90, 100), ('b', 91, 100), ('c', 92, 100)]
    assert lines([0.1, 30, 60], *states) == [
        'job: 91 of 100, 2 a minute, 4 min left (b)',
        'job: 92 of 100, 2 a minute, 4 min left (c)',
    ]


def test_a_part_of_its_own_rate():
    states = [('fit', 10, 10), ('write', 1, 60), ('write', 31, 60)]
    assert lines([10, 20, 50], *states) == ['job: 31 of 60, 1 a second, 29 s left (write)']


def test_a_bar_has_rate_and_remaining_time(monkeypatch):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    monkeypatch.setattr(progress, 'Console', lambda **_: console)
    with show_progress('pack', transient=False) as show:
        for done in range(1, 6):
            time.sleep(0.01)
            show('v', done, 10)
    last = re.sub(r'\x1b\[[\d;?]*\w', '', stream.getvalue())
    assert '5/10' in last and re.search(r'[\d.]+ a (second|minute)', last)
    assert re.search(r'\d:\d\d:\d\d .*\d:\d\d:\d\d', last)  # elapsed, remaining


def test_short_jobs_are_silent_and_long_ones_tell_their_end():
    assert lines([1, 2, 3], *[('', done, 3) for done in (1, 2, 3)]) == []
    assert lines([3600, 7200, 7201], *[('', done, 3) for done in (1, 2, 3)]) == [
        'job: 1 of 3, 1 an hour, 2.0 h left',
        'job: 2 of 3, 1 an hour, 60 min left',
        'job: 3 of 3, 1.5 an hour',
    ]


def test_nothing_done_yet():
    assert lines([40], ('', 0, 5)) == ['job: 0 of 5']


@pytest.mark.parametrize('terminal', [True, False], ids=['terminal', 'file'])
def test_the_end_is_shown(terminal, monkeypatch, capsys):
    monkeypatch.setattr(
        progress, 'Console', lambda stderr: Console(stderr=stderr, force_terminal=terminal)
    )
    with show_progress('job', transient=False) as show:
        for done in (1, 2):
            show('part', done, 2)
    captured = capsys.readouterr()
    assert ('2/2' in captured.err and '\x1b[?25h' in captured.err) is terminal
    assert not captured.out and (terminal or not captured.err)
