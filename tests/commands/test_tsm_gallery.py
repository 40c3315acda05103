"""TSM gallery: what is drawn, and the tool on a real tiny pretraining."""

from __future__ import annotations

import json
import math
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from sola_plugin.commands.tsm_gallery import (
    epoch_checkpoints,
    epoch_frames,
    has_target,
    read_videos,
    tsm_figure,
)
from sola_plugin.necks import SoLa, save_sola
from sola_plugin.pretraining.run import pretrain
from tests.conftest import CHANNELS, ROOT, STRIDE, localization_config, make_dataset
from tests.pretraining.test_pretraining import tiny_pretraining

LENGTH = 30
META = dict(
    video_name='v_x',
    feature_span=(2.0, 2.0 + LENGTH * STRIDE),
    classes=['jump', 'run'],
    annotations=[dict(segment=[4.0, 6.0], label='run')],
)


def features() -> torch.Tensor:
    return torch.randn(CHANNELS, LENGTH, generator=torch.Generator().manual_seed(0))


def neck(seed: int = 0, **options) -> SoLa:
    torch.manual_seed(seed)
    sola = SoLa(**{'in_channels': CHANNELS, 'hidden_channels': 4, **options})
    torch.nn.init.constant_(sola.alpha, 1.0)
    return sola


def saved(path: Path, sola: SoLa | None = None, **meta) -> Path:
    save_sola(path, sola or neck(), meta)
    return path


def similarity(x: np.ndarray, i: int, j: int) -> float:
    return (1 + x[:, i] @ x[:, j] / np.sqrt((x[:, i] @ x[:, i]) * (x[:, j] @ x[:, j]))) / 2


def panels(figure) -> dict[str, np.ndarray]:
    return {axes.get_title(): np.asarray(axes.images[0].get_array()) for axes in figure.axes[:-1]}


def test_raw_sola_and_target(tmp_path):
    sola = neck()
    path = saved(tmp_path / 'sola.pth', sola, pretext=dict(k=16.0, step=2))
    figure = tsm_figure(features(), META, {'SoLa': path}, target_of=path)
    shown = panels(figure)
    assert list(shown) == ['raw features', 'SoLa', 'target of the training']
    with torch.no_grad():
        adapted = sola(features()[None])[0].double().numpy()
    for i, j in ((0, 0), (3, 4), (20, 7)):
        raw = similarity(features().double().numpy(), i, j)
        assert shown['raw features'][i, j] == pytest.approx(raw, abs=1e-6)
        assert shown['SoLa'][i, j] == pytest.approx(similarity(adapted, i, j), abs=1e-5)
        # Positions are 2 snippets apart: neighbours of the target are 2 snippets apart in the
        # video.
        expected = 1 if i == j else 1 / (1 + math.exp(-16 / (abs(i - j) / 2) ** 2))
        assert shown['target of the training'][i, j] == pytest.approx(expected, abs=1e-6)


def test_axes_are_in_seconds_with_the_true_actions(tmp_path):
    path = saved(tmp_path / 'sola.pth')
    axes = tsm_figure(features(), META, {'SoLa': path}, snippets=(4, 24)).axes[0]
    assert axes.images[0].get_extent() == [4.0, 14.0, 14.0, 4.0]
    bar = axes.patches[0]
    assert (bar.get_x(), bar.get_width()) == (4.0, 2.0)


def test_a_stretch_is_cut_from_the_whole_video(tmp_path):
    """The neck sees the snippets beside the stretch."""
    path = saved(tmp_path / 'sola.pth', pretext=dict(k=16.0, step=2))
    whole = panels(tsm_figure(features(), META, {'SoLa': path}, path))
    cut = panels(tsm_figure(features(), META, {'SoLa': path}, path, snippets=(10, 20)))
    for title in ('raw features', 'SoLa'):
        np.testing.assert_allclose(cut[title], whole[title][10:20, 10:20], atol=1e-12)
    np.testing.assert_array_equal(
        cut['target of the training'], whole['target of the training'][:10, :10]
    )


@pytest.mark.parametrize('snippets', [(0, 31), (-1, 5), (5, 5), (7, 3)])
def test_snippets_outside_of_the_video(tmp_path, snippets):
    path = saved(tmp_path / 'sola.pth')
    message = f"snippets {snippets[0]} to {snippets[1]} are outside of 'v_x', which has 30"
    with pytest.raises(ValueError, match=message):
        tsm_figure(features(), META, {'SoLa': path}, snippets=snippets)


def test_other_channels(tmp_path):
    path = saved(tmp_path / 'sola.pth', neck(in_channels=8))
    with pytest.raises(
        ValueError, match="of 'SoLa' is for features with 8 channels, those of 'v_x' have 16"
    ):
        tsm_figure(features(), META, {'SoLa': path})


