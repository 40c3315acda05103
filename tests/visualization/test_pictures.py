"""The shared look, the class styles, the segment check and the encoding of figures."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sola_plugin.visualization import encode, encode_figure, plot_loss, plot_tsm
from sola_plugin.visualization.pictures import (
    HATCHES,
    PALETTE,
    check_segments,
    class_styles,
    plain,
    styles_in_use,
)


def small_figure() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def test_svg_is_well_formed_and_has_the_size_of_the_figure():
    picture = encode_figure(small_figure(), 'svg')
    assert picture.mime == 'image/svg+xml'
    assert ElementTree.fromstring(picture.data).tag == '{http://www.w3.org/2000/svg}svg'
    assert (picture.width, picture.height) == (192, 96)


def test_png_is_valid_and_twice_as_fine_as_a_css_pixel():
    picture = encode_figure(small_figure(), 'png')
    assert picture.mime == 'image/png'
    image = Image.open(io.BytesIO(picture.data))
    image.load()
    assert image.size == (2 * picture.width, 2 * picture.height)


def test_data_uri_holds_the_data():
    picture = encode_figure(small_figure(), 'png')
    head, _, data = picture.data_uri.partition(',')
    assert head == 'data:image/png;base64'
    assert base64.b64decode(data) == picture.data


def test_auto_takes_svg_for_lines_and_png_for_heat_maps():
    assert encode_figure(small_figure()).mime == 'image/svg+xml'
    assert encode_figure(plot_tsm({'a': np.eye(3)})).mime == 'image/png'


def test_auto_takes_png_for_a_large_svg(monkeypatch):
    monkeypatch.setattr(encode, 'MAX_SVG_BYTES', 100)
    assert encode_figure(small_figure()).mime == 'image/png'
    assert encode_figure(small_figure(), 'svg').mime == 'image/svg+xml'


def test_unknown_format():
    with pytest.raises(ValueError, match="expected 'auto', 'svg' or 'png', got 'pdf'"):
        encode_figure(small_figure(), 'pdf')


@pytest.mark.parametrize('format', ['svg', 'png'])
def test_same_figure_same_bytes(format):
    first = encode_figure(plot_loss([1, 2], [0.5, 0.4]), format)
    second = encode_figure(plot_loss([1, 2], [0.5, 0.4]), format)
    assert first.data == second.data


def test_settings_of_the_user_neither_leak_in_nor_get_lost():
    expected = encode_figure(plot_loss([1, 2], [0.5, 0.4])).data
    with matplotlib.rc_context({'axes.facecolor': 'black', 'font.size': 30}):
        before = dict(matplotlib.rcParams)
        assert encode_figure(plot_loss([1, 2], [0.5, 0.4])).data == expected
        assert dict(matplotlib.rcParams) == before


def test_import_needs_neither_pyplot_nor_torch():
    code = (
        'import sys, sola_plugin.visualization\n'
        'print([name for name in ("matplotlib.pyplot", "torch") if name in sys.modules])'
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == '[]'


def test_class_styles_are_distinct_until_colours_and_hatches_are_used_up():
    names = [f'class {index}' for index in range(len(PALETTE) * len(HATCHES))]
    styles = class_styles(names)
    assert len(set(styles.values())) == len(names)
    assert [styles[name].hatch for name in names[:6]] == [''] * 6


def test_class_keeps_its_style_whatever_else_occurs():
    classes = ['jump', 'run', 'throw']
    alone = styles_in_use(['throw'], classes)
    together = styles_in_use(['run', 'throw'], classes)
    assert alone['throw'] == together['throw']
    assert list(alone) == ['throw']


def test_two_classes_of_a_long_list_never_look_the_same():
    classes = [f'class {index:03d}' for index in range(200)]
    occurring = [classes[0], classes[len(PALETTE) * len(HATCHES)]]
    assert len(set(styles_in_use(occurring, classes).values())) == 2


def test_class_missing_in_the_list():
    with pytest.raises(ValueError, match=r"\['swim'\] missing in \['run'\]"):
        styles_in_use(['run', 'swim'], ['run'])


def test_dollars_start_no_formula():
    figure = Figure()
    text = figure.text(0, 0, plain('$x$ and $y$'))
    assert text._preprocess_math(text.get_text()) == ('$x$ and $y$', False)


@pytest.mark.parametrize(
    ('segment', 'shown'),
    [
        ([5, 3], r'\[5.0, 3.0\]'),
        ([float('nan'), 3], r'\[nan, 3.0\]'),
        ([0, float('inf')], r'\[0.0, inf\]'),
        ([1, 2, 3], r'\[1.0, 2.0, 3.0\]'),
    ],
)
def test_broken_segment(segment, shown):
    items = [dict(segment=[0, 1], label='run'), dict(segment=segment, label='run')]
    with pytest.raises(ValueError, match=f'truth, item 1: .* start <= end, got {shown}'):
        check_segments(items, 'truth')


def test_missing_key_and_broken_score():
    with pytest.raises(ValueError, match=r"item 0: expected the keys .* add \['label'\]"):
        check_segments([dict(segment=[0, 1])], 'truth')
    with pytest.raises(ValueError, match=r"add \['score'\]"):
        check_segments([dict(segment=[0, 1], label='run')], 'detections', scored=True)
    with pytest.raises(ValueError, match='expected a finite score, got nan'):
        item = dict(segment=[0, 1], label='run', score=float('nan'))
        check_segments([item], 'detections', scored=True)
