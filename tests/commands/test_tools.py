"""Train and test through the tools' functions and the tools themselves."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from sola_plugin.commands import train_localizer
from sola_plugin.commands.testing import check_fits
from sola_plugin.commands.testing import test_localizer as run_test
from sola_plugin.evaluation.detection_files import read_detections
from sola_plugin.heads import BMN
from tests.conftest import CHANNELS, TINY_BMN, TINY_MATCHER, localization_config, make_dataset

NECK = dict(type='SoLa', hidden_channels=4)


def config(root: Path, work_dir: Path, **model) -> Config:
    cfg = Config(localization_config(root, work_dir))
    cfg.model.update(model)
    return cfg


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """Data, and the work dir of a trained BMN with SoLa."""
    folder = tmp_path_factory.mktemp('trained')
    root = make_dataset(folder / 'data')
    train_localizer(config(root, folder / 'work', neck=NECK))
    return root, folder / 'work'


def test_figures_and_files(trained, tmp_path):
    root, work = trained
    metrics = run_test(
        config(root, tmp_path, neck=NECK), work / 'epoch_2.pth', dump=str(tmp_path / 'raw.pkl')
    )
    assert next(iter(metrics)) == 'TAL/mAP'
    assert {'TAL/mAP@0.3', 'TAL/mAP@0.7', 'TAL/AR@1', 'TAL/AR@100', 'TAL/auc'} <= set(metrics)
    written = json.loads((tmp_path / 'metrics.json').read_text())
    assert written['mAP']['average'] == metrics['TAL/mAP']
    assert written['mAP']['per_tiou']['0.5'] == metrics['TAL/mAP@0.5']
    assert (
        written['AR']['AR@10'] == metrics['TAL/AR@10']
        and written['AR']['auc'] == metrics['TAL/auc']
    )
    detections = read_detections(tmp_path / 'detections.json')
    assert set(detections) == {'v_04', 'v_05'}  # whole ids
    assert {d['label'] for video in detections.values() for d in video} == {'jump', 'run'}
    assert pickle.loads((tmp_path / 'raw.pkl').read_bytes())[0]['video_name'] == 'v_04'


@pytest.mark.parametrize('batch_size', [1, 3])
def test_batch_size_does_not_matter(trained, tmp_path, batch_size):
    root, work = trained
    results = []
    for size in (2, batch_size):
        cfg = config(root, tmp_path / str(size), neck=NECK)
        cfg.test_dataloader.batch_size = size
        run_test(cfg, work / 'epoch_2.pth')
        results.append(read_detections(tmp_path / str(size) / 'detections.json'))
    for name, expected in results[0].items():
        assert len(results[1][name]) == len(expected)
        for a, b in zip(results[1][name], expected):
            assert a['label'] == b['label'] and a['score'] == pytest.approx(b['score'], abs=1e-5)
            assert a['segment'] == pytest.approx(b['segment'], abs=1e-4)


def test_score_file(trained, tmp_path):
    root, work = trained
    scores = tmp_path / 'scores.json'
    scores.write_text(json.dumps({name: dict(jump=0.75, run=0.25) for name in ('v_04', 'v_05')}))
    run_test(config(root, tmp_path, neck=NECK), work / 'epoch_2.pth', scores=str(scores))
    video = read_detections(tmp_path / 'detections.json')['v_04']
    by_label = {
        label: [d['score'] for d in video if d['label'] == label] for label in ('jump', 'run')
    }
    np.testing.assert_allclose(by_label['jump'], 3 * np.array(by_label['run']))


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        (
            dict(neck=dict(NECK, hidden_channels=8)),
            r'neck: hidden_channels=4, now 8',
        ),
        (dict(), 'neck.alpha: not expected'),
        (dict(neck=NECK, similarity_matching=TINY_MATCHER), 'predictor.0.weight: missing'),
    ],
)
def test_checkpoint_that_does_not_fit(trained, tmp_path, model, message):
    root, work = trained
    with pytest.raises(ValueError, match=f'does not fit the model of the config: .*{message}'):
        run_test(config(root, tmp_path, **model), work / 'epoch_2.pth')
    assert not (tmp_path / 'metrics.json').exists()


def test_missing_and_torn_checkpoint(trained, tmp_path):
    model = BMN(**{k: v for k, v in TINY_BMN.items() if k != 'type'})
    with pytest.raises(FileNotFoundError, match='nowhere.pth does not exist'):
        check_fits(model, tmp_path / 'nowhere.pth')
    torn = tmp_path / 'torn.pth'
    torn.write_bytes((trained[1] / 'epoch_2.pth').read_bytes()[:2000])
    with pytest.raises(ValueError, match='cannot read the checkpoint .*torn.pth'):
        check_fits(model, torn)


def test_dump_needs_a_pickle_name(trained, tmp_path):
    with pytest.raises(ValueError, match='--dump expects a .pkl file, got raw.json'):
        run_test(config(*trained, neck=NECK), 'x.pth', dump='raw.json')


def test_resume_goes_on(trained, tmp_path):
    root, _ = trained
    cfg = config(root, tmp_path, neck=NECK)
    cfg.train_cfg.max_epochs = 1
    train_localizer(cfg)
    again = config(root, tmp_path, neck=NECK)
    again.resume = True
    runner = train_localizer(again)
    assert runner.epoch == 2 and runner.iter == 4
    assert 'resumed epoch: 1' in (Path(runner.log_dir) / f'{runner.timestamp}.log').read_text()


@pytest.mark.parametrize(
    ('name', 'model', 'hooks', 'moves'),
    [
        ('unified', dict(neck=NECK), [], True),
        ('joint', dict(neck=NECK, similarity_matching=TINY_MATCHER), [], True),
        ('separate', dict(neck=NECK), [dict(freeze=True)], False),
        ('finetune', dict(neck=NECK), [dict(freeze=False)], True),
    ],
)
def test_four_ways_of_training(trained, tmp_path, name, model, hooks, moves):
    root, _ = trained
    cfg = config(root, tmp_path, **model)
    cfg.custom_hooks = [
        dict(type='SoLaPretrainHook', pretext=TINY_MATCHER, batch_size=4, max_epochs=1, **hook)
        for hook in hooks
    ]
    neck = train_localizer(cfg).model.neck
    start = torch.zeros(1)
    if hooks:
        start = torch.load(tmp_path / 'sola/sola.pth')['state_dict']['alpha']
        assert start != 0
    assert (neck.alpha.detach().cpu() != start).item() == moves


def test_validation_picks_the_best_by_map(trained, tmp_path):
    cfg = config(trained[0], tmp_path, neck=NECK)
    cfg.val_dataloader, cfg.val_cfg = cfg.test_dataloader, dict()
    cfg.val_evaluator = dict(
        cfg.test_evaluator,
        classifier=dict(type='LinearClassifier', dataset=cfg.train_dataloader.dataset),
    )
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', save_best='auto')
    runner = train_localizer(cfg)
    (best,) = tmp_path.glob('best_TAL_mAP_epoch_*.pth')
    check_fits(runner.model, best)


@pytest.fixture
def run_tool(run_script):
    """Function of a tool and its arguments, which must succeed; returns what is printed."""

    def run(tool: str, *arguments: object) -> str:
        done = run_script(tool, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def stock_config(tmp_path) -> Path:
    """A stock mmaction2 config with SoLa added, on CSV features in mmaction2's own formats."""
    rng, annotations = np.random.default_rng(0), {}
    (tmp_path / 'csv').mkdir()
    for index in range(3):
        name = f'v_{index}'
        header = ','.join(f'f{c}' for c in range(400))
        np.savetxt(
            tmp_path / f'csv/{name}.csv',
            rng.normal(size=(100, 400)),
            '%.3f',
            ',',
            header=header,
            comments='',
        )
        annotations[name] = dict(
            duration_second=50.0,
            duration_frame=1500,
            feature_frame=1488,
            fps=30.0,
            rfps=30.0,
            annotations=[
                dict(segment=[5.0 + index, 20.0], label='jump'),
                dict(segment=[25.0, 45.0], label='run'),
            ],
        )
    (tmp_path / 'annotations.json').write_text(json.dumps(annotations))
    loader = (
        f'dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict('
        f"ann_file='{tmp_path}/annotations.json', data_prefix=dict(video='{tmp_path}/csv')))"
    )
    (tmp_path / 'config.py').write_text(f"""
_base_ = 'mmaction::localization/bmn/bmn_2xb8-400x100-9e_activitynet-feature.py'
custom_imports = dict(imports=['sola_plugin'], allow_failed_imports=False)
model = dict(
    neck=dict(type='SoLa'), num_samples=4, hidden_dim_1d=8, hidden_dim_2d=4, hidden_dim_3d=8)
train_dataloader = {loader}
val_dataloader = {loader}
test_dataloader = {loader}
train_cfg = dict(max_epochs=2)
env_cfg = dict(dist_cfg=dict(backend='gloo'))
work_dir = '{tmp_path}/work'
test_evaluator = dict(dump_config=dict(out='{tmp_path}/work/results.json'))
val_evaluator = test_evaluator
""")
    return tmp_path / 'config.py'