def test_target_that_nobody_knows(tmp_path):
    """Checkpoints of the authors and of other pretext tasks."""
    for meta in (dict(), dict(pretext=dict(type='BoundarySensitive', window=46))):
        path = saved(tmp_path / 'sola.pth', **meta)
        assert not has_target(path)
        assert list(panels(tsm_figure(features(), META, {'SoLa': path}))) == [
            'raw features',
            'SoLa',
        ]
        with pytest.raises(
            ValueError, match='sola.pth does not say which target it was trained with'
        ):
            tsm_figure(features(), META, {'SoLa': path}, target_of=path)


def save_epochs(folder: Path, *epochs: int, **options) -> None:
    """What mmengine leaves: weights of the whole model, and nothing about the neck's dilations."""
    for epoch in epochs:
        state = {f'neck.{key}': value for key, value in neck(epoch, **options).state_dict().items()}
        torch.save(dict(state_dict=state, meta=dict(epoch=epoch)), folder / f'epoch_{epoch}.pth')


def test_epochs_are_in_order(tmp_path):
    save_epochs(tmp_path, 10, 2, 1)
    (tmp_path / 'best_epoch_3.pth').touch()
    found = epoch_checkpoints(tmp_path)
    assert list(found) == ['epoch 1', 'epoch 2', 'epoch 10']
    assert found['epoch 10'] == tmp_path / 'epoch_10.pth'


@pytest.mark.parametrize(
    ('max_frames', 'epochs'),
    [
        (25, [1, 2, 3, 4, 5, 6, 7]),
        (7, [1, 2, 3, 4, 5, 6, 7]),
        (4, [1, 3, 5, 7]),
        (2, [1, 7]),
        (3, [1, 4, 7]),
    ],
)
def test_frames_keep_the_first_and_the_last_epoch(tmp_path, max_frames, epochs):
    saved(tmp_path / 'sola.pth')
    save_epochs(tmp_path, *range(1, 8))
    figures = list(epoch_frames(features(), META, tmp_path, max_frames=max_frames))
    assert [list(panels(figure))[1:] for figure in figures] == [
        [f'SoLa, epoch {epoch}'] for epoch in epochs
    ]
    assert len({tuple(figure.get_size_inches()) for figure in figures}) == 1


def test_frames_are_of_the_neck_that_was_trained(tmp_path):
    """Dilations do not show in the weights: ``sola.pth`` tells them."""
    saved(tmp_path / 'sola.pth', neck(dilations=(3, 1)), pretext=dict(k=16.0, step=2))
    save_epochs(tmp_path, 1, 2, dilations=(3, 1))
    for epoch, figure in enumerate(epoch_frames(features(), META, tmp_path), start=1):
        shown = panels(figure)
        assert list(shown) == ['raw features', f'SoLa, epoch {epoch}', 'target of the training']
        with torch.no_grad():
            adapted = neck(epoch, dilations=(3, 1))(features()[None])[0].double().numpy()
        assert shown[f'SoLa, epoch {epoch}'][3, 17] == pytest.approx(
            similarity(adapted, 3, 17), abs=1e-5
        )


def test_frames_need_a_finished_run_that_kept_its_checkpoints(tmp_path):
    save_epochs(tmp_path, 1)
    with pytest.raises(FileNotFoundError, match='sola.pth does not exist'):
        next(epoch_frames(features(), META, tmp_path))
    (tmp_path / 'epoch_1.pth').unlink()
    saved(tmp_path / 'sola.pth')
    with pytest.raises(
        FileNotFoundError, match=r'holds no epoch_<n>.pth; .*checkpoint.max_keep_ckpts=-1'
    ):
        next(epoch_frames(features(), META, tmp_path))


@pytest.fixture(scope='module')
def run(tmp_path_factory) -> Path:
    """Folder with ``head.py`` and ``work``, a pretraining that kept its three epochs."""
    folder = tmp_path_factory.mktemp('gallery')
    root = make_dataset(folder / 'data')
    cfg = tiny_pretraining(root, folder / 'work')
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    pretrain(cfg)
    Config(localization_config(root, folder / 'unused')).dump(folder / 'head.py')
    return folder


@pytest.fixture
def tool(run, tmp_path, monkeypatch):
    """The tool as a function of its arguments, in this process; what it wrote is in
    ``tmp_path``."""

    def call(*arguments: object) -> None:
        command = ['plot_tsm.py', run / 'head.py', '--out', tmp_path, *arguments]
        monkeypatch.setattr(sys, 'argv', [str(word) for word in command])
        runpy.run_path(str(ROOT / 'tools/plot_tsm.py'), run_name='__main__')

    return call


