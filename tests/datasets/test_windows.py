"""Windows of unlabelled features: where they start, where they come from, and that they repeat."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import DATA_SAMPLERS, DATASETS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from sola_plugin.datasets import SoLaWindowDataset, WindowSampler, window_sources, windows
from sola_plugin.datasets.features.readers import FeatureError

C, WINDOW = 3, 5
LENGTHS = dict(v_a=12, v_b=4, v_c=5, v_d=9)


def array(video_id: str) -> np.ndarray:
    """Float32 ``(C, T)``; the first channel counts snippets, the second one is the video."""
    length = LENGTHS[video_id]
    return np.stack(
        [
            np.arange(length),
            np.full(length, ord(video_id[-1])),
            np.random.default_rng(length).normal(size=length),
        ]
    ).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / 'features').mkdir()
    for video_id in LENGTHS:
        np.save(tmp_path / 'features' / f'{video_id}.npy', array(video_id))
    return tmp_path / 'features'


@pytest.fixture
def dataset(folder: Path) -> SoLaWindowDataset:
    return SoLaWindowDataset(dict(root=str(folder)), window=WINDOW)


def starts(batches) -> list[tuple[int, int]]:
    """The video and the first snippet of every window."""
    return [
        (int(window[1, 0]), int(window[0, 0])) for batch in batches for window in batch['inputs']
    ]


# --- windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize('in_memory', [False, True])
def test_items(folder, in_memory):
    dataset = SoLaWindowDataset(dict(root=folder), window=WINDOW, in_memory=in_memory)
    assert len(dataset) == 3
    # Twelve snippets have eight windows; v_b is too short.
    for u, start in ((0.0, 0), (0.124, 0), (0.125, 1), (0.5, 4), (np.nextafter(1, 0), 7)):
        item = dataset[0, u]
        assert list(item) == ['inputs'] and item['inputs'].dtype == torch.float32
        np.testing.assert_array_equal(item['inputs'], array('v_a')[:, start : start + WINDOW])
    np.testing.assert_array_equal(dataset[0]['inputs'], array('v_a')[:, 3:8])
    np.testing.assert_array_equal(dataset[1]['inputs'], array('v_c'))
    np.testing.assert_array_equal(dataset[2]['inputs'], array('v_d')[:, 2:7])


def test_every_window_is_equally_likely(dataset):
    drawn = [int(dataset[0, u]['inputs'][0, 0]) for u in (np.arange(800) + 0.5) / 800]
    assert [drawn.count(start) for start in range(8)] == [100] * 8


@pytest.mark.parametrize('u', [-0.1, 1.0, float('nan')])
def test_position_outside(dataset, u):
    with pytest.raises(ValueError, match='position in video 0 is .*, expected 0 <= u < 1'):
        dataset[0, u]


def test_short_videos_are_counted(folder, monkeypatch):
    lines = []
    monkeypatch.setattr(windows, 'print_log', lambda message, logger: lines.append(message))
    SoLaWindowDataset(dict(root=folder), window=4)
    assert lines == []
    SoLaWindowDataset(dict(root=folder), window=6)
    assert lines == [
        '2 of 4 videos are shorter than the window of 6 snippets (the shortest has 4) '
        'and are left out'
    ]
    with pytest.raises(
        ValueError,
        match=(
            r'4 of 4 videos are shorter than the window of 13 snippets \(the shortest has 4\): no '
            r'video is left; what fits three of four are windows of \d+ snippets'
        ),
    ):
        SoLaWindowDataset(dict(root=folder), window=13)


def test_bad_arguments(folder, dataset):
    with pytest.raises(ValueError, match='window is 0, expected at least 1 snippet'):
        SoLaWindowDataset(dict(root=folder), window=0)
    with pytest.raises(ValueError, match='windows_per_video is 0, expected at least 1'):
        WindowSampler(dataset, windows_per_video=0)
    with pytest.raises(FeatureError, match='does not exist'):
        SoLaWindowDataset(dict(root=folder / 'nowhere'))


def test_damaged_window_is_named(folder):
    broken = array('v_d')
    broken[2, 8] = np.inf
    np.save(folder / 'v_d.npy', broken)
    dataset = SoLaWindowDataset(dict(root=folder), window=WINDOW)
    assert dataset[2, 0.0]['inputs'].shape == (C, WINDOW)
    with pytest.raises(FeatureError, match=r"features of 'v_d' .*the first is snippet 8"):
        dataset[2, 0.99]
    with pytest.raises(FeatureError, match=r"features of 'v_d' .*the first is snippet 8"):
        SoLaWindowDataset(dict(root=folder), window=WINDOW, in_memory=True)


# --- other sources --------------------------------------------------------------------------------


def tal_config(folder: Path, **options) -> dict:
    """Config of a TALFeatureDataset of v_d (training, annotated), v_a (training) and v_c."""
    database = {
        'v_d': dict(duration=9, subset='training', annotations=[dict(segment=[1, 3], label='x')]),
        'v_a': dict(duration=12, subset='training', annotations=[]),
        'v_c': dict(duration=5, subset='testing', annotations=[]),
    }
    (folder.parent / 'ann.json').write_text(json.dumps(dict(database=database)))
    return dict(
        type='TALFeatureDataset',
        data_root=str(folder.parent),
        ann_file='ann.json',
        data_prefix=dict(features='features'),
        subset='training',
        **options,
    )


@pytest.mark.parametrize('built', [False, True])
@pytest.mark.parametrize('lazy_init', [False, True])
@pytest.mark.parametrize('in_memory', [False, True])
def test_tal_feature_dataset(folder, built, lazy_init, in_memory):
    source = tal_config(folder, filter_empty=False, lazy_init=lazy_init)
    dataset = SoLaWindowDataset(DATASETS.build(source) if built else source, WINDOW, in_memory)
    assert len(dataset) == 2
    np.testing.assert_array_equal(dataset[0, 0.0]['inputs'], array('v_d')[:, :WINDOW])
    np.testing.assert_array_equal(dataset[1, 0.0]['inputs'], array('v_a')[:, :WINDOW])


def test_tal_feature_dataset_without_its_empty_videos(folder):
    assert len(SoLaWindowDataset(tal_config(folder), WINDOW)) == 1


def stock_config(folder: Path) -> dict:
    """mmaction2's own dataset on CSV files with a header, as in its BMN config."""
    for video_id in LENGTHS:
        np.savetxt(
            folder / f'{video_id}.csv',
            array(video_id).T,
            delimiter=',',
            fmt='%.9g',
            header='f0,f1,f2',
            comments='',
        )
    (folder.parent / 'stock.json').write_text(
        json.dumps(
            {
                video_id: dict(
                    duration_second=1.0,
                    duration_frame=9,
                    feature_frame=9,
                    annotations=[dict(segment=[0, 1], label='x')],
                )
                for video_id in LENGTHS
            }
        )
    )
    return dict(
        type='ActivityNetDataset',
        ann_file=str(folder.parent / 'stock.json'),
        data_prefix=dict(video=str(folder)),
        pipeline=[
            dict(type='mmaction.LoadLocalizationFeature'),
            dict(type='mmaction.GenerateLocalizationLabels'),
            dict(type='mmaction.PackLocalizationInputs', keys=('gt_bbox',)),
        ],
    )