def test_stock_config_with_sola_trains_saves_resumes_and_tests(run_tool, stock_config, tmp_path):
    """The literal use: ``_base_`` of mmaction2, ``custom_imports``, ``neck=dict(type='SoLa')``."""
    run_tool('tools/train.py', stock_config, '--cfg-options', 'train_cfg.max_epochs=1', '--seed', 0)
    state = torch.load(tmp_path / 'work/epoch_1.pth')['state_dict']
    assert state['neck.conv_network.0.weight'].shape == (512, 400, 5) and state['neck.alpha'] != 0
    log = run_tool('tools/train.py', stock_config, '--resume', '--seed', 0)
    assert 'resumed epoch: 1' in log and (tmp_path / 'work/epoch_2.pth').is_file()
    shown = run_tool('tools/test.py', stock_config, tmp_path / 'work/epoch_2.pth')
    assert 'TAL/mAP@0.95' in shown and 'TAL/AR@100' in shown
    detections = read_detections(tmp_path / 'work/detections.json')
    assert set(detections) == {'v_0', 'v_1', 'v_2'}  # mmaction2 would write '0', '1', '2'
    assert {d['label'] for video in detections.values() for d in video} == {'jump', 'run'}


def test_hook_on_stock_features(run_tool, stock_config, tmp_path):
    """Windows from mmaction2's own dataset class and CSV files."""
    (tmp_path / 'hook.py').write_text(
        "_base_ = 'config.py'\n"
        "custom_hooks = [dict(type='SoLaPretrainHook', max_epochs=1, batch_size=2)]\n"
    )
    run_tool('tools/train.py', tmp_path / 'hook.py', '--no-validate')
    assert torch.load(tmp_path / 'work/sola/sola.pth')['neck']['in_channels'] == 400


def test_wrong_features_name_the_video(trained, tmp_path):
    cfg = config(trained[0], tmp_path, feat_dim=CHANNELS * 2)
    with pytest.raises(
        ValueError, match=r"features of 'v_0\d' are \(16, \d+\), the localizer expects"
    ):
        train_localizer(cfg)


@pytest.mark.parametrize(
    ('name', 'arguments', 'change', 'message'),
    [
        ('train', [], dict(subset='trainin'), "expected one of the subsets 'training' (4 videos)"),
        ('test', ['no.pth'], {}, 'checkpoint no.pth does not exist'),
    ],
)
def test_faults_of_the_data_end_without_a_traceback(
    run_script, trained, tmp_path, name, arguments, change, message
):
    cfg = config(trained[0], tmp_path / 'work')
    cfg.train_dataloader.dataset.update(change)
    cfg.dump(tmp_path / 'config.py')
    result = run_script(f'tools/{name}.py', tmp_path / 'config.py', *arguments, cwd=tmp_path)
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 1 and last.startswith('error: ') and message in last
    assert 'Traceback' not in result.stderr