class TestTool:
    """``tools/plot_tsm.py`` on the tiny data."""

    @pytest.mark.slow
    def test_pictures_and_animation(self, run, tool, tmp_path, capsys):
        tool('--sola', run / 'work/sola.pth', '--epochs', run / 'work')
        output = capsys.readouterr().out
        written = [
            tmp_path / f'{name}.{suffix}' for name in ('v_04', 'v_05') for suffix in ('png', 'gif')
        ]
        printed = [line for line in output.splitlines() if line.startswith(str(tmp_path))]
        assert printed == [str(path) for path in written]
        with Image.open(written[0]) as picture:
            assert picture.size == (1728, 662)  # three matrices
        with Image.open(written[1]) as animation:
            assert animation.n_frames == 3 and animation.size == (864, 331)

    def test_chosen_videos_and_titles(self, run, tool, tmp_path):
        epochs = [run / f'work/epoch_{epoch}.pth' for epoch in (1, 3)]
        tool(
            '--sola',
            *epochs,
            '--titles',
            'early',
            'late',
            '--videos',
            'v_05',
            '--snippets',
            2,
            12,
            '--format',
            'svg',
        )
        assert [path.name for path in tmp_path.iterdir()] == ['v_05.svg']

    def test_without_a_target(self, run, tool, tmp_path, capsys):
        path = saved(tmp_path / 'authors.pth')
        tool('--sola', path, '--videos', 'v_05')
        assert 'none of the checkpoints tells the target' in capsys.readouterr().err
        with Image.open(tmp_path / 'v_05.png') as picture:
            assert picture.size[0] < 1728

    def test_ids_that_are_paths_or_no_names(self, run, tool, tmp_path, capsys):
        """Pictures stay in their folder; the video without a possible name is skipped."""
        ids = dict(zip(('v_04', 'v_05'), ('../v_04', 'v' * 252)))
        (data := run / 'renamed').mkdir()
        np.savez(
            data / 'features.npz',
            **{ids[name]: np.load(run / f'data/features/{name}.npy') for name in ids},
        )
        database = json.loads((run / 'data/annotations.json').read_text())['database']
        renamed = {new: database[name] for name, new in ids.items()}
        (data / 'annotations.json').write_text(json.dumps(dict(database=renamed)))
        options = [
            f'test_dataloader.dataset.data_root={data}',
            'test_dataloader.dataset.data_prefix.features=features.npz',
        ]
        with pytest.raises(SystemExit) as exit_:
            tool('--sola', run / 'work/sola.pth', '--cfg-options', *options)
        assert exit_.value.code == 3
        output = capsys.readouterr()
        assert [path.name for path in tmp_path.iterdir()] == ['.._v_04.png']
        assert f"skipped '{ids['v_05']}': no file in {tmp_path} can have this name" in output.err

    @pytest.mark.parametrize(
        ('arguments', 'message'),
        [
            (
                ['--sola', 'SOLA', '--videos', 'v_05', 'v_00'],
                "'v_00' is none of the 2 test videos: v_04, v_05",
            ),
            (['--sola', 'nowhere.pth'], 'SoLa checkpoint nowhere.pth does not exist'),
            (['--sola', 'SOLA', '--snippets', '5', '1000'], 'snippets 5 to 1000 are outside'),
            (['--epochs', 'nowhere'], 'sola.pth does not exist'),
            (
                ['--sola', 'SOLA', '--cfg-options', 'test_dataloader=None'],
                'expected a test_dataloader with',
            ),
        ],
    )
    def test_bad_input(self, run, tool, tmp_path, arguments, message):
        with pytest.raises(SystemExit) as exit_:
            tool(*(str(run / 'work/sola.pth') if word == 'SOLA' else word for word in arguments))
        assert str(exit_.value).startswith('error: ') and message in str(exit_.value)
        assert not list(tmp_path.iterdir())

    def test_checkpoint_for_other_channels(self, tool, tmp_path):
        path = saved(tmp_path / 'other.pth', neck(in_channels=8))
        with pytest.raises(SystemExit, match='is for features with 8 channels'):
            tool('--sola', path)

    @pytest.mark.parametrize(
        ('arguments', 'message'),
        [
            ([], 'give --sola FILE or --epochs FOLDER'),
            (['--sola', 'a/sola.pth', 'b/a.pth'], r"expects 2 different ones, got ['a', 'a']"),
            (
                ['--sola', 'a.pth', '--titles', 'A', 'B'],
                r"expects 1 different ones, got ['A', 'B']",
            ),
        ],
    )
    def test_usage(self, tool, capsys, arguments, message):
        with pytest.raises(SystemExit) as exit_:
            tool(*arguments)
        assert exit_.value.code == 2 and message in capsys.readouterr().err


def test_read_videos_takes_the_first_three(data_root, tmp_path):
    cfg = Config(localization_config(data_root, tmp_path))
    cfg.test_dataloader.dataset.subset = None
    cfg.test_dataloader.dataset.filter_empty = False
    assert [meta['video_name'] for _, meta in read_videos(cfg)] == ['v_00', 'v_01', 'v_02']
    ((video, meta),) = read_videos(cfg, ['v_05'])
    assert video.shape[0] == CHANNELS and meta['video_name'] == 'v_05'
