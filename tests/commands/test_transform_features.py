"""``tools/transform_features.py``: the neck's own values in any form, resumed, divided, refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from torch import nn

from sola_plugin.commands.transformation import staging, transform_features
from sola_plugin.commands.transformation.staging import Staging
from sola_plugin.datasets.features import lazy
from sola_plugin.datasets.features.fingerprint import record_features
from sola_plugin.datasets.features.open import open_features
from sola_plugin.datasets.features.packing import pack_features, verify_packed
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.datasets.features.writers import Array, write_array
from sola_plugin.locking import BusyError, hold_lock
from sola_plugin.necks import SoLa, TemporalSmoothing, save_sola
from sola_plugin.pretraining.ranks import leave_group
from tests.conftest import CHANNELS, ROOT, TINY_BMN
from tests.processes import START_METHOD, reserved_port

ON_CPU = True
TOOL = ROOT / 'tools/transform_features.py'
LENGTHS = {'v_1': 30, 'v_2': 9, 'v_3': 1, 'v_4': 21}


def trained(neck: nn.Module) -> nn.Module:
    """A neck that does something."""
    torch.manual_seed(0)
    for parameter in neck.parameters():
        nn.init.normal_(parameter, std=0.3)
    return neck.eval()


@pytest.fixture
def videos() -> dict[str, np.ndarray]:
    """Rows ``(T, C)``."""
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=(length, CHANNELS)).astype(np.float32)
        for name, length in LENGTHS.items()
    }


@pytest.fixture
def folder(tmp_path, videos, monkeypatch) -> Path:
    """Features, and a neck, in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path('raw').mkdir()
    for name, rows in videos.items():
        np.save(f'raw/{name}.npy', rows)
    save_sola('sola.pth', trained(SoLa(CHANNELS, 8, kernel_sizes=(5, 3), dilations=(1, 2))))
    return tmp_path


@pytest.fixture
def expected(videos, folder) -> dict[str, np.ndarray]:
    """What a localizer's head gets: rows behind the neck, of all videos in one padded batch."""
    neck = dict(type='SoLa', hidden_channels=8, kernel_sizes=(5, 3), dilations=(1, 2))
    model = MODELS.build(dict(TINY_BMN, neck=neck)).eval()
    model.neck.load_state_dict(torch.load('sola.pth')['state_dict'])
    torch.save(dict(state_dict=model.state_dict()), 'localizer.pth')
    model.cells = None
    batch = [torch.from_numpy(rows.T.copy()) for rows in videos.values()]
    with torch.no_grad():
        outputs = model.extract_features(batch, None)
    return {name: output.T.numpy() for name, output in zip(videos, outputs)}


def check(store, expected, **tolerance) -> None:
    assert sorted(store.ids()) == sorted(expected)
    for name, rows in expected.items():
        np.testing.assert_allclose(
            store.load(name), rows.T, **{'rtol': 1e-4, 'atol': 1e-5, **tolerance}
        )


@pytest.mark.parametrize('checkpoint', ['sola.pth', 'localizer.pth'])
@pytest.mark.parametrize('block', [1, 4, 1000])
def test_the_values_are_those_inside_a_localizer(folder, expected, monkeypatch, checkpoint, block):
    """However few snippets go through the neck at a time."""
    monkeypatch.setattr(lazy, '_BLOCK_BYTES', 4 * CHANNELS * block)
    result = transform_features(checkpoint, 'raw', 'out')
    assert result.finished == tuple(LENGTHS) and not result.failed and result.kind == 'folder'
    check(open_features('out', layout='TC'), expected)
    changed = np.abs(np.load('out/v_1.npy') - np.load('raw/v_1.npy')).max()
    assert changed > 0.1 and not Path('out.parts').exists()


def test_only_the_window_and_its_context_are_read(folder, monkeypatch):
    """Whatever the length of the video."""
    monkeypatch.setattr(lazy, '_BLOCK_BYTES', 4 * CHANNELS * 5)
    store, read = open_features('raw', layout='TC'), []
    window = type(store).window
    monkeypatch.setattr(
        type(store),
        'window',
        lambda self, name, start, length: read.append(length) or window(self, name, start, length),
    )
    transform_features('sola.pth', 'raw', 'out', layout='TC')
    assert max(read) == 5 + 2 * 4


