"""Telling the format of annotations by their contents."""

from __future__ import annotations

import itertools
from pathlib import Path

from sola_plugin.io import read_text

from . import charades, csv_files, elan, epic_kitchens, frame_labels
from .csv_tables import header
from .records import AnnotationError, parse_number

#: What :func:`detect` calls JSON, of which only the whole tells the form.
JSON = 'json'

#: What tells the format of a file stands at its beginning: so many bytes are looked at.
_NUM_FIRST_BYTES = 1 << 16

#: So many files of a folder are looked at.
_NUM_FIRST_FILES = 5


def detect(path: Path) -> str:
    """Tell the format of a file by its first bytes, that of a folder by its first files.

    Args:
        path: The file or folder.

    Returns:
        A name of ``FORMATS``, or :data:`JSON`.

    Raises:
        AnnotationError: It is of no known format.
        FileNotFoundError: There is no such file.
    """
    if path.is_dir():
        return _of_folder(path)
    text = _first(path)
    if not text:
        raise AnnotationError(f'{path}: the file is empty')
    if text[0] in '{[':
        return JSON
    if elan.looks_like(text):
        return 'elan'
    if _is_thumos14(text):
        return 'thumos14'
    columns = set(header(text))
    for name, wanted in _COLUMNS:
        if wanted <= columns:
            return name
    if frame_labels.looks_like(text):
        return 'frame_labels'
    raise AnnotationError(
        f'{path}: expected JSON, a CSV with the header {",".join(csv_files.REQUIRED)}, or lines '
        f'"video start end", got {text.splitlines()[0][:80]!r}. Known formats are activitynet, '
        'opentad, hacs, mmaction, csv, thumos14, epic, charades, perception_test, frame_labels, '
        'elan and label_studio'
    )


#: Columns that tell a format.
_COLUMNS = (
    ('epic', frozenset(epic_kitchens.REQUIRED)),
    ('charades', frozenset(charades.REQUIRED)),
    ('csv', frozenset({'video'})),
    ('csv', frozenset({'start', 'end'})),
)


def _of_folder(path: Path) -> str:
    if any(path.rglob('*.eaf')):
        return 'elan'
    if path.name == frame_labels.FOLDER or (path / frame_labels.FOLDER).is_dir():
        return 'frame_labels'
    files = list(itertools.islice(path.rglob('*.txt'), _NUM_FIRST_FILES))
    texts = [_first(file) for file in files]
    if any(map(frame_labels.looks_like, texts)) and not any(map(_is_thumos14, texts)):
        return 'frame_labels'
    return 'thumos14'


def _first(path: Path) -> str:
    try:
        return read_text(path, _NUM_FIRST_BYTES).lstrip()
    except ValueError as error:
        raise AnnotationError(str(error)) from error


def _is_thumos14(text: str) -> bool:
    words = text.splitlines()[0].split() if text else []
    return len(words) == 3 and None not in map(parse_number, words[1:])
