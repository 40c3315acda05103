"""One piece of advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: From this share of segments, snippets or points of accuracy on something is worth a word.
NOTABLE = 0.05


@dataclass(frozen=True)
class Advice:
    """One piece of advice.

    Attributes:
        topic: ``'recipe'``, ``'standardization'``, ``'window'``, ``'K'``, ``'boundaries'``,
            ``'stride'``, ``'grid'``, ``'your grid'``.
        level: ``'info'``; ``'warning'``: something should be changed.
        text: What fits.
        why: The measures that say so.
        settings: The same for a config.
    """

    topic: str
    level: str
    text: str
    why: str
    settings: Mapping[str, Any]
