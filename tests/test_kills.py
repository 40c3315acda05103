"""SIGKILL when a seed says: the same command goes on, and ends as if nothing had been."""

from __future__ import annotations

import csv
import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest
import torch
from mmengine.config import Config

from sola_plugin.datasets.features.packing import verify_packed
from sola_plugin.necks import SoLa, save_sola
from tests.conftest import CHANNELS, localization_config, make_dataset
from tests.killed_tools import Course, draw_moment, run_killed, run_whole
from tests.make_videos import write_video
from tests.pretraining.test_pretraining import tiny_pretraining

#: Processes are forked, and what they write is compared to the bit.
ON_CPU = True

pytestmark = pytest.mark.slow

IMPORTS = dict(imports=['sola_plugin'], allow_failed_imports=False)

ENCODER = """
class Brightness:
    def __call__(self, snippets):
        return snippets[..., 0].flatten(1).float().mean(1, keepdim=True)
"""


class Job(NamedTuple):
    """A command, and what is compared of what it writes."""

    command: Callable[[Path], list[object]]
    result: Callable[[Path], dict]


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    """Features, annotations, videos, a neck, an encoder, and configs."""
    folder = tmp_path_factory.mktemp('kills')
    root = make_dataset(folder / 'data', num_videos=12)
    cfg = Config(localization_config(root, folder / 'unused'))
    cfg.train_cfg.update(max_epochs=6, val_interval=2)
    cfg.val_dataloader, cfg.val_evaluator = cfg.test_dataloader, cfg.test_evaluator
    cfg.val_cfg = dict()
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=2, save_best='auto', rule='greater'
    )
    cfg.train_dataloader.update(num_workers=1)
    cfg.dump(folder / 'train.py')
    pretraining = tiny_pretraining(root, folder / 'unused')
    pretraining.custom_imports = IMPORTS
    pretraining.train_cfg.max_epochs = 6
    pretraining.dump(folder / 'pretrain.py')
    head = localization_config(root, folder / 'unused')
    neck = dict(type='SoLa', in_channels=CHANNELS, hidden_channels=4, kernel_sizes=(3, 1))
    head['model']['neck'] = dict(neck, init_cfg=dict(type='Pretrained', checkpoint=None))
    Config(head).dump(folder / 'head.py')
    (folder / 'study.py').write_text("head = 'head.py'\npretrain = 'pretrain.py'\nseeds = 1\n")
    save_sola(folder / 'sola.pth', SoLa(CHANNELS, 4))
    (folder / 'brightness_of_kills.py').write_text(ENCODER)
    (folder / 'videos').mkdir()
    for index in range(8):
        write_video(folder / f'videos/v_{index}.mp4', [50 + 10 * index] * 40, fps=10)
    return folder


def files(root: Path) -> dict[str, bytes]:
    """All files but those that mean nothing when they stay behind: journals, and released locks."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file() and not path.name.endswith(('.journal', '.lock'))
    }


def plain(value):
    """Tensors as lists, so that results can be compared."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def of_pretraining(out: Path) -> dict:
    content = torch.load(out / 'sola.pth')
    return plain(dict(state=content['state_dict'], losses=content['meta']['losses']))


def of_training(out: Path) -> dict:
    state = torch.load(out / 'epoch_6.pth')
    best = {path.name: plain(torch.load(path)['state_dict']) for path in out.glob('best*.pth')}
    assert sorted(path.name for path in out.glob('epoch*.pth')) == ['epoch_5.pth', 'epoch_6.pth']
    return dict(state=plain(state['state_dict']), best=best)


def of_archive(out: Path) -> dict:
    (path,) = out.glob('*.h5')
    with h5py.File(path) as file:
        return {name: file[name][()].tolist() for name in file}


def of_packed(out: Path) -> dict:
    """The times of the files that were packed are another matter."""
    index = dataclasses.asdict(verify_packed(out / 'packed'))
    del index['stamps']
    return {**files(out), 'packed/packed_features.json': index}


def of_features(out: Path) -> dict:
    for path in out.rglob('*.npy'):
        assert np.isfinite(np.load(path)).all()
    return files(out)


def of_study(out: Path) -> dict:
    with open(out / 'results.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert rows
    return dict(rows=[{k: v for k, v in row.items() if 'seconds' not in k} for row in rows])


def jobs(data: Path) -> dict[str, Job]:
    features = data / 'data/features'
    layout = ('--layout', 'TC')
    transform = ('transform_features', data / 'sola.pth', features)
    return dict(
        pretraining=Job(
            lambda out: ['pretrain_sola', data / 'pretrain.py', '--work-dir', out, '--resume'],
            of_pretraining,
        ),
        training=Job(
            lambda out: ['train', data / 'train.py', '--work-dir', out, '--resume'], of_training
        ),
        packing=Job(lambda out: ['pack_features', features, out / 'packed', *layout], of_packed),
        extraction=Job(
            lambda out: [
                *('extract_features', data / 'videos', out / 'features', '--length', 4),
                *('--encoder', 'brightness_of_kills:Brightness'),
            ],
            of_features,
        ),
        folder=Job(lambda out: [*transform, out / 'features', *layout], of_features),
        archive=Job(lambda out: [*transform, out / 'all.h5', *layout], of_archive),
        packed=Job(
            lambda out: [*transform, out / 'packed', '--format', 'packed', *layout], of_packed
        ),
        study=Job(
            lambda out: ['ablate', data / 'study.py', '--work-dir', out, '--seeds', 0], of_study
        ),
    )


NAMES = tuple(jobs(Path()))


@pytest.fixture(scope='module')
def undisturbed(data, tmp_path_factory) -> Callable[[str], tuple[Course, dict]]:
    """Function of a job's name: how it goes, and its result."""
    known: dict[str, tuple[Course, dict]] = {}

    def run(name: str) -> tuple[Course, dict]:
        if name not in known:
            out = tmp_path_factory.mktemp('whole') / name
            out.mkdir()
            job = jobs(data)[name]
            course = run_whole(out, job.command(out))
            known[name] = course, job.result(out)
        return known[name]

    return run


@pytest.mark.parametrize(
    ('name', 'kind', 'seed'),
    [
        (name, kind, seed)
        for name in NAMES
        for kind in ('seconds', 'change', 'bytes')
        for seed in range(1 if name == 'study' else 2)
    ],
)
def test_killed_again_and_again(data, undisturbed, tmp_path, monkeypatch, name, kind, seed):
    monkeypatch.syspath_prepend(data)
    course, expected = undisturbed(name)
    out = tmp_path / name
    out.mkdir()
    job, rng = jobs(data)[name], random.Random(f'{name} {kind} {seed}')
    moments = [draw_moment(rng, kind, course) for _ in range(1 if name == 'study' else 3)]
    killed = [run_killed(out, job.command(out), moment) for moment in moments]
    run_whole(out, job.command(out))
    where = ', '.join(f'{moment} ({done})' for moment, done in zip(moments, killed))
    assert job.result(out) == expected, where
    left = [path for path in out.rglob('*') if path.suffix in ('.tmp', '.partial', '.parts')]
    assert not left, f'{where}: {left}'
