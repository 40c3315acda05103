"""Reference figures of the official evaluators, with the data that they belong to."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / 'data'


@cache
def _load(kind: str, name: str):
    spec = importlib.util.spec_from_file_location('make_detections', DATA / 'make_detections.py')
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    expected = json.loads((DATA / f'{kind}_expected.json').read_text())[name]
    database = generator.load_annotations(DATA / expected['annotations'])
    detections = generator.make_detections(
        database, expected['subset'], expected['per_video'], expected['seed']
    )
    ground_truth = {
        v: info['annotations']
        for v, info in database.items()
        if info['subset'] == expected['subset']
    }
    return expected, ground_truth, detections


@pytest.fixture(scope='session')
def load_reference():
    """Function of ``(kind, name)`` that returns ``(expected, ground_truth, detections)``."""
    return _load
