"""Batches of windows that are cut in one call: equal to the windows one by one, however held."""

from __future__ import annotations

import gc
import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from sola_plugin.datasets import SoLaWindowDataset, WindowSampler, gather, window_sources
from sola_plugin.datasets.features.open import open_features
from sola_plugin.datasets.features.packing import pack_features
from sola_plugin.datasets.gather import WindowGather
from sola_plugin.datasets.window_sources import HeldWindows, StoredWindows
from sola_plugin.datasets.windows import WindowBatch, window_collate

#: Compared to the bit.
ON_CPU = True

C, WINDOW = 6, 9
LENGTHS = (40, 23, 31, 5, 9, 64)

#: SHA-256 of an epoch's windows as the reader of single windows of commit 6ada2e1 gave them.
RECORDED = ['55d1573a80f32cea', '1d6eb114f7c81d19', 'dbf1a48494d68fe2']


def video(number: int, length: int) -> np.ndarray:
    """``(T, C)``."""
    return np.arange(length * C, dtype=np.float32).reshape(length, C) + 1000 * number


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Videos as files, and packed; one of them is shorter than a window."""
    for number, length in enumerate(LENGTHS):
        rows = np.random.default_rng(number).normal(size=(length, C)).astype(np.float16)
        (tmp_path / 'npy').mkdir(exist_ok=True)
        np.save(tmp_path / f'npy/v{number}.npy', rows)
    source = open_features(dict(root=str(tmp_path / 'npy'), layout='TC'))
    for dtype in ('float32', 'float16'):
        pack_features(source, tmp_path / dtype, dtype=dtype)
    return tmp_path


def features_of(root: Path, kind: str) -> object:
    if kind == 'items':
        store = open_features(root / 'float32')
        return [dict(inputs=store.load(name)) for name in store.ids()]
    return dict(root=str(root / kind), **(dict(layout='TC') if kind == 'npy' else {}))


def draws(dataset: SoLaWindowDataset, count: int = 50) -> list[tuple[int, float]]:
    rng = np.random.default_rng(0)
    return [(int(rng.integers(len(dataset))), float(rng.random())) for _ in range(count)]


@pytest.mark.parametrize('kind', ['npy', 'float32', 'float16', 'items'])
@pytest.mark.parametrize(
    'options', [dict(), dict(in_memory=True), dict(features_on='device'), dict(features_on='host')]
)
def test_equal_to_slices_of_the_videos(root, kind, options):
    dataset = SoLaWindowDataset(features_of(root, kind), WINDOW, **options)
    held = bool(options.get('in_memory') or options.get('features_on') == 'device')
    assert isinstance(dataset._source, HeldWindows if held or kind == 'items' else StoredWindows)
    videos = [
        np.load(root / f'npy/v{number}.npy').astype(np.float32)
        for number, length in enumerate(LENGTHS)
        if length >= WINDOW
    ]
    items = [*draws(dataset), *((index, u) for index in range(5) for u in (0.0, 1 - 2**-53))]
    batch = dataset.__getitems__(items)
    assert batch.whole['inputs'].shape == (len(items), C, WINDOW) and len(batch) == len(items)
    for (index, u), window, alone in zip(
        items, batch, map(dataset.__getitem__, items), strict=True
    ):
        start = int(u * (len(videos[index]) - WINDOW + 1))
        expected = torch.from_numpy(videos[index][start : start + WINDOW].T)
        assert alone['inputs'].is_contiguous() and alone['inputs'].dtype == torch.float32
        assert torch.equal(window['inputs'], expected)
        assert torch.equal(alone['inputs'], expected)


@pytest.mark.parametrize('kind', ['npy', 'float16'])
def test_the_middle_of_each_video(root, kind):
    dataset = SoLaWindowDataset(features_of(root, kind), WINDOW)
    batch = dataset.__getitems__([2, 0, 1])
    for index, window in zip([2, 0, 1], batch):
        assert torch.equal(window['inputs'], dataset[index]['inputs'])


def test_labels(root):
    database = {
        f'v{number}': dict(
            duration=float(length),
            subset='training',
            annotations=[dict(segment=[1, 4], label='x'), dict(segment=[5, 8], label='y')],
        )
        for number, length in enumerate(LENGTHS)
    }
    (root / 'ann.json').write_text(json.dumps(dict(database=database)))
    dataset = SoLaWindowDataset(
        dict(
            type='TALFeatureDataset',
            data_root=str(root),
            ann_file='ann.json',
            data_prefix=dict(features='npy'),
            layout='TC',
        ),
        WINDOW,
        labels=True,
    )
    items = draws(dataset)
    batch = dataset.__getitems__(items).whole
    assert batch['labels'].shape == (50, WINDOW) and batch['labels'].max() == 1
    for row, item in enumerate(items):
        assert torch.equal(batch['labels'][row], dataset[item]['labels'])


@pytest.mark.parametrize('u', [-0.1, 1.0, float('nan')])
def test_position_outside(root, u):
    dataset = SoLaWindowDataset(features_of(root, 'float16'), WINDOW)
    with pytest.raises(ValueError, match='position in video 1 is .*, expected 0 <= u < 1'):
        dataset.__getitems__([(0, 0.5), (1, u)])


@pytest.mark.parametrize('kind', ['npy', 'float32', 'float16'])
def test_a_loader_copies_nothing_and_the_windows_are_those_of_any_other(root, kind):
    dataset = SoLaWindowDataset(features_of(root, kind), WINDOW)

    def read(collate, workers: int = 0) -> list[torch.Tensor]:
        sampler = WindowSampler(dataset, windows_per_video=3, seed=7)
        loader = DataLoader(dataset, 4, sampler=sampler, collate_fn=collate, num_workers=workers)
        return [batch['inputs'] for batch in loader]

    batches = read(window_collate)
    for collate, workers in ((default_collate, 0), (None, 0), (window_collate, 2)):
        assert all(map(torch.equal, batches, read(collate, workers)))
    batch = dataset.__getitems__([(0, 0.5), (1, 0.5)])
    assert window_collate(batch)['inputs'] is batch.whole['inputs']
    assert torch.equal(window_collate(list(batch))['inputs'], batch.whole['inputs'])
    assert isinstance(batch, WindowBatch) and len(batch[0:2]) == 2


@pytest.mark.parametrize(
    'options', [dict(), dict(in_memory=True), dict(features_on='device'), dict(packed=True)]
)
def test_windows_of_the_recorded_epochs(tmp_path, options):
    """What a run draws from a seed is what it drew when every window was read by itself."""
    (tmp_path / 'npy').mkdir()
    for number, length in enumerate((40, 23, 31, 9, 64)):
        np.save(tmp_path / f'npy/v{number}.npy', video(number, length))
    features = dict(root=str(tmp_path / 'npy'), layout='TC')
    if options.pop('packed', False):
        pack_features(open_features(features), tmp_path / 'packed')
        features = str(tmp_path / 'packed')
    loader = Runner.build_dataloader(
        dict(
            batch_size=4,
            num_workers=0,
            collate_fn=dict(type='window_collate'),
            sampler=dict(type='mmaction.WindowSampler', windows_per_video=3),
            dataset=dict(type='mmaction.SoLaWindowDataset', window=9, features=features, **options),
        ),
        seed=11,
    )
    for epoch, recorded in enumerate(RECORDED):
        loader.sampler.set_epoch(epoch)
        digest = hashlib.sha256()
        for batch in loader:
            digest.update(np.ascontiguousarray(batch['inputs'].numpy()).tobytes())
        assert digest.hexdigest()[:16] == recorded, epoch


# --- memory ---------------------------------------------------------------------------------------


def test_a_batch_that_is_held_is_never_written_to():
    rows = torch.arange(400.0).reshape(100, 4)
    cut = WindowGather(rows)
    rng = np.random.default_rng(0)
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    for turn in range(60):
        begins = rng.integers(0, 90, size=int(rng.integers(1, 9)))
        batch = cut(begins, 5)
        expected = torch.stack([rows[begin : begin + 5].T for begin in begins.tolist()])
        # A batch, a window of it, and a view of the storage that is made elsewhere.
        part = (batch, batch[-1:], batch.transpose(1, 2).detach()[:, 1:3].transpose(1, 2))[turn % 3]
        wanted = (expected, expected[-1:], expected[:, :, 1:3])[turn % 3]
        kept.append((part, wanted.clone()))
        del batch, part
        if turn % 4 == 3:
            kept.pop(int(rng.integers(len(kept))))
        assert all(torch.equal(*pair) for pair in kept)


def test_memory_is_used_again():
    cut = WindowGather(torch.randn(100, 4))
    places = set()
    batch = None
    for _ in range(20):
        batch = cut(np.arange(7), 5)  # the one before is still there
        places.add(batch.data_ptr())
    assert len(places) == 2
    held = [cut(np.arange(7), 5) for _ in range(10)]
    assert len({batch.data_ptr() for batch in held}) == 10
    assert len(cut._buffers) == gather._MAX_BUFFERS


def test_gradients_hold_their_windows():
    """What a network has kept for its gradient is still the batch that it saw."""
    rows = torch.randn(100, 4)
    cut, weight = WindowGather(rows), torch.ones(4, requires_grad=True)
    loss = (cut(np.zeros(3, int), 5).transpose(1, 2) * weight).sum()
    for begin in range(1, 9):
        cut(np.full(3, begin), 5)
    loss.backward()
    torch.testing.assert_close(weight.grad, 3 * rows[:5].sum(0))


@pytest.mark.parametrize('options', [dict(), dict(in_memory=True)])
def test_another_process_gets_no_old_batches_and_no_mapped_file(root, options):
    dataset = SoLaWindowDataset(features_of(root, 'float16'), WINDOW, **options)
    items = draws(dataset, 1000)
    inputs = dataset.__getitems__(items).whole['inputs']
    sent = pickle.dumps(dataset)
    assert len(sent) < 12_000 < inputs.nbytes
    assert torch.equal(pickle.loads(sent).__getitems__(items).whole['inputs'], inputs)
    gc.collect()


def test_half_precision_stays_half(root):
    for kind, dtype in (('float16', torch.float16), ('float32', torch.float32)):
        dataset = SoLaWindowDataset(features_of(root, kind), WINDOW, features_on='device')
        assert dataset._source._gather.rows.dtype == dtype


def test_what_memory_takes_is_said(root, monkeypatch):
    lines = []
    monkeypatch.setattr(window_sources, 'print_log', lambda message, logger: lines.append(message))
    SoLaWindowDataset(features_of(root, 'float16'), WINDOW)
    assert lines == []
    SoLaWindowDataset(features_of(root, 'float16'), WINDOW, features_on='device')
    total = sum(LENGTHS)
    assert lines == [f'features in memory (cpu): 0.00 GB, {total} snippets of {C} float16 numbers']


# --- where ----------------------------------------------------------------------------------------


def test_unknown_place(root):
    with pytest.raises(ValueError, match="features_on is 'gpu', expected one of 'auto', 'device'"):
        SoLaWindowDataset(features_of(root, 'float16'), WINDOW, features_on='gpu')


def test_items_of_other_encoders():
    items = [dict(inputs=np.zeros((channels, 20))) for channels in (3, 4)]
    with pytest.raises(ValueError, match='features of 1: expected 3 channels as in the first, got'):
        SoLaWindowDataset(items, WINDOW)


@pytest.mark.parametrize('kind, itemsize', [('float16', 2), ('float32', 4), ('npy', 4)])
def test_auto_takes_a_gpu_with_memory_to_spare(root, monkeypatch, kind, itemsize):
    """The choice alone: there is no GPU here to read to."""
    store = open_features(features_of(root, kind))
    needed = sum(LENGTHS) * C * itemsize
    assert window_sources.num_bytes(store, store.ids()) == needed
    assert window_sources.device_for('auto', store, store.ids()) is None
    lines = []
    monkeypatch.setattr(window_sources, 'print_log', lambda message, logger: lines.append(message))
    monkeypatch.setattr(window_sources, 'get_device', lambda: 'cuda')
    for free, expected in ((needed / 0.7 + 1, torch.device('cuda')), (needed / 0.7 - 1, None)):
        monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device, free=free: (free, 10**9))
        assert window_sources.device_for('auto', store, store.ids()) == expected
        assert window_sources.device_for('host', store, store.ids()) is None
    assert len(lines) == 1 and 'the features stay on the host: 0.0 GB are more than 70%' in lines[0]


def test_rows_on_another_device_are_not_for_workers(monkeypatch):
    """Shapes and dtypes alone: torch's device without memory stands for a GPU."""
    cut = WindowGather(torch.empty(100, 4, dtype=torch.float16, device='meta'))
    windows = cut(np.arange(3), 5)
    assert (windows.shape, windows.dtype, windows.device.type) == ((3, 4, 5), torch.float32, 'meta')
    monkeypatch.setattr(gather, 'get_worker_info', lambda: object())
    with pytest.raises(ValueError, match='on meta cannot be read by worker processes: set num_wor'):
        cut(np.arange(3), 5)
