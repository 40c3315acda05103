"""The HTML report: complete, self-contained, escaped, written in one piece."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from sola_plugin import io as utils
from sola_plugin.visualization import (
    BulletList,
    CodeBlock,
    Column,
    FigureBlock,
    Section,
    TableBlock,
    build_table,
    plot_loss,
    plot_timeline,
    write_report,
)

ATTACK = '<script>alert("x")</script>'
VOID = {'meta', 'img', 'br', 'link', 'hr', 'input'}


class Page(HTMLParser):
    """Collects tags and attributes, and checks that every tag is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text = ''
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def sections():
    table = build_table(
        {'raw': {'mAP': [0.5, 0.6]}, ATTACK: {'mAP': [0.6, 0.6]}}, [Column('mAP', 'mAP')]
    )
    truth = [dict(segment=[0, 1], label=ATTACK)]
    return [
        Section(
            'Results',
            [
                'First.',
                TableBlock(table, 'A table.'),
                BulletList(('one', 'two')),
                CodeBlock(f'first line\n    second {ATTACK}'),
            ],
        ),
        Section(
            f'Pictures {ATTACK}',
            [
                FigureBlock(
                    plot_loss([1, 2], [0.5, 0.4]), f'A curve {ATTACK}', 'a falling "curve"'
                ),
                FigureBlock(
                    plot_timeline(truth, {ATTACK: []}, 2.0), 'A line.', ATTACK, format='png'
                ),
            ],
        ),
    ]


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp('report') / 'new folder' / 'report.html'
    write_report(
        path,
        f'Title {ATTACK}',
        sections(),
        lead='A lead.',
        about_data=[f'Real signals. {ATTACK}'],
        command=f'make demo SEEDS=3 {ATTACK}\n',
        settings={'seeds': (0, 1), ATTACK: ATTACK},
    )
    return Page(path.read_text(encoding='utf-8'))


def test_page_is_well_formed_and_complete(page):
    assert page.all('html') == [{'lang': 'en'}]
    assert {'name': 'viewport', 'content': 'width=device-width, initial-scale=1'} in page.all(
        'meta'
    )
    for words in (
        'A lead.',
        'What this data is',
        'Real signals.',
        'First.',
        'Figure 1. A curve',
        'Figure 2. A line.',
        'Table 1. A table. Mean ±',
        'make demo SEEDS=3',
        '(0, 1)',
    ):
        assert words in page.text, words
    assert len(page.all('details')) == 1


def test_contents_lead_to_the_sections(page):
    targets = {attributes['id'] for _, attributes in page.tags if 'id' in attributes}
    links = [attributes['href'] for attributes in page.all('a')]
    assert links == ['#section-1', '#section-2', '#reproduce']
    assert {link[1:] for link in links} <= targets


def test_nothing_is_loaded_from_elsewhere(page):
    for tag, attributes in page.tags:
        for name in ('src', 'href', 'srcset', 'action', 'data', 'poster'):
            value = attributes.get(name, '#')
            assert value.startswith(('#', 'data:image/')), (tag, name, value[:60])
    assert not page.all('script') and not page.all('link') and not page.all('iframe')
    assert '@import' not in page.text and 'url(' not in page.text


def test_all_text_is_escaped(page):
    # Title and heading, contents and section, table row, code, caption, data box, command, two
    # settings.
    assert page.text.count(ATTACK) == 11
    assert 'first line\n    second' in page.text
    assert [image['alt'] for image in page.all('img')] == ['a falling "curve"', ATTACK]


def test_pictures_are_embedded_with_their_size(page):
    svg, png = page.all('img')
    assert svg['src'].startswith('data:image/svg+xml;base64,')
    assert png['src'].startswith('data:image/png;base64,iVBOR')
    assert int(svg['width']) == int(png['width']) == 864


def test_wide_content_scrolls_in_a_box_that_the_keyboard_reaches(page):
    boxes = [attributes for attributes in page.all('div') if attributes.get('class') == 'scroll']
    assert len(boxes) == 4
    assert all(box['tabindex'] == '0' and box['aria-label'] for box in boxes)


def test_optional_parts_are_left_out(tmp_path):
    write_report(tmp_path / 'r.html', 'Title', [Section('Only', ['Text.'])])
    page = Page((tmp_path / 'r.html').read_text(encoding='utf-8'))
    assert not page.all('details') and not page.all('aside')
    assert [attributes['href'] for attributes in page.all('a')] == ['#section-1']


def test_same_content_same_file(tmp_path):
    for name in ('a.html', 'b.html'):
        write_report(tmp_path / name, 'Title', sections())
    assert (tmp_path / 'a.html').read_bytes() == (tmp_path / 'b.html').read_bytes()


def test_an_interrupted_write_leaves_the_old_report(tmp_path, monkeypatch):
    path = tmp_path / 'report.html'
    path.write_text('old')

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(utils.os, 'replace', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(path, 'Title', [Section('Only', ['Text.'])])
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ('blocks', 'error', 'message'),
    [
        ([FigureBlock(plot_loss([1], [1]), 'A caption', ' ')], ValueError, 'no alt text'),
        ([42], TypeError, "section 'Results': expected str, BulletList, .* got int"),
        ('one string', ValueError, "'Results': expected a sequence of paragraphs"),
    ],
)
def test_bad_blocks_write_nothing(tmp_path, blocks, error, message):
    with pytest.raises(error, match=message):
        write_report(tmp_path / 'r.html', 'Title', [Section('Results', blocks)])
    assert not list(tmp_path.iterdir())


def test_no_sections(tmp_path):
    with pytest.raises(ValueError, match='sections: expected at least one'):
        write_report(tmp_path / 'r.html', 'Title', [])
