"""Fixtures: a tiny data set on disk and the configs of a tiny BMN."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

import sola_plugin  # noqa: F401  (mends the stack and registers the classes)
from tests.annotation_sets import write_set
from tests.processes import ROOT
from tests.reference import MADE_SETS, PUBLIC_SETS, reference_file

# Figures are compared, also of other processes: on a GPU not with the ten bits of TF32, nor of
# convolutions that are added up in another order each time.
os.environ.setdefault('NVIDIA_TF32_OVERRIDE', '0')
os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # asked once in a process
torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.deterministic = True

CHANNELS = 16
STRIDE = 0.5

TINY_BMN = dict(
    type='BMN',
    temporal_dim=20,
    boundary_ratio=0.5,
    num_samples=4,
    num_samples_per_bin=3,
    feat_dim=CHANNELS,
    hidden_dim_1d=8,
    hidden_dim_2d=4,
    hidden_dim_3d=8,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.5,
    soft_nms_high_threshold=0.9,
    post_process_top_k=20,
)

TINY_MATCHER = dict(window=9, start=2, step=2, num_positions=3, predictor_channels=8)


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny tensors are slower on several threads, and sums depend on their number."""
    torch.set_num_threads(1)


@contextlib.contextmanager
def hidden_gpu() -> Iterator[None]:
    """As on a machine without a GPU, in this process and in those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('CUDA_VISIBLE_DEVICES', '')
        patch.setattr(torch.cuda, 'is_available', lambda: False)
        patch.setattr('mmengine.device.utils.DEVICE', 'cpu')
        yield


@pytest.fixture
def on_cpu() -> Iterator[None]:
    """For what is compared to the bit, is forked, or has more ranks than there are GPUs."""
    with hidden_gpu():
        yield


@pytest.fixture(autouse=True, scope='module')
def _module_on_cpu(request) -> Iterator[None]:
    """The same for a whole module that says ``ON_CPU = True``."""
    with hidden_gpu() if getattr(request.module, 'ON_CPU', False) else contextlib.nullcontext():
        yield


@pytest.fixture
def run_script(monkeypatch, capsys) -> Callable[..., subprocess.CompletedProcess]:
    """Function that runs a script of the project in this process, as its command line would.

    ``run_script('tools/evaluate.py', *arguments)`` returns exit code, output and error output; an
    exception, which would be a traceback there, is raised here. A process of its own takes seconds
    to import torch and mmaction2: it is for what only a process can show.
    """

    def run(script: str, *arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
        command, code = [script, *map(str, arguments)], 0
        with monkeypatch.context() as patch:
            patch.setattr(sys, 'argv', command)
            patch.setattr(sys, 'path', [str((ROOT / script).parent), *sys.path])
            patch.chdir(cwd)
            capsys.readouterr()
            try:
                runpy.run_path(str(ROOT / script), run_name='__main__')
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
                if isinstance(stop.code, str):
                    print(stop.code, file=sys.stderr)
        return subprocess.CompletedProcess(command, code, *capsys.readouterr())

    return run


@pytest.fixture(autouse=True, scope='session')
def _garbage_waits():
    """mmengine collects garbage for each data set, 0.1 to 0.3 s of it over all that is imported."""
    with mock.patch('mmengine.dataset.base_dataset.gc', mock.Mock(collect=lambda: 0)):
        gc.collect()
        gc.freeze()
        yield
        gc.unfreeze()


@pytest.fixture(autouse=True, scope='session')
def _written_is_written():
    """Only a power failure tells a file on the disk from one in memory, and nobody waits for it."""
    with mock.patch('os.fsync', lambda descriptor: None):
        yield


@pytest.fixture(autouse=True, scope='session')
def _no_figures():
    """mmengine makes a figure for each run, which takes longer than tiny runs; nobody draws."""
    with mock.patch(
        'mmengine.visualization.Visualizer._initialize_fig', lambda *_: [mock.Mock()] * 3
    ):
        yield


@pytest.fixture(autouse=True, scope='session')
def _unformatted_configs():
    """mmengine formats the text of each config for its log, which takes longer than tiny runs."""
    with mock.patch('mmengine.config.config.FormatCode', lambda text, **_: (text, True)):
        yield


def pytest_terminal_summary(terminalreporter, config) -> None:
    """Say where tests are that were asked for and did not run."""
    left_out = terminalreporter.stats.get('deselected', [])
    slow = sum(item.get_closest_marker('slow') is not None for item in left_out)
    if slow and config.option.markexpr == 'not slow':
        terminalreporter.write_line(f'{slow} slow tests are left out: `make test-slow`, or -m slow')


@pytest.fixture(params=['cpu', 'cuda'])
def device(request) -> torch.device:
    """Each device that there is."""
    if request.param == 'cuda' and not torch.cuda.is_available():
        pytest.skip('no CUDA device: torch.cuda.is_available() is false')
    return torch.device(request.param)


@pytest.fixture(scope='session')
def reference_sola() -> dict[str, np.ndarray]:
    """Inputs, weights and results of the authors' SoLa code."""
    with np.load(ROOT / 'tests/data/sola_official.npz') as file:
        return dict(file)


