"""TALFeatureDataset and its transforms: items, mmengine's behaviours, and checks of the input."""

from __future__ import annotations

import gc
import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS
from mmengine.runner import Runner

from sola_plugin.datasets import TALFeatureDataset
from sola_plugin.datasets import tal_dataset as tal_feature_dataset
from sola_plugin.datasets.annotations.model import AnnotationError
from sola_plugin.datasets.features.readers import FeatureError

C = 4
VIDEOS = {
    'v_a': dict(
        duration=20.0,
        subset='training',
        annotations=[
            dict(segment=[2.0, 6.0], label='run'),
            dict(segment=[10.0, 20.5], label='jump'),
        ],
    ),
    'v_b': dict(
        duration=8.0,
        subset='training',
        annotations=[dict(segment=[0, 4], label='run'), dict(segment=[3, 3], label='run')],
    ),
    'v_c': dict(duration=30.0, subset='training', annotations=[]),
    'v_d': dict(
        duration=10.0, subset='validation', annotations=[dict(segment=[1.0, 9.0], label='swim')]
    ),
}


def array(video_id: str) -> np.ndarray:
    """Float32 ``(C, T)`` with one snippet a second of the video."""
    length = int(VIDEOS[video_id]['duration'])
    return np.random.default_rng(length).normal(size=(C, length)).astype(np.float32)


