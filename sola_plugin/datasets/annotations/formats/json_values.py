"""What the readers of JSON share: loading, and values that are of the right kind."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sola_plugin.io import parse_json, read_text
from sola_plugin.messages import first_few

from .records import AnnotationError, parse_number


def load_json(path: Path) -> tuple[Any, list[str]]:
    """Load a file, plain or gzipped, UTF-8 or UTF-16.

    Returns:
        Its contents, and the keys that are given more than once in one object; of these the last
        counts.

    Raises:
        AnnotationError: It is not JSON, or cut short.
        FileNotFoundError: There is no such file.
    """
    repeated_keys: list[str] = []

    def to_dict(pairs: list[tuple[str, Any]]) -> dict:
        content = dict(pairs)
        if len(content) < len(pairs):
            counts = collections.Counter(key for key, _ in pairs)
            repeated_keys.extend(key for key, times in counts.items() if times > 1)
        return content

    try:
        return parse_json(read_text(path), path, object_pairs_hook=to_dict), repeated_keys
    except ValueError as error:
        raise AnnotationError(str(error)) from error


def get(entry: Any, key: str, where: str, hint: str = '') -> Any:
    """A value of an object.

    Raises:
        AnnotationError: This is no object, and ``hint`` says what was expected; or it has no such
            key.
    """
    if not isinstance(entry, dict):
        raise AnnotationError(f'{where}: expected an object, got {type(entry).__name__}{hint}')
    if key not in entry:
        raise AnnotationError(f'{where}: key {key!r} is missing; there are {sorted(entry)}')
    return entry[key]


def positive(entry: Any, key: str, where: str, as_text: bool = False, hint: str = '') -> float:
    """A positive number of an object; ``as_text``: it may be written as a text.

    Raises:
        AnnotationError: It is something else, or missing.
    """
    given = get(entry, key, where, hint)
    value: Any = parse_number(given) if as_text and isinstance(given, str) else given
    if not is_finite_number(value) or value <= 0:
        raise AnnotationError(f'{where}: expected a positive number under {key!r}, got {given!r}')
    return float(value)


def items(entry: Any, key: str, where: str) -> list:
    """A list of an object.

    Raises:
        AnnotationError: It is something else, or missing.
    """
    value = get(entry, key, where)
    if not isinstance(value, list):
        raise AnnotationError(f'{where}: expected a list under {key!r}, got {type(value).__name__}')
    return value


def text_of(entry: Any, key: str, where: str) -> str:
    """A text of an object.

    Raises:
        AnnotationError: It is something else, empty, or missing.
    """
    value = get(entry, key, where)
    if not isinstance(value, str) or not value.strip():
        raise AnnotationError(f'{where}: expected text under {key!r}, got {value!r}')
    return value


def is_finite_number(value: Any) -> bool:
    """Whether a JSON value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def other_keys(entries: Iterable[dict], known: frozenset[str], of: str = 'video') -> list[str]:
    """Keys that are not kept, and how often they occur."""
    counts = collections.Counter(key for entry in entries for key in entry if key not in known)
    return [f'{key!r} of {count} {of}s is not kept' for key, count in counts.items()]


def label_ids(actions: Iterable[dict]) -> list[str]:
    """Tell where numbers and labels are not the same classes; the numbers are not kept."""
    labels_of = collections.defaultdict(set)
    for action in actions:
        if 'label_id' in action:
            labels_of[str(action['label_id'])].add(action['label'])
    return [
        f'label_id {number} stands for {first_few(map(repr, sorted(labels)))}: these are '
        'classes of their own here'
        for number, labels in labels_of.items()
        if len(labels) > 1
    ]
