"""Every config parses, and its model and schedule can be built."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, HOOKS, METRICS, MODELS, PARAM_SCHEDULERS, TRANSFORMS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from scipy.io import savemat

from sola_plugin.commands.cli import read_config
from sola_plugin.necks import SoLa, save_sola
from sola_plugin.pretraining import SoLaPretrainHook
from sola_plugin.pretraining.run import pretraining_config
from tests.conftest import ROOT
from tests.slow import slow_but

CONFIGS = sorted(
    path
    for folder in ('examples', 'localization', 'pretrain')
    for path in (ROOT / 'configs' / folder).glob('*.py')
)


#: Those that are built in no time.
SMALL = [path for path in CONFIGS if path.stem.endswith(('_sola', '_salads', 'watch', '_gtea'))]


def load(path: Path) -> Config:
    init_default_scope('mmaction')
    return read_config(path)


def datasets(cfg: Config) -> list[dict]:
    loaders = [cfg.get('train_dataloader'), cfg.get('test_dataloader')]
    return [loader.dataset for loader in loaders if loader is not None]


@pytest.fixture(autouse=True)
def _no_checkpoint(monkeypatch, tmp_path):
    """A frozen neck reads its checkpoint only when a Runner initialises the weights."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings('ignore:Detected call of `scheduler.step')
@pytest.mark.parametrize('path', slow_but(SMALL, CONFIGS), ids=lambda path: path.stem)
def test_config(path):
    cfg = load(path)
    assert cfg.custom_imports == dict(imports=['sola_plugin'], allow_failed_imports=False)
    model = MODELS.build(cfg.model)
    if cfg.model.get('neck', {}).get('frozen'):
        model.neck.requires_grad_(False)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    for hook in map(HOOKS.build, cfg.custom_hooks):
        # What was chosen for the configs; the paper's way is asked for by name.
        assert not isinstance(hook, SoLaPretrainHook) or hook.reset_gate
    if cfg.get('test_evaluator') is not None:
        METRICS.build(cfg.test_evaluator)
    for dataset in datasets(cfg):
        for transform in dataset.get('pipeline') or ():
            TRANSFORMS.build(transform)
    check_schedule(cfg, optim_wrapper)


def check_schedule(cfg: Config, optim_wrapper) -> None:
    """The learning rate has come down when the last epoch is over."""
    if cfg.get('param_scheduler') is None:
        return
    schedulers = (
        cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    )
    ends = [scheduler.get('end') for scheduler in schedulers]
    assert set(ends) <= {None, *range(1, cfg.train_cfg.max_epochs + 1)}
    built = [
        PARAM_SCHEDULERS.build(
            {key: value for key, value in scheduler.items() if key != 'convert_to_iter_based'},
            default_args=dict(optimizer=optim_wrapper),
        )
        for scheduler in schedulers
    ]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        rates.append(optim_wrapper.get_lr()['lr'][0])
        for scheduler in built:
            scheduler.step()
    assert rates[-1] <= max(rates) / 5


@pytest.mark.parametrize(
    'path', [path for path in CONFIGS if path.stem.endswith('_sola')], ids=lambda path: path.stem
)
def test_with_and_without_sola_differ_in_the_neck_only(path):
    cfg, plain = load(path), load(path.with_name(path.name.replace('_sola', '')))
    assert cfg.model.pop('neck')['type'] == 'SoLa'
    assert cfg.model == plain.model
    assert (
        cfg.train_dataloader == plain.train_dataloader and cfg.optim_wrapper == plain.optim_wrapper
    )
    hooks = [hook for hook in cfg.custom_hooks if hook['type'] != 'SoLaPretrainHook']
    assert hooks == plain.custom_hooks


@pytest.mark.parametrize('head', ['bmn', 'gtad', 'actionformer'])
@pytest.mark.parametrize('data', ['watch', 'activitynet', 'thumos14', 'hacs'])
def test_each_head_has_its_configs(head, data):
    names = {path.stem for path in CONFIGS}
    assert {f'{head}_{data}', f'{head}_{data}_sola'} <= names


@pytest.mark.parametrize('data', ['salads', 'gtea', 'urfd', 'utkinect'])
def test_each_set_of_real_video_has_its_configs(data):
    """With as many channels for the neck as for the heads, and windows of the training videos."""
    pretrain = load(ROOT / f'configs/pretrain/sola_{data}.py')
    for head in ('bmn', 'gtad', 'actionformer'):
        cfg = load(ROOT / f'configs/localization/{head}_{data}.py')
        dataset = cfg.train_dataloader.dataset
        assert cfg.model.feat_dim == dataset.feat_dim == pretrain.model.neck.in_channels
        assert dataset.classes == sorted(dataset.classes)  # as they are numbered without it
        windows = pretrain.train_dataloader.dataset
        assert windows.window == pretrain.model.window
        assert {**dataset, 'filter_empty': False} == windows.features


