"""Tables of classes without a header: ``c000 Holding some clothes``, ``0 SIL``."""

from __future__ import annotations

from pathlib import Path

from .records import AnnotationError, read_text


def read_class_names(path: Path) -> dict[str, str]:
    """Read the names of classes, one a line: its code, a blank, its name.

    Args:
        path: Such as Charades' ``Charades_v1_classes.txt``, or ``mapping.txt`` of 50 Salads.

    Returns:
        Names by code.

    Raises:
        AnnotationError: A line is none of a class, a code is there twice, or two have one name.
        FileNotFoundError: There is no such file.
    """
    names: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split(None, 1)
        if not words:
            continue
        where = f'{path}: line {number}'
        if len(words) < 2:
            raise AnnotationError(
                f'{where}: expected a code and the name of its class, got {line!r}'
            )
        code, name = words[0], words[1].strip()
        if code in names or name in names.values():
            raise AnnotationError(f'{where}: expected each code and name once, got {line!r} again')
        names[code] = name
    if not names:
        raise AnnotationError(f'{path}: the file is empty: expected a class a line')
    return names