def test_another_neck(folder, videos):
    save_sola('smooth.pth', TemporalSmoothing(CHANNELS, 3))
    transform_features('smooth.pth', 'raw', 'out')
    rows = videos['v_1']
    smooth = np.load('out/v_1.npy')
    np.testing.assert_allclose(smooth[1:-1], (rows[:-2] + rows[1:-1] + rows[2:]) / 3, atol=1e-6)


class TestForm:
    @pytest.mark.parametrize('suffix', ['.npy', '.npz', '.csv', '.pt', '.pkl', '.h5'])
    def test_a_folder_keeps_names_format_and_arrays(self, folder, videos, expected, suffix):
        for name, rows in videos.items():
            array = Array(rows.shape, rows.dtype, 'TC', [rows])
            write_array(Path(f'in/x_{name}_rgb{suffix}'), array, 'feats')
        transform_features('sola.pth', 'in', 'out', feat_dim=CHANNELS)
        names = {f'x_{name}_rgb{suffix}' for name in videos}
        assert {path.name for path in Path('out').iterdir()} == names | {'transformed.json'}
        check(
            open_features('out', prefix='x_', suffix=f'_rgb{suffix}', feat_dim=CHANNELS), expected
        )
        if suffix == '.npz':
            assert np.load('out/x_v_1_rgb.npz').files == ['feats']
        if suffix == '.h5':
            with h5py.File('out/x_v_1_rgb.h5') as file:
                assert list(file) == ['feats']

    def test_layout_and_precision_are_those_of_the_source(self, folder, videos, expected):
        Path('in').mkdir()
        for name, rows in videos.items():
            np.save(f'in/{name}.npy', rows.T.astype(np.float16))
        transform_features('sola.pth', 'in', 'out')
        written = np.load('out/v_1.npy')
        assert written.shape == (CHANNELS, 30) and written.dtype == np.float16
        transform_features('sola.pth', 'in', 'other', out_layout='TC', dtype='float32')
        written = np.load('other/v_1.npy')
        assert written.shape == (30, CHANNELS) and written.dtype == np.float32
        check(open_features('other', layout='TC'), expected, rtol=0.02, atol=0.02)

    @pytest.mark.parametrize('name', ['all.h5', 'all.npz', 'all.pt', 'all.pkl'])
    def test_one_file_for_all(self, folder, expected, name):
        assert transform_features('sola.pth', 'raw', name).kind == 'archive'
        check(open_features(name, layout='TC'), expected)
        record = json.loads(Path(f'{name}.transformed.json').read_text())
        assert record['videos'] == LENGTHS
        # And from one file to files.
        transform_features('sola.pth', name, 'files', format='npz', layout='TC')
        assert open_features('files', layout='TC').ids() == sorted(LENGTHS)

    def test_packed(self, folder, expected):
        pack_features(open_features('raw', layout='TC'), 'packed', dtype='float16')
        assert transform_features('sola.pth', 'packed', 'out').kind == 'packed'
        assert verify_packed('out').dtype == 'float16'
        check(open_features('out'), expected, rtol=0.02, atol=0.02)
        transform_features('sola.pth', 'raw', 'out32', format='packed')
        check(open_features('out32'), expected)

    def test_fused_sources(self, folder, videos, expected):
        half = CHANNELS // 2
        for part, columns in (('a', slice(0, half)), ('b', slice(half, None))):
            Path(part).mkdir()
            for name, rows in videos.items():
                np.save(f'{part}/{name}.npy', rows[:, columns])
        transform_features('sola.pth', ['a', 'b'], 'out')
        check(open_features('out', layout='TC'), expected)

    def test_one_file_needs_the_name_of_one(self, folder):
        transform_features('sola.pth', 'raw', 'all.npz')
        with pytest.raises(FeatureError, match=r'out: expected .* such as out\.npz, as all\.npz'):
            transform_features('sola.pth', 'all.npz', 'out')
        with pytest.raises(FeatureError, match=r"all\.h5: expected a folder for format='npy'"):
            transform_features('sola.pth', 'raw', 'all.h5', format='npy')
        with pytest.raises(ValueError, match="format is 'txt', expected one of npy, "):
            transform_features('sola.pth', 'raw', 'out', format='txt')


