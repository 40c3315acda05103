"""Fixtures of the localizers' tests."""

from __future__ import annotations

import pytest
import torch
from mmaction.structures import ActionDataSample

from tests.conftest import CHANNELS
from tests.heads.pairs import make_sample


@pytest.fixture
def batch() -> tuple[list[torch.Tensor], list[ActionDataSample]]:
    """Three videos of 20 snippets."""
    torch.manual_seed(0)
    return [torch.randn(CHANNELS, 20) for _ in range(3)], [make_sample(i) for i in range(3)]
