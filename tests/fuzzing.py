"""Random input by hypothesis: a few examples in every run of the tests, thirty times as many in the
slow set; always the same ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: For ``parametrize('examples', ...)``: how many, in the quick set and in the slow one.
EXAMPLES = (4, pytest.param(200, marks=pytest.mark.slow))

#: Texts that somebody may take for something else than text.
HOSTILE = (
    '',
    ' ',
    '=1+1',
    '-x',
    '@SUM(A1)',
    "'",
    '"',
    'a,b',
    'a\tb',
    'a\nb',
    'a\r\nb',
    '<script>alert(1)</script>',
    '&amp;',
    '</td>',
    '{{ 7 * 7 }}',
    '%s',
    '../../up',
    '..',
    '.',
    '/etc/passwd',
    'C:\\x',
    'a/b',
    'NUL\0',
    '\ud800',
    '\x1b[31m',
    '\u202e',
    '\u2028',
    'x' * 300,
    'nan',
    'None',
    '1e5',
    '007',
    '#',
    'é',
    '--help',
    '🎬',
    '-->',
    '\ufeff',
)

#: What should be a number and is none, or one that nobody expects.
NUMBERS = (0, -1, 1e-320, 1e308, -0.0, 2**70, float('nan'), float('inf'), float('-inf'), 1e400)

texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=6))
values: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.floats(-1, 100),
    texts,
    st.sampled_from(([], {}, [[]], [1], [1, 2, 3], {'a': 1}, '3.5', ['1', '2'])),
).map(copy.deepcopy)


def search(strategy: st.SearchStrategy, check: Callable[[Any], None], examples: int) -> None:
    """Check a property on examples; the smallest that fails is shown."""

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(strategy)
    def run(value: Any) -> None:
        check(value)

    run()


@st.composite
def changed_json(draw: st.DrawFn, content: Any) -> Any:
    """A tree of lists and dicts with up to three parts replaced, taken out or doubled."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(content))
        if not places:
            break
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        kind = draw(st.sampled_from(('replace', 'replace', 'remove', 'key', 'double')))
        if kind == 'replace':
            holder[key] = draw(values)
        elif kind == 'remove':
            del holder[key]
        elif kind == 'key' and isinstance(holder, dict):
            holder[draw(texts)] = holder.pop(key)
        elif kind == 'double' and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
    return content


def _places(content: Any):
    items = (
        list(content.items())
        if isinstance(content, dict)
        else list(enumerate(content))
        if isinstance(content, list)
        else []
    )
    for key, part in items:
        yield content, key
        yield from _places(part)


@st.composite
def changed_text(draw: st.DrawFn, text: str, separators: str = ',') -> str:
    """Lines with up to three cells replaced, lines taken out, doubled or exchanged."""
    lines = text.split('\n')
    for _ in range(draw(st.integers(0, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(('cell', 'cell', 'cell', 'remove', 'double', 'swap')))
        if kind == 'cell':
            separator = draw(st.sampled_from(separators))
            cells = lines[number].split(separator)
            cell = draw(st.one_of(texts, st.sampled_from(list(map(str, NUMBERS)))))
            cells[draw(st.integers(0, len(cells) - 1))] = cell
            lines[number] = separator.join(cells)
        elif kind == 'remove' and len(lines) > 1:
            del lines[number]
        elif kind == 'double':
            lines.insert(number, lines[number])
        elif kind == 'swap':
            other = draw(st.integers(0, len(lines) - 1))
            lines[number], lines[other] = lines[other], lines[number]
    return '\n'.join(lines)


@st.composite
def changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with some changed, cut off, put in or doubled."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(changed) - 1, 0)))
        kind = draw(st.sampled_from(('flip', 'flip', 'cut', 'insert', 'zero', 'double')))
        if kind == 'flip' and changed:
            changed[at] = draw(st.integers(0, 255))
        elif kind == 'cut':
            del changed[at:]
        elif kind == 'insert':
            changed[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == 'zero':
            changed[at : at + 4] = b'\0' * 4
        elif kind == 'double':
            changed[at:at] = changed[at : at + 16]
    return bytes(changed)


def as_json(content: Any) -> bytes:
    """JSON as Python writes it, with NaN and lone surrogates."""
    return json.dumps(content).encode('utf-8', 'surrogatepass')
