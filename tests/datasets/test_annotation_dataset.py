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


SLOTS = ''.join(
    f'<TIME_SLOT TIME_SLOT_ID="{i}" TIME_VALUE="{ms}"/>' for i, ms in enumerate((2000, 7500))
)
EAF = (
    f'<ANNOTATION_DOCUMENT><TIME_ORDER>{SLOTS}</TIME_ORDER><TIER TIER_ID="t"><ANNOTATION>'
    '<ALIGNABLE_ANNOTATION ANNOTATION_ID="a" TIME_SLOT_REF1="0" TIME_SLOT_REF2="1">'
    '<ANNOTATION_VALUE>run</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>'
    '</ANNOTATION_DOCUMENT>'
)
STUDIO = (
    '[{"data": {"video": "s3://b/v_1.mp4"}, "annotations": [{"result": [{"value": '
    '{"start": 2, "end": 7.5, "labels": ["run"]}}]}]}]'
)
PERCEPTION = (
    '{"v_1": {"metadata": {"frame_rate": 30, "num_frames": 300}, "action_localisation": '
    '[{"timestamps": [2000000, 7500000], "label": "run"}]}}'
)


@pytest.mark.parametrize(
    ('name', 'text', 'duration'),
    [
        ('eaf/v_1.eaf', EAF, 10.0),
        ('v_1.txt', 't\t\t00:00:02.000\t00:00:07.500\trun\n', 10.0),
        ('studio.json', STUDIO, 10.0),
        ('perception.json', PERCEPTION, 10.0),
        ('Charades_v1_train.csv', 'id,actions,length\nv_1,run 2 7.5,9.5\n', 9.5),
    ],
)
def test_files_of_other_tools(root, name, text, duration):
    """Where they give no duration, that of the features counts; a folder is one of ``.eaf``."""
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text)
    dataset = TALFeatureDataset(
        ann_file=name.split('/')[0],
        data_root=str(root),
        data_prefix=dict(features='features'),
        layout='TC',
        feature_stride=0.5,
    )
    info = dataset.get_data_info(0)
    assert (info['video_name'], info['duration']) == ('v_1', duration)
    assert info['gt_segments'] == [[2, 7.5]] and dataset.metainfo['classes'] == ['run']
