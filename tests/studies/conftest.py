"""Fixtures of the studies' tests."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import pytest
from mmengine.config import Config


@pytest.fixture
def read_once(monkeypatch):
    """A config file is read once: to read one takes longer than all else of a stage's settings."""
    read = cache(Config.fromfile)
    monkeypatch.setattr(Config, 'fromfile', lambda *args, **kwargs: deepcopy(read(*args, **kwargs)))
