"""Shipped studies whose levels change several settings that must fit each other."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from mmaction.registry import DATASETS
from mmengine.config import Config

from sola_plugin.datasets.annotations.model import Video, choose_subset, load_annotations
from sola_plugin.studies.stages import cell_stages
from sola_plugin.studies.study import load_study
from tests.conftest import ROOT
from tests.reference import real_set


def changed(path, options):
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(dict(options))
    return cfg


def test_channels_of_the_encoder_study_fit_its_sources():
    study = load_study(ROOT / 'configs/studies/encoder.py')
    assert len(study.cells) == 4 * 5
    for cell in study.cells:
        head = changed(cell.head, cell.head_options)
        pretrain = changed(cell.pretrain, cell.pretrain_options)
        datasets = (
            head.train_dataloader.dataset,
            head.test_dataloader.dataset,
            pretrain.train_dataloader.dataset.features,
        )
        sources, *others = [dataset.data_prefix.features for dataset in datasets]
        assert others == [sources, sources]
        channels = 128 if isinstance(sources, str) else 128 * len(sources)
        assert head.model.feat_dim == pretrain.model.neck.in_channels == channels
        assert pretrain.model.neck.standardize


def test_transfer_study_takes_equally_many_iterations():
    streams = dict(training=14, unlabelled=42, foreign=56)
    study = load_study(ROOT / 'configs/studies/transfer.py')
    assert study.cells[0].embedded['foreign'] == streams['foreign']
    for cell in study.cells[2:]:
        cfg = changed(cell.pretrain, cell.pretrain_options)
        loader = cfg.train_dataloader
        number = sum(streams[subset] for subset in loader.dataset.features.subset)
        assert f'({number})' in cell.name
        windows = number * loader.sampler.windows_per_video
        assert math.ceil(windows / loader.batch_size) * cfg.train_cfg.max_epochs == 2500


@pytest.mark.parametrize(
    ('study', 'labelled', 'subsets'),
    [
        (
            'transfer',
            14,
            [['training', 'unlabelled'], ['foreign'], ['training', 'unlabelled', 'foreign']],
        ),
        ('transfer', 56, [['training'], ['foreign'], ['training', 'foreign']]),
        ('pretexts', 56, [['training'], ['training'], ['training'], 'training']),
    ],
)
def test_pretraining_reads_the_subsets_there_are(study, labelled, subsets, tmp_path):
    """With all streams labelled none is left for the subset 'unlabelled', which would be an
    error."""
    cells = load_study(ROOT / f'configs/studies/{study}.py', embedded=dict(labelled=labelled)).cells
    found: dict[str, list | str] = {}
    for cell in cells:
        for stage in cell_stages(cell, 0, tmp_path):
            if stage.kind == 'pretrain':
                features = json.loads(stage.settings)['config']['train_dataloader']['dataset'][
                    'features'
                ]
                found.setdefault(stage.name, features['subset'])
    assert list(found.values())[: len(subsets)] == subsets


@pytest.mark.parametrize('name', ['target', 'receptive_field', 'positions', 'positions_real_video'])
def test_every_geometry_fills_its_window(name):
    """As many snippets before the first position as after the last, in the window that is read."""
    for cell in load_study(ROOT / f'configs/studies/{name}.py').cells:
        cfg = changed(cell.pretrain, cell.pretrain_options)
        model = cfg.model
        last = model.start + model.step * (model.num_positions - 1)
        assert model.start >= max(model.neck.kernel_sizes) // 2
        assert model.window == last + model.start + 1
        assert model.window == cfg.train_dataloader.dataset.window
        if name.startswith('positions'):
            assert model.num_positions == (16 if '16 positions' in cell.levels['method'] else 8)


#: Set of real video → its configs, and ids as its videos have them.
REAL_SETS = {
    '50 Salads': ('salads', [f'salad_{s}_{n:02}' for s in range(1, 6) for n in range(3)]),
    'GTEA': ('gtea', [f'gtea_{s}_{n:02}' for s in range(1, 4) for n in range(3)]),
    'UR Fall': ('urfd', [f'{k}-{n:02}' for k in ('adl', 'fall') for n in range(1, 11)]),
    'UTKinect': ('utkinect', [f's{p:02}_e{n:02}' for p in range(1, 11) for n in (1, 2)]),
}
FOLDERS = dict(salads='50salads_svm', gtea='gtea_svm', urfd='urfd', utkinect='utkinect')


def made_videos(ids) -> dict[str, Video]:
    """Videos of two subsets in turn."""
    return {
        video_id: Video(30.0, 'training' if number % 2 else 'testing')
        for number, video_id in enumerate(ids)
    }


def chosen(dataset, videos) -> set[str]:
    patterns = dataset.get('videos')
    patterns = [patterns] if isinstance(patterns, str) else patterns
    subset = dataset.get('subset')
    return set(choose_subset(videos, None if subset is None else [subset], patterns))


def parts_of(run, videos) -> tuple[set[str], set[str]]:
    """Ids that a run trains on, with and without labels, and ids that it scores."""
    cfg = changed(run.head, run.head_options)
    train, scored = (
        chosen(cfg[loader].dataset, videos) for loader in ('train_dataloader', 'test_dataloader')
    )
    assert train and scored and not train & scored
    if run.pretrain is not None:
        windows = changed(run.pretrain, run.pretrain_options).train_dataloader.dataset.features
        assert chosen(windows, videos) == train
    return train, scored


@pytest.mark.parametrize('name', REAL_SETS)
def test_nothing_is_chosen_by_a_test_video(name, read_once):
    """Development and tests score different videos, each of them once."""
    study, *development = (
        load_study(ROOT / f'configs/studies/{study}.py')
        for study in ('real_video', 'recipes', 'real_video_heads', 'positions_real_video')
    )
    videos = made_videos(REAL_SETS[name][1])
    for head in ('BMN', 'G-TAD', 'ActionFormer'):
        of_study = {}
        for each in (study, *development):
            cells = [c for c in each.cells if c.levels['experiment'] == f'{name}, {head}']
            assert len({tuple(cell.folds) for cell in cells}) == 1
            scored = [parts_of(run, videos)[1] for run in cells[0].runs()]
            assert len(set.union(*scored)) == sum(map(len, scored))
            of_study[each.path.stem] = set.union(*scored)
            pairs = len(scored) * len(cells[0].seeds)
            assert pairs == (6 if each is study else 2)
        tested = of_study.pop('real_video')
        scored = of_study['recipes']
        assert all(each == scored for each in of_study.values())
        assert not scored & tested


def test_the_choices_are_lengths_that_were_tried(read_once):
    choices = Config.fromfile(ROOT / 'configs/_base_/studies/real_video_choices.py')._choices
    lengths = load_study(ROOT / 'configs/studies/real_video_heads.py')
    assert set(choices) == set(lengths.summaries)
    assert set(choices.values()) <= {cell.levels['epochs'] for cell in lengths.cells}


def write_real_like(root, name: str) -> None:
    """A small set of the shape of a real one: ids, channels, stride, labels, few and short."""
    config, ids = REAL_SETS[name]
    cfg = Config.fromfile(ROOT / f'configs/_base_/datasets/{config}.py')
    dataset, rng = cfg.train_dataloader.dataset, np.random.default_rng(0)
    folder = root / FOLDERS[config]
    (folder / 'features').mkdir(parents=True)
    database = {}
    for number, video_id in enumerate(ids):
        length = int(rng.integers(30, 50))
        features = rng.normal(size=(length, dataset.feat_dim)).astype(np.float32)
        features[5:15] += 1
        np.save(folder / f'features/{video_id}.npy', features)
        database[video_id] = dict(
            duration=length * dataset.feature_stride,
            subset='training' if number % 2 else 'testing',
            annotations=[
                dict(segment=[a * dataset.feature_stride, b * dataset.feature_stride], label=label)
                for (a, b), label in zip([(5, 15), (20, 26)], cfg.classes)
            ],
        )
    (folder / 'annotations.json').write_text(json.dumps(dict(database=database)))


@pytest.mark.parametrize(
    ('name', 'head'),
    [
        ('50 Salads', 'BMN'),
        pytest.param('GTEA', 'G-TAD', marks=pytest.mark.slow),
        pytest.param('UR Fall', 'BMN', marks=pytest.mark.slow),
        pytest.param('UTKinect', 'ActionFormer', marks=pytest.mark.slow),
    ],
)
def test_real_video_runs_on_small_sets_of_the_same_shape(tmp_path, name, head):
    """One fold of one method with SoLa, for real but for one epoch and small maps."""
    write_real_like(tmp_path / 'real', name)
    study = load_study(ROOT / 'configs/studies/real_video.py', data_root=tmp_path / 'real')
    part = study.only(
        [('experiment', f'{name}, {head}'), ('method', 'the paper: raw, frozen')],
        ['testing' if name == 'UR Fall' else '2'],
    )
    (run,) = part.cells[0].runs()
    small = dict(run.head_options)
    small.update({'train_cfg.max_epochs': 1, 'param_scheduler.total_steps': 1})
    if head != 'ActionFormer':
        small.update({'model.temporal_dim': 32, 'model.max_duration': 16})
    windows = dict(run.pretrain_options)
    windows.update({'train_cfg.max_epochs': 1, 'train_dataloader.sampler.windows_per_video': 2})
    run = dataclasses.replace(run, head_options=small, pretrain_options=windows)
    stages = cell_stages(run, 0, tmp_path / 'work')
    assert [stage.kind for stage in stages] == ['pretrain', 'head']
    *_, figures = [stage.run() for stage in stages]
    assert 0 <= figures['mAP'] <= 1 and 0 < figures['probe_balanced'] <= 1
    neck = stages[-1].config.model.neck
    assert neck.frozen and neck.in_channels == stages[-1].config.model.feat_dim


@pytest.mark.parametrize('name', REAL_SETS)
def test_the_real_sets_are_what_their_configs_say(name, read_once):
    """Every video of the real annotations is scored once, in tests or development, and can be
    read as it lies there."""
    config, _ = REAL_SETS[name]
    folder = real_set(FOLDERS[config])
    studies = (
        load_study(ROOT / f'configs/studies/{study}.py', data_root=folder.parent)
        for study in ('real_video', 'real_video_heads')
    )
    cells = [
        next(c for c in study.cells if c.levels['experiment'] == f'{name}, BMN')
        for study in studies
    ]
    seen: list[str] = []
    for run in (run for cell in cells for run in cell.runs()):
        cfg = cell_stages(run, 0, folder)[-1].config
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        assert dataset.feature_store.channels == cfg.model.feat_dim
        assert dataset[0]['data_samples'].metainfo['classes'] == tuple(
            cfg.train_dataloader.dataset.classes
        )
        seen += [dataset.get_data_info(i)['video_name'] for i in range(len(dataset))]
    videos = load_annotations(folder / 'annotations.json')
    assert len(seen) == len(set(seen)) and set(seen) <= set(videos)
    # Of the training group of UR Fall only every fourth video is scored.
    left = set(videos) - set(seen)
    assert not left or name == 'UR Fall' and not [v for v in left if v[-1] in '0369']