@pytest.fixture(scope='session')
def annotation_file(tmp_path_factory) -> Callable[[str], Path]:
    """Function of a name of ``tests.reference.ALL_SETS`` that returns the annotation file.

    Made sets are written once; a test of a public one is skipped where the file is missing.
    """
    folder = tmp_path_factory.mktemp('annotation_sets')
    made = {name: write_set(folder / f'{name}.json.gz', make()) for name, make in MADE_SETS.items()}
    return lambda name: made[name] if name in made else reference_file(PUBLIC_SETS[name])


def make_dataset(root: Path, num_videos: int = 6, seed: int = 0) -> Path:
    """Write feature files ``(T, C)`` of 20 to 40 snippets and an ActivityNet-style annotation file.

    An action raises some channels, so that there is something to learn.
    """
    rng = np.random.default_rng(seed)
    (root / 'features').mkdir(parents=True)
    database = {}
    for index in range(num_videos):
        length = int(rng.integers(20, 41))
        features = rng.normal(size=(length, CHANNELS)).astype(np.float32)
        annotations = []
        for label, first in (('jump', 2), ('run', length // 2)):
            last = first + int(rng.integers(4, 8))
            features[first:last, : 4 if label == 'jump' else 8] += 3
            annotations.append(dict(segment=[first * STRIDE, last * STRIDE], label=label))
        name = f'v_{index:02d}'
        np.save(root / 'features' / f'{name}.npy', features)
        database[name] = dict(
            duration=length * STRIDE,
            annotations=annotations,
            subset='training' if index < num_videos - 2 else 'validation',
        )
    (root / 'annotations.json').write_text(json.dumps(dict(database=database)))
    return root


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """Root of a tiny data set."""
    return make_dataset(tmp_path / 'data')


def feature_dataset(root: Path, **options) -> dict:
    """Config of the tiny data set."""
    return dict(
        type='TALFeatureDataset',
        data_root=str(root),
        ann_file='annotations.json',
        data_prefix=dict(features='features'),
        layout='TC',
        feature_stride=STRIDE,
        **options,
    )


def localization_config(root: Path, work_dir: Path, **options) -> dict:
    """Runner config of a tiny BMN on the tiny data set: two epochs of two iterations."""
    train, test = (
        dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=shuffle),
            dataset=feature_dataset(root, subset=subset, test_mode=not shuffle),
        )
        for subset, shuffle in (('training', True), ('validation', False))
    )
    return dict(
        default_scope='mmaction',
        custom_imports=dict(imports=['sola_plugin'], allow_failed_imports=False),
        model=dict(TINY_BMN),
        train_dataloader=train,
        test_dataloader=test,
        test_cfg=dict(),
        test_evaluator=dict(type='TALMetric', tiou_thresholds='thumos14'),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        randomness=dict(seed=0),
        work_dir=str(work_dir),
        **options,
    )
