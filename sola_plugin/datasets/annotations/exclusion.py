"""Videos that do not count, such as those of ActivityNet that are blocked or gone."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from sola_plugin.io import read_names
from sola_plugin.messages import first_few

from .formats.records import AnnotationError


def excluded_videos(
    listed: str | os.PathLike | Sequence[str], *known: Collection[str]
) -> tuple[set[str], str]:
    """Find the videos of a list that do not count.

    Args:
        listed: Their whole ids, or a file of these, one a line or a JSON list.
        *known: The ids that there are, of annotations first.

    Returns:
        Those of the listed that there are; and how many that is and which are unknown, for a note.

    Raises:
        AnnotationError: None of them is known: the ids are of another form.
        OSError: There is no such file, or it cannot be read.
        ValueError: It is no list of names.
    """
    if isinstance(listed, (str, os.PathLike)):
        where, wanted = os.fspath(listed), set(read_names(listed))
    else:
        where, wanted = 'exclude', set(listed)
    unknown = sorted(wanted.difference(*known))
    there = wanted.difference(unknown)
    if wanted and not there:
        raise AnnotationError(
            f'{where}: none of the {len(wanted)} videos to exclude is known: {_few(unknown)}; '
            f'there are {_few(known[0])}. Ids must be whole, with their prefix and without .mp4'
        )
    note = f'{where}: {len(there)} of {len(wanted)} videos to exclude are left out'
    return there, f'{note}; not there: {_few(unknown)}' if unknown else note


def _few(names: Collection[str]) -> str:
    return first_few(map(repr, sorted(names)))