def test_the_recipe_of_the_page_makes_a_set_that_the_configs_read(tmp_path):
    """docs/datasets.md on .mat files of the shape that the page names."""
    page = (ROOT / 'docs/datasets.md').read_text(encoding='utf-8')
    code = next(b.split('```')[0] for b in page.split('```python\n')[1:] if 'def convert' in b)
    names: dict = {}
    exec(code, names)
    cfg = load(ROOT / 'configs/_base_/datasets/salads.py')
    rng = np.random.default_rng(0)
    for split in (1, 5):
        scores, labels = (np.empty((1, 2), dtype=object) for _ in range(2))
        for video, length in enumerate((30, 40)):
            scores[0, video] = rng.normal(size=(length, 18))
            labels[0, video] = np.repeat([0, 17, 3, 0], (4, 10, 6, length - 20))[None]
        savemat(tmp_path / f'Split_{split}.mat', dict(S=scores, Y=labels))
    names['convert'](tmp_path, tmp_path / '50salads_svm', 'salad', 1.0, list(cfg.classes))
    dataset = dict(cfg.test_dataloader.dataset, data_root=str(tmp_path / '50salads_svm'))
    test = DATASETS.build(dataset)
    assert [test.get_data_info(i)['video_name'] for i in range(2)] == ['salad_5_00', 'salad_5_01']
    assert test[1]['inputs'].shape == (18, 40)
    assert test[0]['data_samples'].metainfo['annotations'] == [
        dict(segment=[4.0, 14.0], label='serve_salad_onto_plate'),
        dict(segment=[14.0, 20.0], label='add_pepper'),
    ]


def test_base_files_are_used():
    """A base that no config names is forgotten, or misspelt in one."""
    used = {
        (path.parent / base).resolve()
        for path in (ROOT / 'configs').rglob('*.py')
        for base in Config._get_base_files(str(path))
    }
    assert used >= set((ROOT / 'configs' / '_base_').rglob('*.py'))


#: Base, folders and subsets of training and test, start of the file names, channels.
PUBLIC_DATA = {
    'activitynet_tsn400': (('csv_mean_100',) * 2, ('training', 'validation'), 'v_', 400),
    'activitynet_tsp': (('tsp_features',) * 2, ('training', 'validation'), 'v_', 512),
    'activitynet_i3d': (('i3d_features',) * 2, ('training', 'validation'), 'v_', 2048),
    'activitynet_slowfast': (('slowfast_features',) * 2, ('training', 'validation'), 'v_', 2304),
    'thumos14_i3d': (('i3d_features',) * 2, ('Validation', 'Test'), '', 2048),
    'hacs_i3d': (('training', 'validation'), ('training', 'validation'), '', 2048),
}
LENGTH = 100


def lay_out(root: Path, name: str) -> Config:
    """Make one training and one test video, whose features are all 0 and all 1."""
    folders, subsets, prefix, channels = PUBLIC_DATA[name]
    cfg = load(ROOT / f'configs/_base_/datasets/{name}.py')
    database = {}
    for index, (folder, subset) in enumerate(zip(folders, subsets)):
        label = cfg.get('classes', ['jump'])[0]
        database[f'id_{index}'] = dict(
            duration=60.0, subset=subset, annotations=[dict(segment=[10.0, 20.0], label=label)]
        )
        (root / folder).mkdir(exist_ok=True)
        features = np.full((LENGTH, channels), float(index), dtype=np.float32)
        path = root / folder / f'{prefix}id_{index}'
        if cfg.train_dataloader.dataset.suffix == '.csv':
            header = ','.join(f'f{c}' for c in range(channels))
            np.savetxt(f'{path}.csv', features, '%g', ',', header=header, comments='')
        else:
            np.save(f'{path}.npy', features)
    (root / cfg.train_dataloader.dataset.ann_file).write_text(json.dumps(dict(database=database)))
    return cfg


@pytest.mark.parametrize(
    ('name', 'first_centre'),
    [
        ('activitynet_tsn400', None),
        ('activitynet_tsp', 8 / 15),
        ('activitynet_i3d', 8 / 25),
        ('activitynet_slowfast', None),
        ('thumos14_i3d', 8 / 30),
        ('hacs_i3d', 0.25),
    ],
)
def test_data_as_laid_out_in_the_comments(tmp_path, name, first_centre):
    for index, dataset in enumerate(datasets(lay_out(tmp_path, name))):
        (item,) = DATASETS.build(dict(dataset, data_root=str(tmp_path)))
        assert (
            item['inputs'].shape == (dataset.feat_dim, LENGTH) and (item['inputs'] == index).all()
        )
        start, end = item['data_samples'].metainfo['feature_span']
        if first_centre is None:
            assert (start, end) == (0, 60)
        else:
            assert start + (end - start) / LENGTH / 2 == pytest.approx(first_centre)


