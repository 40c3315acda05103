"""Workers that read data and die, or are stuck: an error with the video, and no hang."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
import time

import pytest
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.config import Config

from sola_plugin.commands import train_localizer
from sola_plugin.commands.testing import test_localizer as run_test
from sola_plugin.datasets.features.open import open_features
from sola_plugin.pretraining.loader_workers import TIMEOUT, WorkerError, explain_worker_error
from sola_plugin.pretraining.run import pretrain
from tests.commands.localizers import save_random
from tests.conftest import localization_config
from tests.forked_tools import run_tool
from tests.pretraining.test_pretraining import tiny_pretraining
from tests.slow import slow_but

#: Workers are forked.
ON_CPU = True


@TRANSFORMS.register_module()
class Fate(BaseTransform):
    """What comes over the worker that reads a video."""

    def __init__(self, kind: str, video: str) -> None:
        self.kind, self.video = kind, video

    def transform(self, results):
        if results['video_name'] == self.video:
            if self.kind == 'asleep':
                time.sleep(600)
            os.kill(os.getpid(), getattr(signal, self.kind))
        return results


class Torn:
    """What a worker sends, and is killed a moment later: the connection is lost before that."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __reduce__(self):
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return lose, (self.error,)


def lose(error: Exception) -> None:
    raise error


@TRANSFORMS.register_module()
class SendTorn(BaseTransform):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def transform(self, results):
        results['data_samples'].torn = Torn(self.error)
        return results


def config(root, work_dir, kind: str, video: str, loader: str, **options) -> Config:
    cfg = Config(localization_config(root, work_dir))
    cfg[loader].update(num_workers=1, **options)
    cfg[loader].dataset.pipeline = [
        dict(type='LoadFeatures'),
        dict(type='Fate', kind=kind, video=video),
        dict(type='PackTALInputs'),
    ]
    return cfg


@pytest.mark.parametrize('persistent', [False, True])
@pytest.mark.parametrize('kind', ['SIGKILL', 'SIGBUS'])
def test_a_worker_dies_in_the_training(data_root, tmp_path, kind, persistent):
    cfg = config(
        data_root, tmp_path, kind, 'v_01', 'train_dataloader', persistent_workers=persistent
    )
    name = dict(SIGKILL='Killed', SIGBUS='Bus error')[kind]
    with pytest.raises(WorkerError) as raised:
        train_localizer(cfg)
    text = str(raised.value)
    assert f"was ended by a signal ({name}) while it read 'v_01': memory may have" in text
    assert '\n' not in text


@pytest.mark.parametrize(
    'error',
    [
        EOFError(),
        ConnectionResetError(errno.ECONNRESET, 'Connection reset by peer'),
        FileNotFoundError(errno.ENOENT, 'No such file or directory'),  # the name of a socket
        RuntimeError('received 0 items of ancdata'),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_worker_dies_and_its_connection_before(data_root, tmp_path, error):
    """Torch passes on what became of the connection while the worker still looks alive."""
    cfg = config(data_root, tmp_path, 'SIGKILL', 'none', 'train_dataloader')
    cfg.train_dataloader.dataset.pipeline.append(dict(type='SendTorn', error=error))
    with pytest.raises(WorkerError, match='was ended by a signal'):
        train_localizer(cfg)


@pytest.mark.parametrize('kind', slow_but(['asleep'], ['asleep', 'SIGSTOP']))
def test_a_worker_is_stuck_in_the_test(data_root, tmp_path, kind):
    cfg = config(data_root, tmp_path, kind, 'v_05', 'test_dataloader', timeout=1)
    start = time.monotonic()
    with pytest.raises(WorkerError) as raised:
        run_test(cfg, save_random(cfg, tmp_path / 'epoch_1.pth'))
    assert str(raised.value).startswith(
        "no worker process has given a batch for 1 s while it read 'v_05': is the disk there?"
    )
    assert 'timeout=SECONDS' in str(raised.value)
    del raised
    for child in multiprocessing.active_children():  # as at the end of the process
        child.join(10)
        assert not child.is_alive()
    assert time.monotonic() - start < 30


def test_the_tool_ends_with_one_line(data_root, tmp_path):
    cfg = config(data_root, tmp_path / 'work', 'SIGKILL', 'v_02', 'train_dataloader')
    cfg.dump(tmp_path / 'train.py')
    result = run_tool('train', tmp_path / 'train.py')
    assert result.code == 1, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith('error: a worker process that reads data') and "'v_02'" in last
    assert 'Traceback' not in result.stderr


def test_the_tool_with_a_damaged_file(data_root, tmp_path):
    """A worker's own error is that of the file, in one line, as without workers."""
    cfg = config(data_root, tmp_path / 'work', 'SIGKILL', 'none', 'train_dataloader')
    cfg.dump(tmp_path / 'train.py')
    (data_root / 'features/v_02.npy').write_bytes(b'no array')
    result = run_tool('train', tmp_path / 'train.py')
    last = result.stderr.splitlines()[-1]
    assert result.code == 1 and 'Traceback' not in result.stderr, result.stderr
    assert last.startswith('error: ') and 'v_02.npy' in last and 'worker' not in last


class TestWindows:
    """Windows of a batch are cut in one call: the videos of the batch are named."""

    def cfg(self, data_root, tmp_path) -> Config:
        cfg = tiny_pretraining(data_root, tmp_path / 'work')
        cfg.train_dataloader.update(num_workers=1, persistent_workers=False)
        return cfg

    def test_a_worker_dies(self, data_root, tmp_path, monkeypatch):
        parent = os.getpid()
        store = type(open_features(dict(root=str(data_root / 'features'), layout='TC')))
        window = store.window

        def deadly(self, *args):
            if os.getpid() != parent:
                os.kill(os.getpid(), signal.SIGKILL)
            return window(self, *args)

        monkeypatch.setattr(store, 'window', deadly)
        with pytest.raises(WorkerError, match=r"while it read 'v_0\d', 'v_0\d'"):
            pretrain(self.cfg(data_root, tmp_path))

    def test_the_figures_are_the_same(self, data_root, tmp_path):
        """What is noted changes nothing."""
        from sola_plugin.necks import read_sola

        first = read_sola(pretrain(self.cfg(data_root, tmp_path / 'a')))
        alone = self.cfg(data_root, tmp_path / 'b')
        alone.train_dataloader.num_workers = 0
        assert first['meta']['losses'] == read_sola(pretrain(alone))['meta']['losses']

    def test_none_is_left_when_it_is_over(self, data_root, tmp_path):
        before = set(multiprocessing.active_children())
        cfg = self.cfg(data_root, tmp_path)
        cfg.train_dataloader.persistent_workers = True
        pretrain(cfg)
        assert set(multiprocessing.active_children()) <= before


def test_other_errors_are_left_alone():
    assert explain_worker_error('CUDA out of memory', []) is None
    assert 60 < TIMEOUT <= 3600
