"""Files that a user was sent run no code: each test's file would write ``written`` if it could."""

from __future__ import annotations

import json
import os
import pickle
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner

from sola_plugin.commands import load_localizer, train_localizer
from sola_plugin.commands.probing.methods import compare_methods
from sola_plugin.commands.testing import check_fits
from sola_plugin.commands.testing import test_localizer as run_test
from sola_plugin.commands.tsm_gallery import epoch_frames, tsm_figure
from sola_plugin.datasets.annotations.model import AnnotationError, load_annotations
from sola_plugin.datasets.features.open import describe_source, open_features, settle_time
from sola_plugin.datasets.features.safe_pickle import UnsafePickleError, load_object_npy
from sola_plugin.evaluation.classifiers import ScoreFile, StoredClassifier
from sola_plugin.necks import SoLa, build_sola, load_sola_weights, save_sola
from sola_plugin.studies.report import _head_config
from tests.conftest import (
    CHANNELS,
    ROOT,
    TINY_BMN,
    TINY_MATCHER,
    feature_dataset,
    localization_config,
)

NECK = dict(type='SoLa', hidden_channels=4)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """What the payloads write. The test fails if it is there in the end."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'hubconf.py').write_text('import pathlib\npathlib.Path("written").touch()\n')
    path = tmp_path / 'written'
    yield path
    assert not path.exists()


class Payload:
    """Pickles as a call that writes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def orders(path: Path) -> dict[str, dict]:
    """Configs that a registry would follow."""
    return {
        'dotted name': dict(type='subprocess.Popen', args=['touch', str(path)]),
        'function': dict(type='os.mkdir', path=str(path)),
        'hub': dict(type='torch.hub.load', repo_or_dir=str(path.parent), model='x', source='local'),
        'scope': dict(type='mmengine.ConvModule'),
        'no neck': dict(type='BMN', **{k: v for k, v in TINY_BMN.items() if k != 'type'}),
        'no name': dict(type=['os.mkdir']),
        'nothing': dict(in_channels=6),
        'initialisation': dict(
            type='SoLa', in_channels=6, init_cfg=dict(type='os.mkdir', path=str(path))
        ),
        'within': dict(
            type='SoLa', in_channels=6, kernel_sizes=[dict(type='os.mkdir', path=str(path))]
        ),
    }


def neck_file(path: Path, order: dict, in_metadata: bool = False) -> Path:
    """A file of a neck with a good state dict and a bad record."""
    neck = SoLa(CHANNELS, 4)
    save_sola(path, neck, dict(pretext=dict(k=16.0, step=2)))
    content = dict(torch.load(path), neck=order)
    if in_metadata:
        content['state_dict'], content['neck'] = neck.state_dict(), {}
        content['state_dict']._metadata['']['neck'] = order
    torch.save(content, path)
    return path


