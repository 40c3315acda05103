"""Several ranks do what one does, write once, and end together, whoever fails."""

from __future__ import annotations

import functools
import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, Hook

from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.datasets.tal_dataset import TALFeatureDataset
from sola_plugin.datasets.windows import SoLaWindowDataset
from sola_plugin.evaluation.tal_metric import TALMetric
from sola_plugin.heads import ActionFormer
from sola_plugin.necks import read_sola
from sola_plugin.pretraining.run import pretraining_config
from sola_plugin.pretraining.tasks import SimilarityMatcher
from tests.conftest import (
    CHANNELS,
    ROOT,
    TINY_MATCHER,
    hidden_gpu,
    localization_config,
    make_dataset,
)
from tests.make_videos import write_video
from tests.processes import environment, reserved_port
from tests.ranks import Rank, run_ranks
from tests.slow import slow_but

ON_CPU = True
CLASSES = ('jump', 'run')
NECK = dict(type='SoLa', in_channels=CHANNELS, hidden_channels=8)
HEAD = dict(
    type='ActionFormer',
    feat_dim=CHANNELS,
    classes=CLASSES,
    num_head_convs=1,
    loss_normalizer=5.0,
    pyramid=dict(channels=16, num_levels=2, num_heads=2, windows=5, num_stem_blocks=1),
    post_processing=dict(top_k=20),
)
ENCODER = """
class Brightness:
    def __call__(self, snippets):
        return snippets[..., 0].flatten(1).float().mean(1, keepdim=True)
"""


def write_configs(folder: Path, ranks: int) -> None:
    """Configs with one global batch: ``pretrain.py``, ``head.py`` and ``hook.py``."""
    root = folder / 'data'
    pretraining_config(
        NECK,
        dict(root=str(root / 'features'), layout='TC'),
        'pretrained',
        TINY_MATCHER,
        batch_size=4 // ranks,
        max_epochs=3,
        windows_per_video=2,
        lr=1e-2,
        seed=0,
    ).dump(folder / f'pretrain{ranks}.py')
    head = Config(localization_config(root, Path('trained')))
    head.model = dict(HEAD, neck=dict(NECK))
    head.train_dataloader.batch_size = 2 // ranks
    head.train_cfg.max_epochs = 3
    for loader in (head.train_dataloader, head.test_dataloader):
        loader.dataset.classes = CLASSES
    head.val_dataloader, head.val_cfg = head.test_dataloader, dict()
    head.val_evaluator = head.test_evaluator
    head.dump(folder / f'head{ranks}.py')
    head.custom_hooks = [
        dict(
            type='SoLaPretrainHook',
            pretext=TINY_MATCHER,
            batch_size=4 // ranks,
            max_epochs=2,
            lr=1e-2,
        )
    ]
    head.work_dir = 'hooked'
    head.dump(folder / f'hook{ranks}.py')


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    """Data and configs."""
    folder = tmp_path_factory.mktemp('ranks')
    make_dataset(folder / 'data')
    (folder / 'videos').mkdir()
    for index in range(4):
        write_video(folder / f'videos/v_{index}.mp4', [50 + 10 * index] * (20 + 8 * index), fps=10)
    (folder / 'brightness_encoder.py').write_text(ENCODER)
    for ranks in (1, 2):
        write_configs(folder, ranks)
    return folder


#: What is run one after the other, of as many ranks.
COMMANDS = {
    'pretraining': ('pretrain_sola', 'pretrain{ranks}.py', '--launcher', '{launcher}'),
    'head': ('train', 'head{ranks}.py', '--launcher', '{launcher}'),
    'hook': ('train', 'hook{ranks}.py', '--launcher', '{launcher}'),
    'test': (
        *('test', 'head{ranks}.py', 'trained/epoch_3.pth', '--launcher', '{launcher}'),
        *('--cfg-options', 'test_evaluator.collect_device=gpu'),
    ),
    'extraction': (
        *('extract_features', '{source}/videos', 'extracted', '--length', '4'),
        *('--encoder', 'brightness_encoder:Brightness'),
    ),
    'transformation': (
        *('transform_features', 'pretrained/sola.pth', '{source}/data/features', 'transformed'),
        *('--layout', 'TC'),
    ),
}


def words_of(name: str, source: Path, ranks: int) -> list[str]:
    tool, *words = COMMANDS[name]
    launcher = 'none' if ranks == 1 else 'pytorch'
    words = [word.format(ranks=ranks, source=source, launcher=launcher) for word in words]
    return [tool, *(str(source / word) if word.endswith('.py') else word for word in words)]


