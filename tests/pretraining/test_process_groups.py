"""The group of torchrun's ranks is left at the end, by all that joined it."""

from __future__ import annotations

import argparse
import atexit

import pytest
import torch

from sola_plugin.commands.cli import load_config
from sola_plugin.commands.tool import data_errors
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.pretraining.ranks import leave_group


@pytest.fixture
def group(tmp_path):
    """A group of one rank."""
    store = f'file://{tmp_path}/store'
    torch.distributed.init_process_group('gloo', init_method=store, rank=0, world_size=1)
    yield
    leave_group()


@pytest.mark.usefixtures('group')
class TestInGroup:
    def test_every_launcher_leaves_at_exit(self, tmp_path, monkeypatch):
        registered = []
        monkeypatch.setattr(atexit, 'register', registered.append)
        (tmp_path / 'config.py').write_text('optim_wrapper = dict()\n')
        local = ('LOCAL_RANK', 'SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK')
        ranks = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
        for name in (*local, *ranks):
            monkeypatch.setenv(name, '0')
        for name in ('WORLD_SIZE', 'SLURM_NTASKS', 'OMPI_COMM_WORLD_SIZE'):
            monkeypatch.setenv(name, '1')
        for name in ('MASTER_ADDR', 'MASTER_PORT'):
            monkeypatch.setenv(name, '1')
        for launcher in ('none', 'pytorch', 'slurm', 'mpi'):
            load_config(
                argparse.Namespace(
                    config=tmp_path / 'config.py',
                    cfg_options=None,
                    launcher=launcher,
                    local_rank=0,
                    work_dir=None,
                )
            )
        assert registered == [leave_group] * 3
        leave_group()
        assert not torch.distributed.is_initialized()
        leave_group()  # once more does no harm

    @pytest.mark.parametrize(
        ('backend', 'is_abandoned'), [('nccl', True), ('gloo', False)], ids=['nccl', 'gloo']
    )
    @pytest.mark.parametrize(
        'error',
        [FeatureError('torn'), KeyError('x'), KeyboardInterrupt()],
        ids=['data', 'ours', 'ctrl-c'],
    )
    def test_a_rank_that_fails_does_not_wait_for_the_others(
        self, backend, is_abandoned, error, monkeypatch
    ):
        unregistered = []
        monkeypatch.setattr(atexit, 'unregister', unregistered.append)
        monkeypatch.setattr(torch.distributed, 'get_backend', lambda: backend)
        expected = SystemExit if isinstance(error, FeatureError) else type(error)
        with pytest.raises(expected), data_errors():
            raise error
        assert unregistered == ([leave_group] if is_abandoned else [])


def test_without_a_group_nothing_is_abandoned(monkeypatch):
    monkeypatch.setattr(atexit, 'unregister', lambda _: pytest.fail('unregistered'))
    with pytest.raises(KeyError), data_errors():
        raise KeyError('x')
