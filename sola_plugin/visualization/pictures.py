"""What all pictures share: colours, type sizes, class legend, and the check of segments.

Figures are made with matplotlib's object API: no pyplot, no display, no figure that stays open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.patches import Patch

#: Colours of Okabe and Ito (2008) that stay apart for colour-blind readers; black and yellow are
#: left out because the one is the text and the other is hard to see on white.
PALETTE = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9')
HATCHES = ('', '////', '....', 'xxxx')
INK = '#1f2933'
MUTED = '#5b6472'
GRID = '#e3e7ec'

#: Inches; at 96 CSS pixels an inch this is the width of the report's text column.
FULL_WIDTH = 9.0

_HOUSE = {
    'font.family': 'DejaVu Sans',
    'font.size': 9,
    'axes.titlesize': 10,
    'axes.labelsize': 9,
    'xtick.labelsize': 8.5,
    'ytick.labelsize': 8.5,
    'legend.fontsize': 8.5,
    'legend.frameon': False,
    'text.color': INK,
    'axes.labelcolor': INK,
    'axes.titlecolor': INK,
    'axes.edgecolor': MUTED,
    'xtick.color': MUTED,
    'ytick.color': MUTED,
    'xtick.labelcolor': INK,
    'ytick.labelcolor': INK,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'grid.color': GRID,
    'hatch.linewidth': 0.6,
    # Ids inside an SVG are random without it, and the same report would differ from run to run.
    'svg.hashsalt': 'sola_plugin',
}


@contextmanager
def house_style() -> Iterator[None]:
    """Context (or decorator) in which figures are made and saved.

    It starts from matplotlib's own defaults, so that the user's ``matplotlibrc`` (a dark style,
    LaTeX text) does not leak into the report, and restores the user's settings at its end.
    """
    with style.context(['default', _HOUSE]):
        yield


class ClassStyle(NamedTuple):
    """How one class is drawn: fill colour and, once the colours are used up, a hatch."""

    colour: str
    hatch: str


def class_styles(labels: Iterable[str]) -> dict[str, ClassStyle]:
    """Give every class its colour; from the 7th class on colours repeat with a hatch.

    Args:
        labels: Class names; repeated names count once, the order of first appearance decides.

    Returns:
        One style for each name.

    Example:
        >>> class_styles(['run', 'jump', 'run'])['jump'].colour
        '#D55E00'
    """
    styles = {}
    for index, label in enumerate(dict.fromkeys(labels)):
        turn, place = divmod(index, len(PALETTE))
        styles[label] = ClassStyle(PALETTE[place], HATCHES[turn % len(HATCHES)])
    return styles


def styles_in_use(labels: Iterable[str], classes: Sequence[str] | None) -> dict[str, ClassStyle]:
    """Styles of the classes that occur in one picture.

    Args:
        labels: The labels that occur.
        classes: All classes of the data set, so that a class keeps its colour from picture to
            picture; ``None``, or more classes than there are styles: the labels that occur, sorted.

    Raises:
        ValueError: ``classes`` lacks a label.
    """
    occurring = set(labels)
    unknown = sorted(occurring.difference(classes)) if classes is not None else []
    if unknown:
        raise ValueError(
            f'classes: expected every label that is drawn, {unknown} missing in {classes}'
        )
    if classes is None or len(classes) > len(PALETTE) * len(HATCHES):
        classes = sorted(occurring)
    styles = class_styles(classes)
    return {label: look for label, look in styles.items() if label in occurring}


def add_class_legend(figure: Figure, styles: Mapping[str, ClassStyle]) -> None:
    """Put one legend entry for each class under the axes; without classes, no legend."""
    if not styles:
        return
    handles = [
        Patch(facecolor=look.colour, hatch=look.hatch, edgecolor='white')
        for look in styles.values()
    ]
    figure.legend(
        handles,
        [plain(label) for label in styles],
        loc='outside lower center',
        ncols=min(len(styles), 8),
        handlelength=1.4,
        columnspacing=1.4,
        borderaxespad=0.1,
    )


def plain(text: str) -> str:
    """Return ``text`` escaped so that matplotlib shows it as it is: ``$`` would start a formula."""
    return text.replace('$', r'\$')


def check_segments(items: Sequence[Mapping[str, Any]], owner: str, *, scored: bool = False) -> None:
    """Check true segments or detections before they are drawn.

    Args:
        items: ``dict(segment=[start, end] in seconds, label=str)``, with ``score=float`` if
            ``scored``.
        owner: What they belong to, for the message.
        scored: Whether every item needs a finite score.

    Raises:
        ValueError: A key is missing, a number is not finite, or a segment ends before it starts.
    """
    keys = ('segment', 'label', 'score') if scored else ('segment', 'label')
    for index, item in enumerate(items):
        missing = [key for key in keys if key not in item]
        if missing:
            raise ValueError(
                f'{owner}, item {index}: expected the keys {keys}, got {dict(item)}: add {missing}'
            )
        bounds = [float(value) for value in item['segment']]
        # Written this way round, a NaN fails as well.
        if len(bounds) != 2 or not -float('inf') < bounds[0] <= bounds[1] < float('inf'):
            raise ValueError(
                f'{owner}, item {index}: expected a segment [start, end] in seconds with '
                f'start <= end, got {bounds}'
            )
        if scored and not -float('inf') < float(item['score']) < float('inf'):
            raise ValueError(f'{owner}, item {index}: expected a finite score, got {item["score"]}')