def note_writes(rank: int) -> None:
    """Note what a rank writes or renames below the working directory."""
    sys.path.insert(0, str(Path.cwd()))
    here, noted = os.getcwd(), os.open(f'writes{rank}', os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def hook(event: str, arguments: tuple) -> None:
        if event == 'open':
            path, mode, flags = arguments
            if not isinstance(path, str) or not flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif event == 'os.rename':
            path = os.fspath(arguments[0])
        else:
            return
        if os.path.abspath(path).startswith(here):
            os.write(noted, f'{event} {path}\n'.encode())

    sys.addaudithook(hook)


@pytest.fixture(scope='module')
def runs(source, tmp_path_factory) -> dict[int, Path]:
    """Folders in which one rank, and two, ran all commands."""
    folders = {}
    with hidden_gpu():
        for ranks in (1, 2):
            folders[ranks] = folder = tmp_path_factory.mktemp(f'ranks{ranks}')
            (folder / 'brightness_encoder.py').write_text(ENCODER)
            for name in COMMANDS:
                ended = run_ranks(
                    folder, *words_of(name, source, ranks), world_size=ranks, prepare=note_writes
                )
                assert [rank.code for rank in ended] == [0] * ranks, ended
                assert not any(rank.stdout for rank in ended[1:] if 'features' in name)
                (folder / f'stdout_{name}').write_text(ended[0].stdout)
    return folders


def logged(folder: Path, name: str) -> list[dict]:
    """Losses and figures of a run, as mmengine writes them."""
    (path,) = folder.glob(f'{name}/*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_pretraining_has_the_losses_of_one_process(runs):
    one, two = (read_sola(runs[ranks] / 'pretrained/sola.pth') for ranks in (1, 2))
    assert one['meta']['iterations'] == two['meta']['iterations'] == 9
    np.testing.assert_allclose(two['meta']['losses'], one['meta']['losses'], rtol=0, atol=1e-4)
    assert one['meta']['losses'][0] - one['meta']['losses'][-1] > 1e-3  # it learns
    for key, value in one['state_dict'].items():
        torch.testing.assert_close(two['state_dict'][key], value, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['trained', 'hooked'])
def test_head_training_has_the_losses_and_figures_of_one_process(runs, name):
    one, two = (logged(runs[ranks], name) for ranks in (1, 2))
    assert len(one) == len(two) == 9  # six iterations, three validations
    for a, b in zip(one, two):
        assert a.keys() == b.keys()
        for key in a.keys() - {'time', 'data_time', 'memory'}:
            atol = 1e-4 if 'loss' in key or key == 'grad_norm' else 0
            assert b[key] == pytest.approx(a[key], rel=0, abs=atol), key


@pytest.mark.slow
def test_the_hook_pretrains_once_over_all_ranks(runs):
    one, two = (read_sola(runs[ranks] / 'hooked/sola/sola.pth')['meta'] for ranks in (1, 2))
    assert one['iterations'] == two['iterations'] == 2
    np.testing.assert_allclose(two['losses'], one['losses'], rtol=0, atol=1e-4)
    (log,) = (runs[2] / 'hooked/sola').glob('*/*.log')
    assert log.read_text().count('SimilarityMatcher ended with loss') == 1


@pytest.mark.slow
def test_testing_has_the_figures_of_one_process(runs):
    one, two = (json.loads((runs[n] / 'trained/metrics.json').read_text()) for n in (1, 2))
    assert one['mAP'] == two['mAP'] and one['AR'] == two['AR']
    printed = [(runs[n] / 'stdout_test').read_text() for n in (1, 2)]
    assert printed[0].count('TAL/mAP@0.5') == printed[1].count('TAL/mAP@0.5')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['extracted', 'transformed'])
def test_features_are_those_of_one_process(runs, name):
    one, two = (
        {path.name: np.load(path) for path in (runs[ranks] / name).glob('*.npy')}
        for ranks in (1, 2)
    )
    assert one.keys() == two.keys() and len(one) == (4 if name == 'extracted' else 6)
    for key, values in one.items():
        np.testing.assert_allclose(two[key], values, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_rank_0_alone_writes(runs):
    """But for the videos of a rank, and what mmengine gathers results through."""
    for line in (runs[2] / 'writes1').read_text().splitlines():
        path = line.split(' ', 1)[1].removeprefix(str(runs[2])).lstrip('/')
        assert path.startswith(('extracted', 'transformed.parts', '.dist_test/')), line
    assert 'epoch_3.pth' in (runs[2] / 'writes0').read_text()


class Broken(Exception):
    """Of the test."""


def fail(what: str, *_, **__) -> None:
    error = FeatureError if what == 'loader' else Broken
    raise error(f'the {what} of this rank is broken')


class BrokenHook(Hook):
    def before_train_epoch(self, runner) -> None:
        fail('hook')


@HOOKS.register_module()
class OnOneRankHook(Hook):
    """Ends one rank, when it is told so."""

    def after_train_iter(self, runner, *_, **__) -> None:
        if os.environ['RANK'] == os.environ.get('FAILING') and runner.iter == 1:
            fail('hook')


#: Place → what is replaced there.
PLACES: dict[str, tuple[object, str]] = {
    'data set': (TALFeatureDataset, 'load_data_list'),
    'loader': (TALFeatureDataset, 'prepare_data'),
    'forward': (ActionFormer, 'loss'),
    'validation': (ActionFormer, 'predict'),
    'metric': (TALMetric, 'process'),
    'figures': (TALMetric, '_figures'),
    'hook': (Hook, 'before_train_epoch'),
    'checkpoint': (CheckpointHook, '_save_checkpoint'),
    'windows': (SoLaWindowDataset, '__getitems__'),
    'pretext': (SimilarityMatcher, 'loss'),
}


def break_place(place: str, failing: int, calls: int, rank: int) -> None:
    """Let a rank fail at the call after some."""
    if rank != failing:
        return
    owner, name = PLACES[place]
    work, count = getattr(owner, name), itertools.count()

    @functools.wraps(work)
    def broken(*arguments, **options):
        if next(count) >= calls:
            fail(place)
        return work(*arguments, **options)

    setattr(owner, name, broken)


def check_all_ended(ended: list[Rank], failing: int, message: str) -> None:
    """Within seconds, with the message."""
    assert all(rank.code == 1 for rank in ended), [rank.code for rank in ended]
    assert message in ended[failing].stderr
    assert max(rank.end for rank in ended) - min(rank.end for rank in ended) < 10


@pytest.mark.parametrize(
    'place',
    slow_but(('forward', 'figures'), PLACES),
)
def test_a_rank_that_fails_ends_all(source, tmp_path, place):
    failing = 0 if place in ('figures', 'checkpoint') else 1  # what rank 0 alone does
    calls = 1 if place in ('loader', 'forward', 'windows', 'pretext') else 0
    ended = run_ranks(
        tmp_path,
        *words_of('hook', source, 2),
        *('--work-dir', 'work'),
        prepare=functools.partial(break_place, place, failing, calls),
    )
    check_all_ended(ended, failing, f'the {place} of this rank is broken')


@pytest.mark.slow
def test_a_worker_of_a_loader_fails(source, tmp_path):
    ended = run_ranks(
        tmp_path,
        *words_of('head', source, 2),
        *('--cfg-options', 'train_dataloader.num_workers=1'),
        prepare=functools.partial(break_place, 'loader', 1, 1),
    )
    check_all_ended(ended, 1, 'the loader of this rank is broken')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['extraction', 'transformation'])
def test_a_rank_that_fails_at_its_share_ends_all(source, runs, tmp_path, name):
    """What is left undone is done by the same command."""
    (tmp_path / 'brightness_encoder.py').write_text(ENCODER)
    (tmp_path / 'pretrained').symlink_to(runs[1] / 'pretrained')

    def prepare(rank: int) -> None:
        sys.path.insert(0, str(Path.cwd()))
        if rank == 1:
            from sola_plugin.commands.extraction import extract
            from sola_plugin.commands.transformation import transform

            extract.encode_video = transform.transformed_rows = functools.partial(fail, 'video')

    words = words_of(name, source, 2)
    check_all_ended(run_ranks(tmp_path, *words, prepare=prepare), 1, 'the video of this rank is')
    ended = run_ranks(tmp_path, *words, prepare=lambda _: sys.path.insert(0, str(Path.cwd())))
    assert [rank.code for rank in ended] == [0, 0], ended


def slurm(rank: int, world_size: int, port: int) -> dict[str, str]:
    """What srun sets; scontrol of the test knows the hosts."""
    return dict(
        SLURM_PROCID=str(rank),
        SLURM_NTASKS=str(world_size),
        SLURM_LOCALID=str(rank),
        SLURM_NODELIST='node[1-2]',
        MASTER_PORT=str(port),
        PATH=f'{Path.cwd()}{os.pathsep}{os.environ["PATH"]}',
    )


def mpi(rank: int, world_size: int, port: int) -> dict[str, str]:
    """What Open MPI's mpirun sets, and the user."""
    return dict(
        OMPI_COMM_WORLD_RANK=str(rank),
        OMPI_COMM_WORLD_SIZE=str(world_size),
        OMPI_COMM_WORLD_LOCAL_RANK=str(rank),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )


SCONTROL = '#!/bin/sh\n[ "$*" = "show hostnames node[1-2]" ] && echo 127.0.0.1 && echo node2\n'


@pytest.mark.slow
@pytest.mark.parametrize('variables', [slurm, mpi], ids=['slurm', 'mpi'])
def test_launchers(source, runs, tmp_path, monkeypatch, variables):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'scontrol').write_text(SCONTROL)
    (tmp_path / 'scontrol').chmod(0o755)
    words = words_of('pretraining', source, 2)[:-1]
    ended = run_ranks(tmp_path, *words, variables.__name__, variables=variables)
    assert [rank.code for rank in ended] == [0, 0], ended
    expected, found = (
        read_sola(folder / 'pretrained/sola.pth')['meta'] for folder in (runs[2], tmp_path)
    )
    assert found['losses'] == expected['losses']