@pytest.mark.parametrize('in_metadata', [False, True], ids=['record', 'metadata'])
@pytest.mark.parametrize('order', orders(Path('x')))
class TestNeckFile:
    """``sola.pth``, and the record in the checkpoint of a model."""

    @pytest.fixture
    def path(self, tmp_path, written, order, in_metadata) -> Path:
        return neck_file(tmp_path / 'sola.pth', orders(written)[order], in_metadata)

    def test_build_sola(self, path):
        with pytest.raises(ValueError, match=r'sola.pth: (expected a neck|SoLa takes no|kernel_)'):
            build_sola(path)

    def test_plot_tsm(self, path, tmp_path):
        meta = dict(video_name='v', feature_span=(0, 1), annotations=[])
        with pytest.raises(ValueError, match='sola.pth'):
            tsm_figure(torch.zeros(CHANNELS, 9), meta, dict(SoLa=path))
        state = {f'neck.{key}': v for key, v in SoLa(CHANNELS, 4).state_dict().items()}
        torch.save(dict(state_dict=state), tmp_path / 'epoch_1.pth')
        with pytest.raises(ValueError, match='epoch_1.pth: (expected a neck|SoLa takes|kernel_)'):
            list(epoch_frames(torch.zeros(CHANNELS, 9), meta, tmp_path))

    def test_linear_probe(self, path):
        with pytest.raises(ValueError, match='sola.pth'):
            compare_methods({}, {}, [str(path)])

    def test_loading_into_a_neck(self, path):
        neck = SoLa(CHANNELS, 4, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
        for load in (neck.init_weights, lambda: load_sola_weights(neck, path)):
            with pytest.raises(ValueError, match='.'):
                load()


@pytest.mark.parametrize('tool', ['plot_tsm.py', 'linear_probe.py'])
def test_tools_end_in_one_line(data_root, tmp_path, written, monkeypatch, tool):
    path = neck_file(tmp_path / 'sola.pth', orders(written)['dotted name'])
    Config(localization_config(data_root, tmp_path / 'work')).dump(tmp_path / 'head.py')
    monkeypatch.setattr(sys, 'argv', [tool, str(tmp_path / 'head.py'), '--sola', str(path)])
    with pytest.raises(SystemExit, match='^error: .*sola.pth: expected a neck of type .*Popen'):
        runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')


def test_a_neck_that_the_hook_finds(data_root, tmp_path, written):
    cfg = Config(localization_config(data_root, tmp_path / 'work'))
    cfg.model.neck = dict(NECK)
    cfg.custom_hooks = [dict(type='SoLaPretrainHook', pretext=TINY_MATCHER)]
    (tmp_path / 'work/sola').mkdir(parents=True)
    neck_file(tmp_path / 'work/sola/sola.pth', orders(written)['dotted name'])
    with pytest.raises(ValueError, match="type='subprocess.Popen', now 'SoLa'"):
        train_localizer(cfg)


def test_pickled_checkpoints(data_root, tmp_path, written):
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict={}, meta=dict(cfg=Payload(written))), path)
    cfg = Config(localization_config(data_root, tmp_path / 'work'))
    for read in (
        build_sola,
        lambda path: check_fits(MODELS.build(TINY_BMN), path),
        lambda path: load_localizer(cfg, path),
        lambda path: run_test(cfg, path),
    ):
        with pytest.raises(ValueError, match='cannot read the .*epoch_1.pth'):
            read(path)


class TestResume:
    """What mmengine would do with more than the weights."""

    @pytest.fixture
    def cfg(self, data_root, tmp_path) -> Config:
        cfg = Config(localization_config(data_root, tmp_path / 'work'))
        cfg.train_cfg.max_epochs = 1
        return cfg

    def tampered(self, cfg: Config, meta: dict, info: dict) -> Config:
        """A config that resumes a checkpoint with more in it."""
        train_localizer(Config(cfg.to_dict()))
        path = Path(cfg.work_dir) / 'epoch_1.pth'
        content = torch.load(path)
        content['meta'].update(meta)
        content['message_hub']['runtime_info'].update(info)
        content['message_hub']['resumed_keys'].update(dict.fromkeys(info, True))
        torch.save(content, path)
        cfg.resume, cfg.train_cfg.max_epochs = True, 2
        return cfg

    def test_a_config_in_a_checkpoint(self, cfg, written):
        program = f'open({str(written)!r}, "w")'
        cfg = self.tampered(cfg, dict(config=program, cfg=program), {})
        assert train_localizer(cfg).epoch == 2

    def test_files_that_a_checkpoint_names_stay(self, cfg, tmp_path, written):
        kept = tmp_path / 'kept'
        (kept / 'epoch_x').mkdir(parents=True)
        (kept / 'mine.pth').touch()
        cfg.val_dataloader, cfg.val_cfg = cfg.test_dataloader, dict()
        cfg.val_evaluator = cfg.test_evaluator
        cfg.default_hooks.checkpoint = dict(
            type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='auto', rule='greater'
        )
        info = dict(best_ckpt=str(kept), best_score=-1.0, keep_ckpt_ids=['x/../../kept/mine', 1])
        cfg = self.tampered(cfg, {}, info)
        (tmp_path / 'work/epoch_x').mkdir()
        runner = train_localizer(cfg)
        assert (kept / 'mine.pth').exists() and kept.is_dir()
        assert Path(runner.message_hub.get_info('best_ckpt')).name.startswith('best_')

    def test_an_untouched_run_keeps_its_best_checkpoint(self, cfg):
        cfg.val_dataloader, cfg.val_cfg = cfg.test_dataloader, dict()
        cfg.val_evaluator = cfg.test_evaluator
        cfg.default_hooks.checkpoint = dict(
            type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='auto', rule='greater'
        )
        best = Runner.from_cfg(self.tampered(cfg, {}, {}))
        best.resume(str(Path(cfg.work_dir) / 'epoch_1.pth'))
        info = best.message_hub.runtime_info
        assert Path(info['best_ckpt']).is_file() and info['keep_ckpt_ids'] == [1]


