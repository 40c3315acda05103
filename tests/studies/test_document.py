"""Blocks that a tool writes into a hand-written page."""

from __future__ import annotations

import pytest

from sola_plugin.studies.output import update_document


def test_only_the_block_changes(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(
        '# Title\n\n<!-- begin a -->\nold\n<!-- end a -->\n\nReading.\n\n'
        '<!-- begin b -->\n<!-- end b -->\n'
    )
    update_document(page, 'b', '| table |\n')
    update_document(page, 'a', 'one\n\ntwo\n')
    expected = (
        '# Title\n\n<!-- begin a -->\none\n\ntwo\n<!-- end a -->\n\nReading.\n\n'
        '<!-- begin b -->\n| table |\n<!-- end b -->\n'
    )
    assert page.read_text() == expected
    update_document(page, 'a', 'one\n\ntwo\n')
    assert page.read_text() == expected


def test_a_block_that_is_not_there_comes_last(tmp_path):
    page = tmp_path / 'page.md'
    update_document(page, 'a', 'one')
    update_document(page, 'a b', 'two')
    assert page.read_text() == (
        '<!-- begin a -->\none\n<!-- end a -->\n\n<!-- begin a b -->\ntwo\n<!-- end a b -->\n'
    )


@pytest.mark.parametrize(
    'text',
    [
        '<!-- begin a -->\nno end\n',
        '<!-- end a -->\n<!-- begin a -->\n',
        '<!-- begin a -->\n<!-- end a -->\n' * 2,
    ],
)
def test_broken_marks_leave_the_page_alone(tmp_path, text):
    page = tmp_path / 'page.md'
    page.write_text(text)
    with pytest.raises(ValueError, match=r"page.md: expected the lines '<!-- begin a -->'"):
        update_document(page, 'a', 'new')
    assert page.read_text() == text
