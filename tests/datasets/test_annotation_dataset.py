"""Annotations of other formats, straight in a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sola_plugin.datasets import TALFeatureDataset
from sola_plugin.datasets.annotations.model import AnnotationError
from sola_plugin.datasets.features.readers import FeatureError

CSV = """video,start,end,label,subset
v_1,2,12,run,training
v_2,,,,training
v_3,1,2,jump,validation
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / 'features').mkdir()
    for index, length in ((1, 20), (2, 30)):
        np.save(tmp_path / f'features/v_{index}.npy', np.zeros((length, 4), np.float32))
    (tmp_path / 'mine.csv').write_text(CSV)
    return tmp_path


def build(root: Path, **options) -> TALFeatureDataset:
    return TALFeatureDataset(
        ann_file='mine.csv',
        data_root=str(root),
        data_prefix=dict(features='features'),
        layout='TC',
        **options,
    )


def test_durations_are_those_of_the_features(root):
    dataset = build(
        root, subset='training', feature_stride=0.5, feature_offset=0.25, filter_empty=False
    )
    assert [
        (info['video_name'], info['duration']) for info in map(dataset.get_data_info, range(2))
    ] == [('v_1', 10.25), ('v_2', 15.25)]
    assert dataset.metainfo['classes'] == ['jump', 'run']
    assert dataset.get_data_info(0)['gt_segments'] == [[2, 10.25]]
    np.testing.assert_allclose(dataset[0]['data_samples'].gt_instances['gt_bbox'], [[0.175, 1.0]])


def test_without_stride_durations_are_asked_for(root):
    with pytest.raises(
        AnnotationError,
        match=(
            'mine.csv: no duration is known for 3 of 3 videos: .*or give feature_stride to '
            'the dataset'
        ),
    ):
        build(root, subset='training')


def test_videos_without_features_and_durations(root):
    with pytest.raises(FeatureError, match="1 of 3 videos have no features: 'v_3'"):
        build(root, feature_stride=0.5)
    assert len(build(root, feature_stride=0.5, missing='skip')) == 1