def test_stock_dataset(folder, dataset, monkeypatch):
    stock = DATASETS.build(stock_config(folder))
    made = SoLaWindowDataset(stock, WINDOW)
    monkeypatch.setattr(type(stock), '__getitem__', None)  # each item is made once
    assert len(made) == len(dataset)
    for index in range(len(made)):
        assert torch.equal(made[index, 0.7]['inputs'], dataset[index, 0.7]['inputs'])


def test_stock_config(folder, dataset):
    made = SoLaWindowDataset(stock_config(folder), WINDOW)
    assert torch.equal(made[0]['inputs'], dataset[0]['inputs'])


@pytest.mark.parametrize(
    'items, message',
    [
        ([3], r'item 0 of list: expected dict\(inputs=\(C, T\)\), got int'),
        ([dict(imgs=np.zeros((2, 9)))], r'got imgs \(2, 9\)'),
        ([dict(inputs=np.zeros((C, 9))), dict(inputs=np.zeros(9))], r'item 1 .* got inputs \(9,\)'),
        ([dict(inputs=np.full((C, 9), np.nan))], 'item 0 of list: expected finite features'),
    ],
)
def test_other_items(items, message):
    with pytest.raises(ValueError, match=message):
        SoLaWindowDataset(items)


def test_progress_of_many_videos(monkeypatch, capsys):
    monkeypatch.setattr(window_sources, '_MANY_VIDEOS', 3)
    SoLaWindowDataset([dict(inputs=np.zeros((C, 9)))] * 2, WINDOW)
    assert len(SoLaWindowDataset([dict(inputs=np.zeros((C, 9)))] * 3, WINDOW)) == 3