@pytest.fixture(scope='module', autouse=True)
def _quick_collection():
    """mmengine collects garbage for every dataset; what was imported need not be looked at."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / 'features').mkdir()
    for video_id in VIDEOS:
        np.save(tmp_path / 'features' / f'{video_id}.npy', array(video_id))
    annotate(tmp_path, VIDEOS)
    return tmp_path


@pytest.fixture
def logged(monkeypatch) -> list[tuple[str, int]]:
    lines: list[tuple[str, int]] = []
    monkeypatch.setattr(
        tal_feature_dataset,
        'print_log',
        lambda message, logger, level: lines.append((message, level)),
    )
    return lines


def annotate(root: Path, videos: dict) -> None:
    (root / 'ann.json').write_text(json.dumps(dict(database=videos)))


def build(root: Path, **options) -> TALFeatureDataset:
    config = dict(
        type='TALFeatureDataset',
        ann_file='ann.json',
        data_root=str(root),
        data_prefix=dict(features='features'),
    )
    return DATASETS.build({**config, **options})


def names(dataset: TALFeatureDataset) -> list[str]:
    return [dataset.get_data_info(index)['video_name'] for index in range(len(dataset))]


# --- items ----------------------------------------------------------------------------------------


def test_item(root):
    item = build(root, subset='training')[0]
    assert item['inputs'].dtype == torch.float32
    np.testing.assert_array_equal(item['inputs'].numpy(), array('v_a'))
    sample = item['data_samples']
    assert sample.gt_instances.gt_bbox.dtype == torch.float64
    assert sample.gt_instances.gt_labels.dtype == torch.int64
    # 20.5 s is clipped to the duration; the labels are numbered jump, run, swim.
    np.testing.assert_allclose(sample.gt_instances.gt_bbox, [[0.1, 0.3], [0.5, 1]], atol=1e-12)
    assert sample.gt_instances.gt_labels.tolist() == [1, 0]
    assert {key: sample.metainfo[key] for key in sample.metainfo} == dict(
        video_name='v_a',
        duration=20.0,
        feature_span=(0.0, 20.0),
        annotations=VIDEOS['v_a']['annotations'],
        classes=('jump', 'run', 'swim'),
    )


def test_item_without_segments(root):
    dataset = build(root, test_mode=True)
    sample = dataset[names(dataset).index('v_c')]['data_samples']
    assert sample.gt_instances.gt_bbox.shape == (0, 2)
    assert sample.gt_instances.gt_labels.shape == (0,)
    assert sample.metainfo['annotations'] == []


def test_stride_and_offset_set_the_span(root):
    # 20 snippets of 0.5 s from 3 s on: seconds 3 to 13.
    sample = build(root, feature_stride=0.5, feature_offset=3.0)[0]['data_samples']
    assert sample.metainfo['feature_span'] == (3.0, 13.0)
    np.testing.assert_allclose(sample.gt_instances.gt_bbox, [[0, 0.3], [0.7, 1]], atol=1e-12)


@pytest.mark.parametrize('lazy', [False, True])
def test_stride_and_offset_that_are_noted_beside_the_features(root, lazy):
    (root / 'features/features.json').write_text(
        json.dumps(dict(feature_stride=0.5, feature_offset=3.0))
    )
    dataset = build(root, lazy_init=lazy)
    assert (dataset.feature_stride, dataset.feature_offset) == (0.5, 3.0)
    dataset.full_init()
    assert dataset[0]['data_samples'].metainfo['feature_span'] == (3.0, 13.0)
    with pytest.raises(
        FeatureError, match='feature_stride is 1, but the features.json of .* says 0.5'
    ):
        build(root, feature_stride=1.0, lazy_init=lazy)
    with pytest.raises(
        FeatureError, match='feature_offset is 0, but the features.json of .* says 3: leave'
    ):
        build(root, feature_stride=0.5, feature_offset=0.0, lazy_init=lazy)


def test_segments_that_are_not_covered_are_left_out_with_their_labels(root):
    sample = build(root, feature_stride=0.5)[0]['data_samples']  # seconds 0 to 10
    np.testing.assert_allclose(sample.gt_instances.gt_bbox, [[0.2, 0.6]], atol=1e-12)
    assert sample.gt_instances.gt_labels.tolist() == [1]


def test_flat_annotations_give_the_span_as_in_mmaction2(root):
    (root / 'ann.json').write_text(
        json.dumps(
            {
                'v_a': dict(
                    duration_second=20.0,
                    duration_frame=500,
                    feature_frame=400,
                    annotations=VIDEOS['v_a']['annotations'],
                )
            }
        )
    )
    sample = build(root)[0]['data_samples']
    assert sample.metainfo['feature_span'] == (0.0, 16.0)
    # mmaction2's GenerateLocalizationLabels: min(1, second / (400 / 500 * 20))
    np.testing.assert_allclose(sample.gt_instances.gt_bbox, [[0.125, 0.375], [0.625, 1]])


def test_load_features(root):
    dataset = build(root)
    np.testing.assert_array_equal(dataset.load_features(1), array('v_b'))


def test_own_pipeline(root):
    dataset = build(root, pipeline=[dict(type='mmaction.LoadFeatures')])
    assert sorted(dataset[0]) == [
        'annotations',
        'classes',
        'duration',
        'feature_offset',
        'feature_span',
        'feature_store',
        'feature_stride',
        'gt_bbox',
        'gt_classes',
        'gt_labels',
        'gt_segments',
        'raw_feature',
        'sample_idx',
        'video_name',
    ]


# --- subsets, classes, filters --------------------------------------------------------------------


@pytest.mark.parametrize(
    'options, expected',
    [
        (dict(), ['v_a', 'v_b', 'v_d']),
        (dict(subset='training'), ['v_a', 'v_b']),
        (dict(subset=['training', 'validation']), ['v_a', 'v_b', 'v_d']),
        (dict(test_mode=True), ['v_a', 'v_b', 'v_c', 'v_d']),
        (dict(filter_empty=False), ['v_a', 'v_b', 'v_c', 'v_d']),
        (dict(test_mode=True, filter_empty=True), ['v_a', 'v_b', 'v_d']),
        (dict(indices=2), ['v_a', 'v_b']),
        (dict(indices=[2, 0]), ['v_d', 'v_a']),
    ],
)
@pytest.mark.parametrize('serialize', [True, False])
def test_which_videos(root, options, expected, serialize):
    dataset = build(root, serialize_data=serialize, **options)
    assert names(dataset) == expected and len(dataset) == len(expected)
    assert dataset[0]['data_samples'].metainfo['video_name'] == expected[0]


def test_videos_that_are_filtered_are_counted(root, logged):
    build(root, subset='training')
    assert (
        '1 of 3 videos have no usable segment and are left out (filter_empty=False keeps them)',
        logging.INFO,
    ) in logged


def test_classes_are_those_of_the_whole_file(root):
    for subset in ('training', 'validation'):
        assert build(root, subset=subset).metainfo['classes'] == ['jump', 'run', 'swim']
    dataset = build(root, classes=('swim', 'run', 'jump', 'fly'))
    assert dataset.metainfo['classes'] == ['swim', 'run', 'jump', 'fly']
    assert dataset[0]['data_samples'].gt_instances.gt_labels.tolist() == [1, 2]
    dataset = build(root, metainfo=dict(classes=['run', 'jump', 'swim']))
    assert dataset[0]['data_samples'].gt_instances.gt_labels.tolist() == [0, 1]


def test_datasets_do_not_share_state(root):
    prefix = dict(features='features')
    first = build(root, data_prefix=prefix)
    assert prefix == dict(features='features')
    first.metainfo['classes'].append('x')
    assert build(root).metainfo['classes'] == ['jump', 'run', 'swim']
    assert 'classes' not in TALFeatureDataset.METAINFO


def test_lazy_init(root):
    dataset = build(root, lazy_init=True)
    assert not dataset._fully_initialized
    assert dataset.feature_store.length('v_a') == 20
    assert dataset._fully_initialized and len(dataset) == 3
    missing = build(root, lazy_init=True, ann_file='nothing.json')
    with pytest.raises(FileNotFoundError):
        missing.full_init()


def test_get_subset_shares_nothing(root):
    dataset = build(root)
    part = dataset.get_subset([1])
    assert names(part) == ['v_b'] and len(dataset) == 3
    assert torch.equal(part[0]['inputs'], dataset[1]['inputs'])


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(missing='ignore'), "missing is 'ignore', expected 'error' or 'skip'"),
        (dict(feature_stride=0), 'feature_stride is 0, expected seconds above 0'),
        (dict(feature_offset=1.0), 'feature_offset is 1.0, which needs feature_stride'),
        (
            dict(data_prefix=dict(video='x')),
            'data_prefix is .*, expected dict\\(features=FOLDER\\)',
        ),
    ],
)
def test_bad_options(root, options, message):
    with pytest.raises(ValueError, match=message):
        build(root, **options)


def test_unknown_subset_names_those_there_are(root):
    with pytest.raises(
        AnnotationError,
        match=(
            r"ann.json: expected one of the subsets 'training' \(3 videos\), 'validation' "
            r"\(1 videos\), got subset='val'"
        ),
    ):
        build(root, subset='val')


def test_unknown_label_names_the_file(root):
    with pytest.raises(
        AnnotationError,
        match=(
            r"ann.json: labels that are not among the 2 classes: 'jump' \(1 times, did you mean "
            r"'jumps'\?\)"
        ),
    ):
        build(root, classes=['jumps', 'run'], subset='training')


def test_ids_without_features(root, logged):
    (root / 'features' / 'v_b.npy').unlink()
    with pytest.raises(
        FeatureError,
        match=(
            r"ann.json: 1 of 4 videos have no features: 'v_b'. Expected, for example, "
            r'.*features/v_b.npy, got, for example, .*features/v_a.npy: check data_prefix, '
            r"file_prefix and suffix, or leave these videos out with missing='skip'"
        ),
    ):
        build(root)
    assert names(build(root, missing='skip')) == ['v_a', 'v_d']
    (warning,) = [
        message
        for message, level in logged
        if level == logging.WARNING and 'no features' in message
    ]
    assert '1 of 4 videos have no features' in warning and 'raises mAP' in warning
    # A missing file of another subset is none of our business.
    assert names(build(root, subset='validation')) == ['v_d']


def test_ids_that_do_not_match_at_all(root):
    annotate(root, {name[2:]: video for name, video in VIDEOS.items()})
    for missing in ('error', 'skip'):
        with pytest.raises(FeatureError, match='4 of 4 videos have no features'):
            build(root, missing=missing)
    assert names(build(root, file_prefix='v_')) == ['a', 'b', 'd']


def test_features_without_annotations_are_counted(root, logged):
    annotate(root, {name: VIDEOS[name] for name in ('v_a', 'v_b')})
    build(root)
    assert any(
        '2 of 4 videos in feature folder' in message
        and "not used: 'v_c', 'v_d'" in message
        and level == logging.INFO
        for message, level in logged
    )


def test_bad_segments_give_one_warning(root, logged):
    build(root, subset='training')
    assert [message for message, level in logged if level == logging.WARNING] == [
        '1 segments are left out of the training targets, because they are reversed, have no '
        "length or lie outside their video: 'v_b' [3, 3] of 8 s"
    ]


def test_segments_in_frames(root):
    annotate(root, {'v_a': dict(duration=20, annotations=[dict(segment=[50, 600], label='run')])})
    with pytest.raises(AnnotationError, match=r'ann.json: in 1 of 1 .* probably 30\)'):
        build(root)


def test_nothing_left(root):
    annotate(root, {'v_c': VIDEOS['v_c']})
    with pytest.raises(ValueError, match='ann.json: no video is left of 1; expected at least one'):
        build(root)


@pytest.mark.parametrize('stride, warned', [(1.0, False), (1.03, False), (1.5, True), (16, True)])
def test_stride_against_duration(root, logged, stride, warned):
    build(root, feature_stride=stride, subset='training')
    lines = [message for message, level in logged if 'feature_stride' in message]
    assert len(lines) == warned
    if stride == 1.5:
        assert lines[0].startswith(
            'with feature_stride=1.5 s the features of 3 of 3 videos looked at are not as long as '
            "the video: 'v_a' covers 30.0 s of 20.0 s,"
        )


@pytest.mark.parametrize(
    'excess, warned', [(1.04, False), (1.06, True), (0.96, False), (0.94, True)]
)
def test_five_percent_of_a_long_video_are_no_reason_to_warn(root, logged, excess, warned):
    annotate(root, {'v_a': VIDEOS['v_a']})
    np.save(root / 'features' / 'v_a.npy', np.zeros((C, 400)))
    build(root, feature_stride=20 / 400 * excess)
    assert any('feature_stride' in message for message, _ in logged) == warned


def test_unclear_orientation_is_found_by_the_constructor(root):
    for video_id in ('v_b', 'v_c', 'v_d'):
        (root / 'features' / f'{video_id}.npy').unlink()
    with pytest.raises(FeatureError, match=r'\(T, C\) or \(C, T\)\?'):
        build(root, missing='skip')
    assert build(root, missing='skip', layout='CT')[0]['inputs'].shape == (C, 20)


def test_damaged_features_are_named_when_they_are_read(root):
    broken = array('v_b')
    broken[0, 3] = np.nan
    np.save(root / 'features' / 'v_b.npy', broken)
    dataset = build(root)
    with pytest.raises(FeatureError, match=r"features of 'v_b' .*the first is snippet 3"):
        dataset[1]


# --- with mmengine and mmaction2 ------------------------------------------------------------------


@pytest.mark.parametrize('workers', [0, 2])
def test_runner_builds_a_loader(root, workers):
    loader = Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                type='mmaction.TALFeatureDataset',
                ann_file='ann.json',
                data_root=str(root),
                data_prefix=dict(features='features'),
            ),
        )
    )
    batches = list(loader)
    assert [[tuple(inputs.shape) for inputs in batch['inputs']] for batch in batches] == [
        [(C, 20), (C, 8)],
        [(C, 10)],
    ]
    assert [
        sample.metainfo['video_name'] for batch in batches for sample in batch['data_samples']
    ] == ['v_a', 'v_b', 'v_d']


@pytest.mark.slow
def test_registration_waits_for_mmaction_and_needs_no_torch_until_then():
    code = """
