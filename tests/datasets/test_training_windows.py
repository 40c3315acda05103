"""Windows at a fixed stride as items of a training epoch, and the actions that count in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import DATA_SAMPLERS, DATASETS, MODELS
from mmengine.runner import Runner

from sola_plugin.datasets import TrainingWindowSampler
from sola_plugin.datasets.crops import window_starts
from sola_plugin.heads.shared.map_targets import map_targets
from sola_plugin.heads.shared.sliding_windows import SlidingWindows
from tests.conftest import localization_config
from tests.heads.test_gtad import TINY_GTAD
from tests.heads.test_sliding_windows import make_sample

#: Snippets of each video, one a second, and its actions.
VIDEOS = {
    'v_a': (40, [[1, 5], [14, 30], [33, 35]]),
    'v_b': (9, [[2, 4]]),
    'v_c': (70, [[0, 70]]),
}


@pytest.fixture
def dataset(tmp_path: Path):
    (tmp_path / 'features').mkdir()
    database = {}
    for name, (total, segments) in VIDEOS.items():
        features = np.arange(total, dtype=np.float32)[:, None].repeat(2, 1)
        np.save(tmp_path / f'features/{name}.npy', features)
        database[name] = dict(
            duration=float(total),
            subset='training',
            annotations=[dict(segment=segment, label='run') for segment in segments],
        )
    (tmp_path / 'a.json').write_text(json.dumps(dict(database=database)))
    return DATASETS.build(
        dict(
            type='TALFeatureDataset',
            data_root=str(tmp_path),
            ann_file='a.json',
            data_prefix=dict(features='features'),
            layout='TC',
            feature_stride=1.0,
            feature_offset=0.0,
            pipeline=[
                dict(type='mmaction.LoadFeatures', margin=None),
                dict(type='mmaction.PackTALInputs'),
            ],
        )
    )


def slow_starts(total: int, length: int, stride: int, min_rest: int) -> list[int]:
    """As G-TAD's public code counts its windows."""
    starts = [index * stride for index in range((total + stride - length) // stride)]
    if total < length:
        return [0]
    if total - starts[-1] - length > min_rest:
        starts.append(total - length)
    return starts


@pytest.mark.parametrize('min_rest', [0, 3, 51])
@pytest.mark.parametrize(('length', 'stride'), [(8, 4), (256, 128), (8, 8), (5, 1)])
def test_starts_are_the_authors(length, stride, min_rest):
    for total in range(1, 700, 3):
        got = window_starts(total, length, stride, min_rest)
        assert got == slow_starts(total, length, stride, min_rest), total


def slow_windows(length: int, stride: int, min_rest: int = 0) -> list[tuple[int, int, int]]:
    return [
        (index, start, min(length, total))
        for index, (total, segments) in enumerate(VIDEOS.values())
        for start in slow_starts(total, length, stride, min_rest)
        if max((min(e, start + length) - max(s, start)) / (e - s) for s, e in segments) >= 0.9
    ]


@pytest.mark.parametrize('min_rest', [0, 5])
def test_an_epoch_has_every_window_with_an_action_once(dataset, min_rest):
    sampler = TrainingWindowSampler(dataset, 16, 8, min_rest=min_rest, seed=0)
    expected = slow_windows(16, 8, min_rest)
    assert len(sampler) == len(expected) and sorted(sampler) == expected
    assert list(sampler) == list(sampler) != expected
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first and sorted(sampler) == expected
    ordered = TrainingWindowSampler(dataset, 16, 8, min_rest=min_rest, shuffle=False)
    assert list(ordered) == expected


def test_an_item_is_the_window(dataset):
    item = dataset[0, 16, 16]
    assert item['inputs'][0].tolist() == list(range(16, 32))
    sample = item['data_samples']
    assert sample.metainfo['feature_span'] == (16.0, 32.0)
    # The second action is cut; with margin=None its start stays outside.
    np.testing.assert_allclose(sample.gt_instances.gt_bbox.numpy(), [[-2 / 16, 14 / 16]])
    short = dataset[1, 0, 9]
    assert short['inputs'].shape == (2, 9)
    assert dataset[1]['inputs'].shape == (2, 9)


def test_partly_covered_actions_of_a_kept_window():
    sample = make_sample(20, [[1, 3], [6, 10], [0, 18], [14, 19]])
    windows = SlidingWindows(8, 4, min_coverage=0.9, keep_partial=True)
    _, samples = windows.training_windows([torch.zeros(1, 20)], [sample])
    assert [s.gt_instances.gt_labels.tolist() for s in samples] == [[0, 1, 2], [1, 2], [2, 3]]
    boxes = samples[0].gt_instances.gt_bbox
    np.testing.assert_allclose(boxes * 8, [[1, 3], [6, 10], [0, 18]])
    np.testing.assert_allclose(samples[1].gt_instances.gt_bbox * 8, [[2, 6], [-4, 14]])


def test_a_window_without_a_whole_action_is_not_kept():
    windows = SlidingWindows(8, 4, keep_partial=True)
    _, samples = windows.training_windows([torch.zeros(1, 20)], [make_sample(20, [[0, 18]])])
    assert len(samples) == 1 and not len(samples[0].gt_instances)


def slow_targets(segments, size: int, rows: int):
    """Labels of a window: tIoU with what is inside, boundaries where they are."""
    tiou, near = np.zeros((rows, size)), np.zeros((2, size))
    for segment in segments:
        start, end = (min(max(time, 0), size) for time in segment)
        for d in range(rows):
            for s in range(size):
                inside = max(min(s + d + 1, end) - max(s, start), 0)
                tiou[d, s] = max(tiou[d, s], inside / (d + 1 + end - start - inside))
        for side, time in enumerate(segment):
            for s in range(size):
                inside = max(min(s + 1.5, time + 1.5) - max(s - 0.5, time - 1.5), 0)
                near[side, s] = max(near[side, s], inside / 2)
    return tiou, *near


def test_targets_of_cut_actions():
    """The end of a window is no boundary of an action that goes on."""
    segments = [[-3.0, 5.0], [9.0, 20.0], [7.0, 8.5]]
    boxes = torch.tensor(segments).double() / 12
    for got, expected in zip(map_targets([boxes], 12, 6), slow_targets(segments, 12, 6)):
        np.testing.assert_allclose(got[0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(length=8, stride=9), '1 <= stride <= length'),
        (dict(length=8, stride=4, min_coverage=0), r'min_coverage in \(0, 1\]'),
        (dict(length=8, stride=4, min_rest=-1), 'min_rest of 0 or more'),
        (dict(length=1, stride=1), 'none of the windows of 1 snippets of 3 videos holds 0.9 of'),
    ],
)
def test_bad_arguments(dataset, options, message):
    with pytest.raises(ValueError, match=message):
        TrainingWindowSampler(dataset, **options)


def test_another_dataset():
    with pytest.raises(ValueError, match='needs a TALFeatureDataset, got list'):
        DATA_SAMPLERS.build(dict(type='TrainingWindowSampler', dataset=[1], length=8, stride=4))


def test_trains_with_a_runner(data_root, tmp_path):
    config = localization_config(data_root, tmp_path / 'work')
    windows = dict(stride=10, keep_partial=True, min_coverage=0.5)
    config['model'] = {**TINY_GTAD, 'windows': windows}
    loader = config['train_dataloader']
    loader['sampler'] = dict(type='TrainingWindowSampler', length=20, stride=10, min_coverage=0.5)
    loader['dataset']['pipeline'] = [
        dict(type='LoadFeatures', margin=None),
        dict(type='PackTALInputs'),
    ]
    runner = Runner.from_cfg(config)
    before = [p.detach().clone() for p in runner.model.parameters()]
    runner.train()
    assert not all(torch.equal(a, b) for a, b in zip(before, runner.model.parameters()))
    assert runner.iter == 2 * -(-len(runner.train_dataloader.sampler) // 2)
    assert MODELS.build(config['model']).windows.keep_partial