# --- sampling -------------------------------------------------------------------------------------


def test_sampler_is_a_function_of_seed_and_epoch(dataset):
    def drawn(seed: int, epoch: int) -> list[tuple[int, float]]:
        sampler = WindowSampler(dataset, windows_per_video=4, seed=seed)
        sampler.set_epoch(epoch)
        torch.manual_seed(np.random.randint(1000))
        return list(sampler)

    assert drawn(1, 0) == drawn(1, 0)
    draws = {tuple(drawn(seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(draws) == 9
    positions = [u for draw in draws for _, u in draw]
    assert len(set(positions)) == len(positions), 'no window is drawn twice'


def test_an_epoch_takes_every_video_equally_often(dataset):
    sampler = WindowSampler(dataset, windows_per_video=4, seed=0)
    drawn = list(sampler)
    assert len(sampler) == len(drawn) == 12
    assert sorted(index for index, _ in drawn) == [0] * 4 + [1] * 4 + [2] * 4
    assert [index for index, _ in drawn] != sorted(index for index, _ in drawn)
    assert all(type(u) is float and 0 <= u < 1 for _, u in drawn)


def test_without_shuffling_the_positions_still_vary(dataset):
    sampler = WindowSampler(dataset, shuffle=False, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert [index for index, _ in first] == [index for index, _ in sampler] == [0, 1, 2]
    assert first != list(sampler)


@pytest.mark.parametrize('round_up, sizes', [(True, [4, 4]), (False, [4, 3])])
def test_ranks_share_one_draw(dataset, monkeypatch, round_up, sizes):
    class Seven:
        def __len__(self) -> int:
            return 7

    whole = list(WindowSampler(Seven(), seed=3, round_up=round_up))
    parts = []
    for rank in range(2):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 2))
        sampler = WindowSampler(Seven(), seed=3, round_up=round_up)
        parts.append(list(sampler))
        assert len(sampler) == len(parts[-1]) == sizes[rank]
    assert sorted(set(parts[0] + parts[1])) == sorted(whole)
    assert len(set(parts[0]) & set(parts[1])) == round_up, 'only the filling is shared'


@pytest.mark.parametrize('epoch', [0, 3])
def test_workers_make_no_difference(dataset, epoch):
    read = []
    for workers in (0, 2):
        sampler = WindowSampler(dataset, windows_per_video=3, seed=7)
        sampler.set_epoch(epoch)
        loader = DataLoader(dataset, batch_size=4, sampler=sampler, num_workers=workers)
        read.append(torch.cat([batch['inputs'] for batch in loader]))
    assert read[0].shape == (9, C, WINDOW)
    assert torch.equal(*read)


@pytest.mark.parametrize('workers', [0, 2])
def test_runner_builds_a_loader(folder, workers):
    """As the pretraining config does: registry names, mmengine's seed and collate function."""
    loader = Runner.build_dataloader(
        dict(
            batch_size=4,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='mmaction.WindowSampler', windows_per_video=2),
            dataset=dict(
                type='mmaction.SoLaWindowDataset', features=dict(root=str(folder)), window=WINDOW
            ),
        ),
        seed=11,
    )
    assert isinstance(loader.sampler, DATA_SAMPLERS.get('WindowSampler'))
    epochs = []
    for epoch in (0, 1, 0):
        loader.sampler.set_epoch(epoch)
        epochs.append(starts(loader))
    assert len(loader) == 2 and len(epochs[0]) == 6
    assert epochs[0] == epochs[2] != epochs[1]
    batch = next(iter(loader))
    assert list(batch) == ['inputs'] and batch['inputs'].shape == (4, C, WINDOW)


def test_metainfo_is_there_for_the_train_loop(dataset):
    assert dataset.metainfo == {}