@pytest.mark.parametrize(
    ('launcher', 'variables', 'message'),
    [
        ('pytorch', {}, 'the variable RANK is not set: start the command with torchrun'),
        ('slurm', {}, 'the variable SLURM_PROCID is not set: start the command with srun'),
        ('mpi', {}, 'the variable OMPI_COMM_WORLD_RANK is not set: start the command with mpirun'),
        ('mpi', dict(mpi(0, 1, 1), MASTER_ADDR=None), 'the variable MASTER_ADDR is not set: set'),
        (
            'slurm',
            dict(SLURM_PROCID='0', SLURM_NTASKS='1', SLURM_LOCALID='0', SLURM_NODELIST='n[1-2]'),
            'scontrol does not tell the hosts of n[1-2]',
        ),
    ],
)
def test_a_launcher_that_was_not_used(source, tmp_path, launcher, variables, message):
    given = {name: value for name, value in variables.items() if value is not None}
    words = words_of('pretraining', source, 1)[:-1]
    (ended,) = run_ranks(tmp_path, *words, launcher, world_size=1, variables=lambda *_: given)
    last = ended.stderr.splitlines()[-1]
    assert ended.code == 1 and last.startswith(f'error: --launcher {launcher}: {message}')
    assert 'Traceback' not in ended.stderr


