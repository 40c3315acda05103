"""How much a file may unpack to: asked before memory is taken; standard library only."""

from __future__ import annotations

import os

#: Bytes that a file may claim, however small it is. The environment variable
#: :data:`VARIABLE` takes its place.
MAX_UNPACKED_BYTES = 256 << 20

VARIABLE = 'SOLA_MAX_UNPACKED_BYTES'

#: A file may always claim this many times its own size: features and JSON are seldom compressed
#: further.
_COMPRESSION = 20


class SizeError(ValueError):
    """A file claims to hold far more than its size lets one expect."""


def allowed_bytes(stored: int) -> int:
    """Bytes that may be unpacked from so many stored ones.

    >>> allowed_bytes(1000) == 256 * 2**20
    True
    >>> allowed_bytes(2**30) == 20 * 2**30
    True

    Raises:
        ValueError: The environment variable is not a whole number above 0.
    """
    given = os.environ.get(VARIABLE)
    limit = MAX_UNPACKED_BYTES
    if given is not None:
        if not (given.isdecimal() and len(given) < 20 and int(given) > 0):
            raise ValueError(f'{VARIABLE}: expected a number of bytes above 0, got {given[:40]!r}')
        limit = int(given)
    return max(limit, _COMPRESSION * stored)


def check_size(what: str, claimed: int, stored: int) -> None:
    """Refuse what claims far more bytes than are stored.

    Args:
        what: What is read, as messages call it.
        claimed: Bytes that it takes in memory, by its header.
        stored: Bytes in the file.

    Raises:
        SizeError: ``claimed`` is above :func:`allowed_bytes`.
    """
    allowed = allowed_bytes(stored)
    if claimed > allowed:
        raise SizeError(
            f'{what}: expected at most {allowed:,} bytes of the {stored:,} that are stored, got '
            f'a claim of {claimed:,}: if the file can be trusted, set the environment variable '
            f'{VARIABLE} to at least that'
        )