def test_the_record_and_the_description(folder, capsys):
    description = dict(feature_stride=0.5, feature_offset=0.25, dtype='float32', encoder='x')
    Path('raw/features.json').write_text(json.dumps(dict(description, videos={'v_1': {}})))
    for out in ('out', 'packed'):
        transform_features('sola.pth', 'raw', out, format=None if out == 'out' else 'packed')
        noted = json.loads(Path(out, 'features.json').read_text())
        assert description.items() <= noted.items() and noted['neck']['type'] == 'SoLa'
        record = json.loads(Path(out, 'transformed.json').read_text())
        assert record['settings']['source'] == record_features('raw')
        assert record['settings']['neck']['dilations'] == [1, 2]
        assert record['videos'] == LENGTHS and record['failed'] == {}
        assert record['description']['feature_stride'] == 0.5


class Killed(BaseException):
    """Ends the job as a signal does."""


class TestResuming:
    def begin(
        self, source: str = 'raw', out: str = 'out', number: int = 2, **options
    ) -> list[Path]:
        """Transform some videos; their files."""

        def show(what: str, done: int, total: int) -> None:
            if done == number:
                raise Killed

        with pytest.raises(Killed):
            transform_features('sola.pth', source, out, show=show, **options)
        assert not Path(out).exists()
        return sorted(Path(f'{out}.parts/features').glob('*.npy'))

    @pytest.mark.parametrize('out', ['out', 'all.npz'])
    def test_finished_videos_stay(self, folder, expected, out):
        kept = {path: path.stat().st_mtime_ns for path in self.begin(out=out)}
        assert len(kept) == 2
        Path('raw/v_1.npy').touch()  # the longest, which was the first
        Path(f'{out}.parts/features/.v_4.npy.abc.tmp').write_bytes(b'half')
        redone = []

        def show(what: str, done: int, total: int) -> None:
            if ', snippet' in what:
                redone.append(what.split(',')[0])

        transform_features('sola.pth', 'raw', out, show=show)
        assert sorted(set(redone)) == ['v_1', 'v_2', 'v_3']
        check(open_features(out, layout='TC'), expected)
        assert not list(Path().glob('*.parts')) and not list(Path().glob('out/.*'))

    def test_a_note_without_its_file_counts_for_nothing(self, folder, expected):
        self.begin()[0].unlink()
        transform_features('sola.pth', 'raw', 'out')
        check(open_features('out', layout='TC'), expected)

    def test_complete_is_complete(self, folder):
        first = transform_features('sola.pth', 'raw', 'out')
        before = {path: path.stat().st_mtime_ns for path in Path('out').iterdir()}
        assert transform_features('sola.pth', 'raw', 'out') == first
        assert {path: path.stat().st_mtime_ns for path in Path('out').iterdir()} == before

    @pytest.mark.parametrize('form', ['packed', 'archive'])
    def test_killed_between_output_and_record(self, folder, expected, monkeypatch, form):
        out, format = ('all.h5', None) if form == 'archive' else ('out', 'packed')

        def killed(path, content):
            if path.name.endswith('transformed.json'):
                raise Killed
            write(path, content)

        write = staging.write_json
        monkeypatch.setattr(staging, 'write_json', killed)
        with pytest.raises(Killed):
            transform_features('sola.pth', 'raw', out, format=format)
        monkeypatch.undo()
        os.chdir(folder)
        transform_features('sola.pth', 'raw', out, format=format)
        check(open_features(out, layout='TC'), expected)

    def test_another_neck_does_not_go_on(self, folder):
        self.begin()
        save_sola('other.pth', trained(SoLa(CHANNELS, 4)))
        with pytest.raises(ValueError, match=r'out\.parts holds .* other settings: neck '):
            transform_features('other.pth', 'raw', 'out')
        transform_features('sola.pth', 'raw', 'out')
        with pytest.raises(ValueError, match=r'out holds .* other settings: neck '):
            transform_features('other.pth', 'raw', 'out')

    def test_other_features_do_not_go_on(self, folder):
        transform_features('sola.pth', 'raw', 'out')
        for path in Path('raw').iterdir():
            np.save(path, np.load(path) + 1)
        with pytest.raises(ValueError, match='other settings: source '):
            transform_features('sola.pth', 'raw', 'out')

    def test_one_at_a_time(self, folder):
        with hold_lock('out.parts'), pytest.raises(BusyError, match='is writing to it'):
            transform_features('sola.pth', 'raw', 'out')