@pytest.mark.parametrize('name', PUBLIC_DATA)
def test_pretraining_windows_are_of_the_training_videos(tmp_path, name):
    lay_out(tmp_path, name)
    cfg = load(ROOT / f'configs/pretrain/sola_{name.replace("_", "-")}.py')
    dataset = cfg.train_dataloader.dataset
    if 'root' in dataset.features:
        dataset.features.root = str(tmp_path / 'training')
    else:
        dataset.features.data_root = str(tmp_path)
    windows = DATASETS.build(dataset)
    assert len(windows) == 1 and (windows[0]['inputs'] == 0).all()
    assert windows[0]['inputs'].shape == (cfg.model.neck.in_channels, cfg.model.window)
    assert cfg.get('test_dataloader') is None


def test_pretraining_is_the_authors():
    """The config, the hook's defaults and the paper's numbers are the same."""
    cfg = load(ROOT / 'configs/pretrain/sola_hacs-i3d.py')
    hook = pretraining_config(cfg.model.neck, cfg.train_dataloader.dataset.features, work_dir='x')
    assert cfg.optim_wrapper == hook.optim_wrapper and cfg.train_cfg == hook.train_cfg
    for key in ('batch_size', 'sampler', 'collate_fn'):
        assert cfg.train_dataloader[key] == hook.train_dataloader[key]
    assert MODELS.build(cfg.model).settings == MODELS.build(hook.model).settings
    assert (
        cfg.train_dataloader.batch_size,
        cfg.train_cfg.max_epochs,
        cfg.optim_wrapper.optimizer,
    ) == (256, 150, dict(type='AdamW', lr=1e-4, fused=True))
    assert MODELS.build(cfg.model).neck.settings == dict(
        type='SoLa',
        in_channels=2048,
        hidden_channels=512,
        kernel_sizes=(5, 1),
        dilations=(1, 1),
        standardize=False,
    )


def test_the_config_of_the_page_on_data_sets(tmp_path):
    """A head on other features, as docs/datasets.md writes it."""
    page = (ROOT / 'docs/datasets.md').read_text(encoding='utf-8')
    code = next(b.split('```')[0] for b in page.split('```python\n')[1:] if b[:6] == '_base_')
    code = code.replace("'../_base_", f"'{ROOT}/configs/_base_")
    (tmp_path / 'config.py').write_text(code)
    cfg = load(tmp_path / 'config.py')
    assert MODELS.build(cfg.model).feat_dim == cfg.train_dataloader.dataset.feat_dim == 2048


def test_thumos14_windows_and_names():
    for head, rows in (('bmn', 2), ('gtad', 4)):
        cfg = load(ROOT / f'configs/localization/{head}_thumos14.py')
        sampler = cfg.train_dataloader.sampler
        assert sampler.length == cfg.model.temporal_dim == rows * cfg.model.max_duration
        assert sampler.stride == cfg.model.windows.stride
    cfg = load(ROOT / 'configs/localization/actionformer_thumos14.py')
    assert (
        cfg.model.classes
        == cfg.train_dataloader.dataset.classes
        == cfg.test_dataloader.dataset.classes
    )
    assert len(cfg.model.classes) == 20 and cfg.model.classes == sorted(cfg.model.classes)


@pytest.mark.parametrize(
    ('way', 'learns', 'gate'),
    [('sola', True, 0), ('sola_finetune', True, 1), ('sola_paper', False, 1)],
)
@pytest.mark.parametrize('head', ['bmn', 'gtad', 'actionformer'])
def test_the_neck_that_is_trained_fits_and_is_taken_over_as_the_name_says(
    tmp_path, head, way, learns, gate
):
    """What configs/pretrain/sola_watch.py trains, and the localizers of the embedded data load."""
    neck = MODELS.build(load(ROOT / 'configs/pretrain/sola_watch.py').model).neck
    assert isinstance(neck, SoLa)
    torch.nn.init.ones_(neck.alpha)
    save_sola(tmp_path / 'work_dirs/sola_watch/sola.pth', neck)
    model = MODELS.build(load(ROOT / f'configs/localization/{head}_watch_{way}.py').model)
    model.init_weights()
    assert torch.equal(model.neck.conv_network[0].weight, neck.conv_network[0].weight)
    assert model.neck.alpha.item() == gate
    assert all(parameter.requires_grad == learns for parameter in model.neck.parameters())


def test_the_config_in_pure_python_says_what_that_in_text_says():
    python, text = (
        load(ROOT / 'configs' / name).to_dict()
        for name in ('examples/pure_python.py', 'localization/actionformer_watch.py')
    )
    assert python['model'].pop('neck') == dict(type='SoLa', hidden_channels=64)
    assert [hook['type'] for hook in python.pop('custom_hooks')] == [
        'SoLaPretrainHook',
        'ProgressBarHook',
    ]
    read = {key for key in text if not key.startswith('_')} - {'custom_hooks', 'data_root'}
    assert {key: python[key] for key in read} == {key: text[key] for key in read}