import sys
from sola_plugin.datasets import annotations, feature_files, open_features, packing, safe_pickle
assert not {'torch', 'mmengine', 'mmaction'} & set(sys.modules)
from mmaction.registry import DATA_SAMPLERS, DATASETS, TRANSFORMS
for registry, name in ((DATASETS, 'TALFeatureDataset'), (DATASETS, 'SoLaWindowDataset'),
                       (TRANSFORMS, 'LoadFeatures'), (DATA_SAMPLERS, 'WindowSampler'),
                       (DATA_SAMPLERS, 'TrainingWindowSampler')):
    assert registry.get(name).__name__ == name
"""
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ('patterns', 'expected'),
    [
        ('v_[ab]', ['v_a', 'v_b']),
        (['v_b', 'v_a'], ['v_a', 'v_b']),  # in the order of the file
        ('!v_a', ['v_b']),
        (['v_*', '!v_b'], ['v_a']),
    ],
)
def test_videos_by_pattern(root, patterns, expected):
    """Folds: within the subset, and without the videos that have no usable segment."""
    dataset = TALFeatureDataset(
        'ann.json', str(root), dict(features='features'), 'training', videos=patterns, layout='CT'
    )
    assert [dataset.get_data_info(i)['video_name'] for i in range(len(dataset))] == expected
    assert dataset.metainfo['classes'] == ['jump', 'run', 'swim']  # of the whole file


@pytest.mark.parametrize(
    ('patterns', 'message'),
    [
        ('v_d', r"ann.json: videos='v_d' matches none of 3 videos, such as 'v_a'"),
        (['v_a', '!v_x'], "videos='!v_x' matches none"),
        ('!v_?', r"videos=\['!v_\?'\] leaves none of 3 videos"),
    ],
)
def test_patterns_that_leave_nothing(root, patterns, message):
    with pytest.raises(AnnotationError, match=message):
        TALFeatureDataset(
            'ann.json', str(root), dict(features='features'), 'training', videos=patterns
        )


# --- videos that do not count ---------------------------------------------------------------------


@pytest.mark.parametrize('as_file', [False, True])
def test_excluded_videos(root, logged, as_file):
    first = next(iter(VIDEOS))
    listed = [first, 'gone']
    if as_file:
        (root / 'blocked.txt').write_text('\n'.join(listed))
    options = dict(exclude='blocked.txt' if as_file else listed, filter_empty=False)
    everything = names(build(root, filter_empty=False))
    assert names(build(root, **options)) == [name for name in everything if name != first]
    note = "1 of 2 videos to exclude are left out; not there: 'gone'"
    assert any(note in line for line, _ in logged)
    # What is excluded needs no features.
    (root / 'features' / f'{first}.npy').unlink()
    assert first not in names(build(root, **options))


@pytest.mark.parametrize('listed', [['v_unknown'], [f'{name}.mp4' for name in VIDEOS]])
def test_excluded_videos_of_which_none_is_there(root, listed):
    with pytest.raises(AnnotationError, match='exclude: none of the . videos to exclude is known'):
        build(root, exclude=listed)
    with pytest.raises(FileNotFoundError, match='blocked'):
        build(root, exclude='blocked.txt')


def test_excluded_videos_keep_the_numbers_of_the_classes(root):
    """Excluded from the test alone, they must not give its labels other numbers than training."""
    whole = build(root, filter_empty=False).metainfo['classes']
    for name in VIDEOS:
        assert build(root, filter_empty=False, exclude=[name]).metainfo['classes'] == whole
