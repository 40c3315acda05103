"""Going on with a stopped job: only with the settings that it was begun with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sola_plugin.io import atomic_write


def as_stored(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from a JSON file."""
    return json.loads(json.dumps(dict(settings)))


def refuse_other_settings(
    root: Path, begun: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Compare the settings of a job with those of what is there.

    Args:
        root: Where it writes, for the message.
        begun: Settings of what is there.
        settings: Settings now, see :func:`as_stored`.

    Raises:
        ValueError: They differ.
    """
    others = [
        f'{key} {begun.get(key)!r}, now {value!r}'
        for key, value in settings.items()
        if begun.get(key) != value
    ]
    if others:
        raise ValueError(
            f'{root} holds features of other settings: {"; ".join(others)}. Write to '
            'another folder, or delete this one'
        )


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that appears when it is complete."""
    with atomic_write(path) as file:
        json.dump(content, file, indent=1)