class TestRefused:
    @pytest.mark.parametrize('out', ['raw', 'raw/sola', 'raw/../raw', '.', '..'])
    def test_the_source_is_not_written_to(self, folder, out):
        with pytest.raises(FeatureError, match='is, or lies in, the source|expected the name'):
            transform_features('sola.pth', 'raw', out)
        assert len(list(Path('raw').iterdir())) == len(LENGTHS)

    def test_what_others_have_written(self, folder):
        Path('out').mkdir()
        Path('out/mine.txt').write_text('mine')
        with pytest.raises(FeatureError, match='out exists and was not written by this tool'):
            transform_features('sola.pth', 'raw', 'out')
        assert [path.name for path in Path('out').iterdir()] == ['mine.txt']

    def test_other_channels(self, folder):
        save_sola('wide.pth', SoLa(CHANNELS + 1, 4))
        with pytest.raises(FeatureError, match=f'have {CHANNELS} channels, the neck expects 17'):
            transform_features('wide.pth', 'raw', 'out')

    def test_values_beyond_float16(self, folder):
        np.save('raw/v_2.npy', np.full((9, CHANNELS), 1e6, np.float32))
        with pytest.raises(FeatureError, match="'v_2' .*expected finite float16.*: write float32"):
            transform_features('sola.pth', 'raw', 'out', dtype='float16')

    def test_two_videos_of_one_name(self, folder, videos):
        np.savez('all.npz', **{'a/v': videos['v_1'], 'a_v': videos['v_2']})
        with pytest.raises(FeatureError, match="got 'a_v.npy' for 'a/v' and 'a_v'"):
            transform_features('sola.pth', 'all.npz', 'out', format='npy', feat_dim=CHANNELS)


class TestTool:
    def test_names_that_no_file_can_have_are_skipped(self, folder, videos, run_script):
        names = ['v_1', '../../v_2', 'x' * 300, '.hidden']
        np.savez('all.npz', **dict(zip(names, videos.values())))
        done = run_script(
            TOOL.relative_to(ROOT), 'sola.pth', 'all.npz', 'out', '--format', 'npy', cwd=folder
        )
        assert done.returncode == 3 and 'SoLa features, videos: 1 (folder)' in done.stdout
        for name in ("'xxx", "'.hidden'", "'../../v_2'"):
            assert f'skipped {name}' in done.stderr
        assert sorted(path.name for path in Path('out').iterdir()) == [
            'transformed.json',
            'v_1.npy',
        ]
        assert not list(folder.parent.glob('v_2*'))

    def test_messages_name_options(self, folder, run_script):
        transform_features('sola.pth', 'raw', 'all.npz')
        done = run_script(TOOL.relative_to(ROOT), 'sola.pth', 'all.npz', 'out', cwd=folder)
        assert done.returncode == 1 and 'or say --format npy' in done.stderr
        assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1

    def test_two_ranks_share_the_work_and_a_kill_loses_nothing(self, folder, expected):
        killed = start_forked(killed_after_one)
        killed.join()
        assert killed.exitcode == -signal.SIGKILL
        (kept,) = Path('out.parts/features').glob('*.npy')
        changed = kept.stat().st_mtime_ns
        with reserved_port() as port:
            ranks = [start_forked(rank_of_two, rank, port) for rank in range(2)]
            for rank in ranks:
                rank.join()
        assert [rank.exitcode for rank in ranks] == [0, 0]
        check(open_features('out', layout='TC'), expected)
        assert Path('out', kept.name).stat().st_mtime_ns == changed
        work = {rank: Path(f'rank{rank}').read_text().split() for rank in range(2)}
        assert len(work[0]) == len(work[1]) == 2 and set(work[0] + work[1]) == set(LENGTHS)


def start_forked(target: Callable, *arguments: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context(START_METHOD).Process(target=target, args=arguments)
    process.start()
    return process


def killed_after_one() -> None:
    save = Staging.save
    Staging.save = lambda *arguments: (save(*arguments), os.kill(os.getpid(), signal.SIGKILL))
    transform_features('sola.pth', 'raw', 'out')


def rank_of_two(rank: int, port: int) -> None:
    """In the environment that torchrun makes."""
    os.environ.update(
        TORCHELASTIC_RUN_ID='test',
        WORLD_SIZE='2',
        MASTER_ADDR='localhost',
        MASTER_PORT=str(port),
        RANK=str(rank),
        LOCAL_RANK=str(rank),
    )
    done: dict[str, None] = {}
    show = lambda what, *_: done.setdefault(what.split(',')[0])  # noqa: E731
    result = transform_features('sola.pth', 'raw', 'out', show=show)
    assert set(result.finished) == set(LENGTHS) and result.kind == 'folder'
    Path(f'rank{rank}').write_text(' '.join(done))
    leave_group()
