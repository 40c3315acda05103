"""Animated GIF: frames, how long they are shown, colours."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sola_plugin.visualization import encode_figure, plot_tsm, write_gif


def frame(value: float, width: float = 2.0) -> Figure:
    """A figure with a square whose colour tells the value."""
    figure = Figure(figsize=(width, 1))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow([[value]], vmin=0, vmax=1, aspect='auto')
    axes.set_axis_off()
    return figure


def read(path) -> tuple[list[np.ndarray], list[int], int]:
    """Frames ``(H, W, 3)``, milliseconds of each, and how often they repeat (0: for ever)."""
    frames, durations = [], []
    with Image.open(path) as image:
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info['duration'])
            frames.append(np.asarray(image.convert('RGB')))
        return frames, durations, image.info['loop']


def test_frames_durations_and_loop(tmp_path):
    values = [0.0, 0.4, 1.0]
    write_gif(tmp_path / 'a.gif', map(frame, values), seconds=0.3, last_seconds=1.5)
    frames, durations, loop = read(tmp_path / 'a.gif')
    assert durations == [300, 300, 1500] and loop == 0
    assert [image.shape for image in frames] == [(96, 192, 3)] * 3
    for image, value in zip(frames, values):
        drawn = Image.open(io.BytesIO(encode_figure(frame(value), 'png').data)).convert('RGB')
        difference = image[50, 50].astype(int) - drawn.getpixel((100, 100))
        assert np.abs(difference).max() <= 8


@pytest.mark.slow
def test_one_palette_for_all_frames(tmp_path):
    """What does not change from frame to frame keeps its colours, the rare ones of the colour bar
    too."""

    def tsm(epoch: int) -> Figure:
        matrix = np.random.default_rng(epoch).uniform(0.5, 1, (9, 9))
        return plot_tsm({'raw': np.eye(9), f'epoch {epoch}': matrix})

    write_gif(tmp_path / 'a.gif', map(tsm, range(3)))
    frames, _, _ = read(tmp_path / 'a.gif')
    assert len(np.unique(np.concatenate([image.reshape(-1, 3) for image in frames]), axis=0)) <= 256
    raw, bar = np.s_[:, :280], np.s_[:, -70:]
    for image in frames[1:]:
        assert (image[raw] == frames[0][raw]).all() and (image[bar] == frames[0][bar]).all()
    drawn = Image.open(io.BytesIO(encode_figure(tsm(0), 'png').data)).convert('RGB').reduce(2)
    assert np.abs(np.asarray(drawn, int) - frames[0]).max() < 30


def test_equal_neighbours_are_one_frame(tmp_path):
    write_gif(tmp_path / 'a.gif', [frame(0.2), frame(0.2), frame(0.8)], seconds=0.5, last_seconds=1)
    frames, durations, _ = read(tmp_path / 'a.gif')
    assert len(frames) == 2 and durations == [1000, 1000]


def test_one_figure(tmp_path):
    write_gif(tmp_path / 'a.gif', [frame(0.2)])
    with Image.open(tmp_path / 'a.gif') as image:
        assert image.n_frames == 1 and image.size == (192, 96)


@pytest.mark.parametrize(
    ('figures', 'message'),
    [
        ([], r'expected at least one, all of one size, got 0 of the sizes \[\]'),
        ([frame(0), frame(0, width=3)], r'got 2 of the sizes \[\(192, 96\), \(288, 96\)\]'),
    ],
)
def test_bad_figures(tmp_path, figures, message):
    with pytest.raises(ValueError, match=message):
        write_gif(tmp_path / 'a.gif', figures)
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    write_gif(tmp_path / 'a.gif', [frame(0.2)])
    before = (tmp_path / 'a.gif').read_bytes()

    save = Image.Image.save

    def torn(self, file, **options):
        if options.get('format') != 'GIF':
            return save(self, file, **options)
        file.write(b'GIF89a')
        raise OSError('no space left on device')

    monkeypatch.setattr(Image.Image, 'save', torn)
    with pytest.raises(OSError, match='no space left'):
        write_gif(tmp_path / 'a.gif', [frame(1)])
    assert (tmp_path / 'a.gif').read_bytes() == before and len(list(tmp_path.iterdir())) == 1
