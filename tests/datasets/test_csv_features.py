"""What pandas and spreadsheets put into ``.csv`` files of features."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sola_plugin.commands import check_files
from sola_plugin.datasets.features import csv_reader
from sola_plugin.datasets.features.csv_reader import read_csv
from sola_plugin.datasets.features.facts import describe
from sola_plugin.datasets.features.folder import FeatureFolder

VALUES = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)


@pytest.fixture
def said(monkeypatch):
    messages: list[str] = []
    monkeypatch.setattr(csv_reader, 'say_once', messages.append)
    return messages


def write(path, rows, header=None, separator=',', index=None):
    lines = [] if header is None else [separator.join(map(str, header))]
    for number, row in enumerate(rows):
        cells = [repr(float(value)) for value in row]
        lines.append(separator.join(cells if index is None else [str(index + number), *cells]))
    path.write_text('\n'.join(lines) + '\n')
    return path


@pytest.mark.parametrize('separator', [',', ';', '\t', ' ', ', '])
@pytest.mark.parametrize('header', [None, 'abcde', range(5)])
def test_separators_and_headers(tmp_path, said, separator, header):
    if header == range(5) and separator != ';':
        header = [f'"{name}"' for name in 'abcde']
    if header == range(5):
        header = [f'c{name}' for name in header]
    path = write(tmp_path / 'v.csv', VALUES, header, separator)
    np.testing.assert_array_equal(read_csv(path), VALUES)
    assert not said


@pytest.mark.parametrize('index', [0, 1])
@pytest.mark.parametrize('name', ['', 'Unnamed: 0', 'index', '"frame"', None])
def test_the_number_of_the_row_is_no_channel(tmp_path, said, index, name):
    header = None if name is None else [name, *'abcde']
    rows = VALUES if name is None else VALUES[:3]
    path = write(tmp_path / 'v.csv', rows, header, index=index)
    np.testing.assert_array_equal(read_csv(path), rows)
    (message,) = said
    assert 'numbers their rows, as pandas writes it, and is left out' in message
    assert FeatureFolder(tmp_path, layout='TC').load('v').shape == (5, len(rows))


@pytest.mark.parametrize(
    'column', [[0.0, 1, 2], [0, 1, 2, 4, 5, 6, 7, 8, 9], [5, 6, 7, 8, 9, 10, 11, 12, 13], [0.5]]
)
def test_what_may_be_a_feature_stays(tmp_path, said, column):
    rows = np.c_[column, VALUES[: len(column)]]
    np.testing.assert_allclose(read_csv(write(tmp_path / 'v.csv', rows)), rows, rtol=1e-6)
    assert not said


def test_channels_that_count():
    features = np.array(VALUES.T)
    assert describe(features).counting == ()
    features[1], features[4] = np.arange(12) * 0.04 + 3, -np.arange(12)
    features[2] = 7  # constant, as a unit that never fires
    assert describe(features).counting == (1, 4)
    features[1, -1] += 0.1
    assert describe(features).counting == (4,)
    assert describe(features[:, :7]).counting == ()  # too short to tell


def test_check_dataset_names_them(tmp_path):
    (tmp_path / 'features').mkdir()
    database = {}
    for number in range(3):
        features = np.random.default_rng(number).normal(size=(20, 6)).astype(np.float32)
        features[:, 3] = np.arange(20) * 40
        np.save(tmp_path / f'features/v{number}.npy', features)
        actions = [dict(segment=[1, 4], label='a')]
        database[f'v{number}'] = dict(duration=10, subset='training', annotations=actions)
    (tmp_path / 'a.json').write_text(json.dumps(dict(database=database)))
    report = check_files(
        tmp_path / 'a.json', tmp_path / 'features', layout='TC', feature_stride=0.5
    )
    (finding,) = [f for f in report.findings if f.kind == 'counting-channel']
    assert finding.level == 'warning' and '3 of 3 feature files have a channel' in finding.message
    assert any('channel 3' in case for case in finding.examples)
