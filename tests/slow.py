"""Which cases of a test are run each time, and which by ``make test-slow`` alone."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest


def slow_but(always: Container, cases: Iterable) -> list[Any]:
    """Parameters of a test, slow but for those that are named."""
    return [
        case if case in always else pytest.param(case, marks=pytest.mark.slow) for case in cases
    ]