@pytest.mark.parametrize('suffix', ['.pkl', '.pickle', '.pt', '.pth', '.npy', '.npz'])
def test_feature_files(tmp_path, written, suffix):
    folder = tmp_path / 'features'
    folder.mkdir()
    path, payload = folder / f'v_0{suffix}', Payload(written)
    if suffix in ('.pkl', '.pickle'):
        path.write_bytes(pickle.dumps(payload))
    elif suffix in ('.pt', '.pth'):
        torch.save(payload, path)
    else:
        save = np.save if suffix == '.npy' else np.savez
        save(path, np.array([payload], dtype=object))
    with pytest.raises(ValueError, match='v_0'):
        open_features(dict(root=str(folder), suffix=suffix)).load('v_0')
    with pytest.raises(ValueError, match='v_0'):  # as the one file of all videos
        open_features(path, layout='TC', feat_dim=1).load('arr_0')


def test_records_of_features(tmp_path, written):
    order = orders(written)['dotted name']
    np.save(tmp_path / 'v_0.npy', np.zeros((5, 3), np.float32))
    content = dict(feature_stride=order, feature_offset=order, encoder='hubconf:x', videos=order)
    (tmp_path / 'features.json').write_text(json.dumps(content))
    assert describe_source(str(tmp_path))['encoder'] == 'hubconf:x'
    assert settle_time(str(tmp_path), None, None) == (None, 0.0)
    assert open_features(dict(root=str(tmp_path), layout='TC')).ids() == ['v_0']
    packed = dict(
        version=1, dtype=order, channels=3, ids=['v'], lengths=[1], crc32=[0], stamps=[[]]
    )
    (tmp_path / 'packed_features.json').write_text(json.dumps(packed))
    with pytest.raises(ValueError, match='expected a dtype of float32, float16'):
        open_features(str(tmp_path))


def test_annotations(tmp_path, written):
    order = orders(written)['dotted name']
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(dict(database=dict(v=dict(duration=order, annotations=[order])))))
    with pytest.raises(AnnotationError):
        load_annotations(path)


def test_classifiers(tmp_path, written):
    np.savez(tmp_path / 'classifier.npz', classes=np.array([Payload(written)], dtype=object))
    with pytest.raises(ValueError, match='cannot read the classifier'):
        StoredClassifier(tmp_path / 'classifier.npz')
    (tmp_path / 'scores.pkl').write_bytes(pickle.dumps(Payload(written)))
    with pytest.raises(ValueError, match='scores.pkl: not a JSON file'):
        ScoreFile(tmp_path / 'scores.pkl')
    (tmp_path / 'scores.json').write_text(json.dumps(dict(v=orders(written)['dotted name'])))
    with pytest.raises(ValueError, match='expected {label: finite score}'):
        ScoreFile(tmp_path / 'scores.json')


def test_arrays_of_objects(tmp_path, written):
    np.save(tmp_path / 'watch.npy', np.array([Payload(written)], dtype=object))
    with pytest.raises(UnsafePickleError, match='refused to unpickle'):
        load_object_npy(tmp_path / 'watch.npy')


def test_the_folder_of_a_study(tmp_path, written):
    """The report takes the config from the study that the user named."""
    (tmp_path / 'head-x/run').mkdir(parents=True)
    (tmp_path / 'head-x/run/config.py').write_text(f'open({str(written)!r}, "w")')
    config = Config(dict(test_dataloader=dict(dataset=feature_dataset(tmp_path))))
    stage = SimpleNamespace(folder=tmp_path / 'head-x', config=config)
    outcome = SimpleNamespace(stages=[stage])
    assert _head_config(dict(row=SimpleNamespace(outcomes=[outcome]))) is config


def test_the_table_names_tests_that_exist():
    page = (ROOT / 'docs/security.md').read_text(encoding='utf-8')
    rows = [line for line in page.splitlines() if line.startswith('| ') and '---' not in line]
    named = re.findall(r'`(tests/[\w/]+\.py)::(\w+)`', page)
    assert len(named) >= len(rows) - 2 > 8
    for file, name in named:
        text = (ROOT / file).read_text(encoding='utf-8')
        assert re.search(rf'^\s*(def|class) {name}\b', text, re.MULTILINE), f'{file}::{name}'


def test_the_payloads_work(tmp_path):
    """Unhindered, each of the kinds writes its file: the tests above would see it."""
    pickle.loads(pickle.dumps(Payload(tmp_path / 'a'))).close()
    MODELS.build(dict(type='os.mkdir', path=str(tmp_path / 'b')))
    assert os.listdir(tmp_path) and (tmp_path / 'a').exists() and (tmp_path / 'b').exists()
