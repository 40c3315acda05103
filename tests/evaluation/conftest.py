"""Figures of the official evaluators and of plain ones, with the data that they belong to."""

from __future__ import annotations

import pytest

from tests.reference import load_case


@pytest.fixture(scope='session')
def load_reference():
    """Function of ``(kind, name)`` that returns ``(expected, ground_truth, detections)``.

    Names: ``tests.reference.ALL_CASES``; those on public sets skip where these are missing.
    """
    return load_case
