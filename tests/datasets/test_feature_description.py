"""What is noted beside features: read, completed, compared, and carried on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sola_plugin.datasets.features.open import describe_source, settle_time
from sola_plugin.datasets.features.readers import FeatureError

NOTED = dict(encoder='a', feature_stride=4 / 15, feature_offset=2 / 15, channels=8)


def note(folder: Path, **content) -> str:
    folder.mkdir(exist_ok=True)
    (folder / 'features.json').write_text(json.dumps(content))
    return str(folder)


@pytest.fixture
def folder(tmp_path) -> str:
    return note(tmp_path / 'a', **NOTED, videos=dict(v=dict(channels=8)), failed={})


def test_what_is_noted_of_all_videos(folder, tmp_path):
    assert describe_source(folder) == describe_source(dict(root=folder, suffix='.npy')) == NOTED
    assert (
        describe_source(tmp_path)
        == describe_source(tmp_path / 'all.h5')
        == describe_source([])
        == {}
    )
    (tmp_path / 'features.json').write_text('[1]')
    assert describe_source(tmp_path) == {}


def test_of_several_sources_what_is_the_same(folder, tmp_path):
    flow = note(tmp_path / 'b', **dict(NOTED, encoder='b', fps=30))
    same = {key: NOTED[key] for key in ('feature_stride', 'feature_offset', 'channels')}
    assert (
        describe_source([folder, dict(root=flow)])
        == describe_source(dict(root=[folder, flow]))
        == same
    )
    assert describe_source([folder, flow, tmp_path / 'nothing']) == {}


def test_config_and_file_complete_each_other(folder, tmp_path):
    stride, offset = 4 / 15, 2 / 15
    assert settle_time(folder, None, None) == (stride, offset)
    assert (
        settle_time(folder, stride, None) == settle_time(folder, None, offset) == (stride, offset)
    )
    assert settle_time(folder, 0.2667, 0.1333) == (0.2667, 0.1333)  # rounded by hand
    assert settle_time(tmp_path, 0.5, None) == (0.5, 0.0)
    assert settle_time(tmp_path, None, None) == (None, 0.0)
    assert settle_time(tmp_path, None, 0.0) == (None, 0.0)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (
            (0.5, None),
            'feature_stride is 0.5, but the features.json of .*a says 0.266666667: leave',
        ),
        ((4 / 15 * 1.001, None), 'feature_stride is 0.266933, but'),  # 29.97 for 30 frames a second
        ((8, 4), 'feature_stride is 8, but'),  # frames
        (
            (4 / 15, 0.0),
            'feature_offset is 0, but the features.json of .*a says 0.133333333: leave',
        ),
        ((None, 1.0), 'feature_offset is 1, but'),
    ],
)
def test_they_must_not_contradict_each_other(folder, given, message):
    with pytest.raises(FeatureError, match=message):
        settle_time(folder, *given)


def test_no_one_stride_for_all_videos(tmp_path):
    folder = note(tmp_path, feature_stride=None, feature_offset=None)
    assert settle_time(folder, None, None) == (None, 0.0)
    assert settle_time(folder, 0.5, 0.25) == (0.5, 0.25)
    with pytest.raises(ValueError, match='feature_offset is 1.0, which needs feature_stride'):
        settle_time(folder, None, 1.0)


def test_no_json(tmp_path):
    (tmp_path / 'features.json').write_text('{"feature_stride": 0.')
    with pytest.raises(
        FeatureError,
        match=r'features.json: not complete JSON .* Expected what tools/extract_features.py',
    ):
        describe_source(tmp_path)