def start_torchrun(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess:
    tool, *arguments = words
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2']
    return subprocess.run(
        [*command, str(ROOT / f'tools/{tool}.py'), *arguments],
        cwd=folder,
        env=environment(folder, ROOT, OMP_NUM_THREADS='1', **variables),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_torchrun_itself(source, runs, tmp_path):
    """All commands, and a rank that fails."""
    (tmp_path / 'brightness_encoder.py').write_text(ENCODER)
    for name in COMMANDS:
        done = start_torchrun(tmp_path, *words_of(name, source, 2))
        assert done.returncode == 0, done.stderr
        assert 'process_group' not in done.stderr and 'terminate called' not in done.stderr
    expected, found = (
        read_sola(folder / 'pretrained/sola.pth')['meta']['losses']
        for folder in (runs[2], tmp_path)
    )
    assert found == expected
    for name in ('trained', 'hooked'):
        a, b = (
            [line.get('loss') for line in logged(folder, name)] for folder in (runs[2], tmp_path)
        )
        assert a == b
    cfg = Config.fromfile(source / 'head2.py')
    cfg.custom_hooks = [dict(type='OnOneRankHook')]
    cfg.custom_imports.imports = ['sola_plugin', 'tests.test_ranks']
    cfg.train_cfg.max_epochs = 100000
    cfg.dump(tmp_path / 'failing.py')
    for failing in '01':
        done = start_torchrun(
            tmp_path, 'train', 'failing.py', '--launcher', 'pytorch', FAILING=failing
        )
        assert done.returncode == 1 and 'the hook of this rank is broken' in done.stderr


def test_a_reserved_port_is_for_the_store_alone():
    with reserved_port() as port:
        with socket.socket() as other, pytest.raises(OSError, match='in use'):
            other.bind(('127.0.0.1', port))
        store = torch.distributed.TCPStore('127.0.0.1', port, is_master=True)
        store.set('rank', '0')
        assert store.get('rank') == b'0'
