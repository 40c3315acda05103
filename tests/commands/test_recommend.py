"""Advice for own data, on sets of which the right answer is known by the way they are made."""

from __future__ import annotations

import json
import math
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from sola_plugin.commands import train_localizer
from sola_plugin.commands.recommendation.length_rules import Grid, grid_advice, own_grid_advice
from sola_plugin.commands.recommendation.measures import (
    Lengths,
    feature_statistics,
    measure_similarity,
    similarity_by_interval,
)
from sola_plugin.commands.recommendation.rules import half_interval_of, window_advice
from sola_plugin.heads.actionformer.points import regression_ranges
from sola_plugin.necks import read_sola
from sola_plugin.pretraining.losses import interval_target
from tests.conftest import STRIDE, localization_config

CHANNELS, LENGTH, VIDEOS = 24, 120, 10


def white(rng: np.random.Generator, memory: float = 0.0) -> np.ndarray:
    """Gaussian noise ``(T, C)`` whose similarity is ``exp(-d / memory)`` at the interval d."""
    noise = rng.normal(size=(LENGTH, CHANNELS))
    keep = math.exp(-1 / memory) if memory else 0.0
    for now in range(1, LENGTH):
        noise[now] = keep * noise[now - 1] + math.sqrt(1 - keep**2) * noise[now]
    return noise


def slow_under_noise(rng: np.random.Generator) -> np.ndarray:
    """Half of the variance changes every snippet, the other half hardly."""
    return white(rng, memory=12) + rng.normal(size=(LENGTH, CHANNELS))


def still(rng: np.random.Generator) -> np.ndarray:
    """Every video shows its one picture."""
    return rng.normal(size=CHANNELS) + 0.05 * rng.normal(size=(LENGTH, CHANNELS))


def write_set(root: Path, features, segments=((10, 22), (50, 65)), offset=0.0) -> Path:
    """Write features and annotations (in snippets), and a config; return the config."""
    rng = np.random.default_rng(0)
    (root / 'features').mkdir(parents=True)
    database = {}
    for number in range(VIDEOS):
        video = features(rng) + offset
        np.save(root / f'features/v_{number}.npy', video.astype(np.float32))
        database[f'v_{number}'] = dict(
            duration=LENGTH * STRIDE,
            subset='training' if number < VIDEOS - 1 else 'validation',
            annotations=[
                dict(segment=[first * STRIDE, end * STRIDE], label='a') for first, end in segments
            ],
        )
    (root / 'annotations.json').write_text(json.dumps(dict(database=database)))
    cfg = localization_config(root, root / 'work')
    cfg['model'].update(feat_dim=CHANNELS)
    Config(cfg).dump(root / 'config.py')
    return root / 'config.py'


@pytest.fixture
def advise(run_script, tmp_path):
    """The tool on a made set: function of what it is made of → what it writes as JSON."""

    def run(features, *arguments, **options) -> dict:
        config = write_set(tmp_path / 'set', features, **options)
        out = tmp_path / 'advice.json'
        result = run_script('tools/recommend.py', config, '--json', out, *arguments)
        assert result.returncode == 0, result.stderr
        advice = json.loads(out.read_text())
        advice['text'] = result.stdout
        advice['by_topic'] = {each['topic']: each for each in advice['advice']}
        return advice

    return run


def test_white_noise_has_nothing_to_match(advise):
    found = advise(white)
    assert found['recipe'] == 'raw' and '! recipe: do not use SoLa' in found['text']
    assert found['config'] == {} and 'in the config' not in found['text']
    assert 'nothing that the target can match' in found['by_topic']['recipe']['why']
    assert abs(found['measures']['similarity']['structure']) < 0.03
    assert {'window', 'K'}.isdisjoint(found['by_topic'])
    assert found['measures']['mean_share'] < 0.05
    assert 0.8 * CHANNELS < found['measures']['effective_rank'] <= CHANNELS


def test_structure_in_time_is_matched_where_it_lies(advise):
    """The similarity of these features falls by half in 12 ln 2 = 8.3 snippets."""
    found = advise(lambda rng: white(rng, memory=12))
    assert found['recipe'] == 'sola' and found['by_topic']['recipe']['settings']['neck'] == dict(
        type='SoLa'
    )
    assert found['measures']['similarity']['half_interval'] == pytest.approx(8.3, rel=0.2)
    window = found['by_topic']['window']['settings']
    assert window == dict(window=23, start=4, step=2, num_positions=8)  # as the authors have it
    assert found['by_topic']['K']['settings'] == dict(k=16.0)


def test_the_config_that_it_prints_trains(advise, tmp_path):
    found = advise(lambda rng: white(rng, memory=12))
    lines = found['text'].partition('in the config:\n')[2].partition('\nlinear probe')[0]
    advised = Config.fromstring(textwrap.dedent(lines), file_format='.py')
    assert advised.to_dict() == found['config']
    cfg = Config.fromfile(tmp_path / 'set/config.py')
    cfg.merge_from_dict(found['config'])
    cfg.train_cfg.max_epochs = cfg.custom_hooks[0]['max_epochs'] = 1
    train_localizer(cfg)
    made = read_sola(tmp_path / 'set/work/sola/sola.pth')
    pretext = made['meta']['pretext']
    assert (pretext['window'], pretext['k']) == (23, 16.0)


def test_what_needs_no_training_is_one_line_in_the_config(advise):
    assert advise(slow_under_noise)['config'] == dict(
        model=dict(neck=dict(type='TemporalSmoothing', kernel_size=3))
    )


def test_of_slow_features_the_window_is_wide(advise):
    found = advise(lambda rng: white(rng, memory=40))
    assert found['recipe'] == 'sola' and found['by_topic']['window']['settings']['step'] > 2


def test_a_video_that_stands_still_has_nothing_to_match(advise):
    found = advise(still)
    assert found['recipe'] == 'raw'
    assert 'hardly anything changes' in found['by_topic']['recipe']['why']


def test_noise_on_top_of_what_lasts_is_averaged(advise):
    found = advise(slow_under_noise)
    assert found['recipe'] == 'smoothing'
    assert found['measures']['similarity']['noise_share'] == pytest.approx(0.5, abs=0.1)
    assert found['by_topic']['recipe']['settings']['neck'] == dict(
        type='TemporalSmoothing', kernel_size=3
    )


def test_but_not_where_actions_have_three_snippets(advise):
    found = advise(slow_under_noise, segments=[(10, 13), (30, 33), (50, 53)])
    assert found['recipe'] == 'sola'


def test_a_large_mean_is_a_reason_to_compare(advise):
    found = advise(lambda rng: white(rng, memory=12), offset=5.0)
    assert found['measures']['mean_share'] > 0.9
    assert found['by_topic']['standardization']['settings'] == dict(standardize=True)
    assert 'compare standardised channels' in found['text'] and 'standardize=True' in found['text']
    assert found['by_topic']['recipe']['settings']['neck'] == dict(type='SoLa')
    # The mean makes raw features alike at every interval; standardised ones show the time.
    similarity = found['measures']['similarity']
    assert min(similarity['raw']) > 0.8 and similarity['standardized'][40] < 0.2


def test_with_nothing_but_a_large_mean_standardisation_is_left(advise):
    assert advise(white, offset=5.0)['recipe'] == 'standardization'


def test_segments_below_two_snippets_need_a_finer_stride(advise):
    found = advise(white, segments=[(10, 10.8), (30, 31.2), (60, 70)])
    advice = found['by_topic']['stride']
    assert advice['level'] == 'warning' and '67% of the segments are shorter' in advice['why']
    assert advice['settings']['stride_factor'] == pytest.approx(1 / 3)  # 0.8 -> 2.4 snippets


def test_segments_longer_than_the_grid(advise):
    """The tiny BMN has 16 cells of 7.5 snippets, and proposals of at most 8."""
    found = advise(
        white,
        '--cfg-options',
        'model.temporal_dim=16',
        'model.max_duration=8',
        segments=[(5, 100), (105, 115)],
    )
    advice = found['by_topic']['your grid']
    assert advice['level'] == 'warning' and advice['settings'] == dict(long=0.5, short=0.0)
    grid = found['by_topic']['grid']['settings']
    assert grid['temporal_dim'] * 95 / LENGTH <= grid['max_duration']


def test_a_grid_that_reaches_them(advise):
    found = advise(white)
    assert found['by_topic']['stride']['level'] == 'info'
    grid = found['by_topic']['grid']['settings']
    lengths = Lengths(np.array([12.0, 15.0]), np.full(2, 120.0), np.array([120.0]))
    own = own_grid_advice(lengths, Grid(grid['temporal_dim'], grid['max_duration']))
    assert own.level == 'info'


def test_short_actions_in_long_videos_need_windows():
    lengths = Lengths(np.full(20, 10.0), np.full(20, 5000.0), np.full(3, 5000.0))
    grid = grid_advice(lengths).settings
    assert grid['windows'] == dict(stride=grid['max_duration']) and grid['max_duration'] >= 10
    own = own_grid_advice(lengths, Grid(None, 16))
    assert own.level == 'info' and own.settings == dict(long=0.0, short=0.0)
    # Resized, they would be smaller than a cell.
    assert own_grid_advice(lengths, Grid(100, 100)).settings['short'] == 1.0


@pytest.mark.parametrize('length', [8, 30, 60, 200])
def test_levels_of_the_pyramid_end_where_the_segments_do(length):
    lengths = Lengths(np.full(20, length), np.full(20, 400.0), np.full(3, 400.0))
    levels = grid_advice(lengths).settings['num_levels']
    low, _ = regression_ranges(levels)[-1]
    # From the middle of a segment either boundary is half of its length away.
    assert length / 2 >= low / 2 or levels == 3


def test_the_half_of_the_target_is_that_of_the_target():
    for k, step in ((16.0, 1), (4.0, 2), (64.0, 3)):
        asked = 2 * interval_target(200, k * step**2)[0].numpy() - 1  # as cosine
        half = half_interval_of(k, step)
        assert asked[math.floor(half)] >= 0.5 >= asked[math.ceil(half)]


def test_short_videos_limit_the_window():
    rng = np.random.default_rng(0)
    similarity = measure_similarity([white(rng, memory=60) for _ in range(8)])
    lengths = Lengths(np.full(4, 10.0), np.full(4, 24.0), np.full(4, 24.0))
    window, k = window_advice(similarity, lengths)
    assert window.settings['window'] <= 24 and 'videos allow no larger step' in window.why
    assert k.settings['k'] > 16  # the target of smaller steps has to fall later


def test_similarity_is_that_of_every_pair():
    rng = np.random.default_rng(3)
    videos = [rng.normal(size=(length, 5)) for length in (4, 7)]
    expected = []
    for interval in (1, 2, 3):
        cosines = [
            video[i] @ video[j] / np.linalg.norm(video[i]) / np.linalg.norm(video[j])
            for video in videos
            for i in range(len(video))
            for j in range(len(video))
            if j - i == interval
        ]
        expected.append(np.mean(cosines))
    assert similarity_by_interval(videos, 3) == pytest.approx(expected)


def test_statistics_by_hand():
    # Two channels of equal variance around (3, 4): the mean holds 25 of 27.
    video = np.array([[2.0, 3.0], [4.0, 3.0], [2.0, 5.0], [4.0, 5.0]])
    found = feature_statistics([video])
    assert found.mean_share == pytest.approx(25 / 27) and found.effective_rank == pytest.approx(2)
    assert found.scale_ratio == 1.0
    one = feature_statistics([video[:, :1] * [[1.0, 2.0]]])  # the second is the first, doubled
    assert one.effective_rank == pytest.approx(1)
    with pytest.raises(ValueError, match='all features are zero'):
        feature_statistics([np.zeros((3, 2))])
    with pytest.raises(ValueError, match='NaN or infinity'):
        feature_statistics([np.full((3, 2), np.nan)])


def test_report_with_pictures(advise, tmp_path):
    found = advise(lambda rng: white(rng, memory=12), '--report', tmp_path / 'report.html')
    page = (tmp_path / 'report.html').read_text()
    # Similarity, TSM, lengths, accuracy at the boundaries.
    assert len(re.findall(r'<svg|<img [^>]*src="data:', page)) == 4
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert found['by_topic']['window']['text'] in page
    assert 'reset_gate' in re.search('<pre><code>(.*?)</code></pre>', page, re.DOTALL)[1]
    assert found['measures']['probe'].keys() == {
        'raw features',
        'mean of 3 snippets',
        'standardised',
    }


def test_without_background_there_is_no_probe(advise, tmp_path):
    found = advise(white, '--report', tmp_path / 'report.html', segments=[(0, LENGTH)])
    assert found['measures']['probe'] is None and 'no linear probe' in found['text']
    assert 'boundaries' not in found['by_topic'] and (tmp_path / 'report.html').is_file()


def test_few_videos_are_read_if_asked(advise):
    found = advise(white, '--videos', 3)
    assert found['measures']['videos'] == 3 and 'needs 4 training videos' in found['text']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ('train_dataloader=None', 'expected a train_dataloader with an annotated'),
        ('train_dataloader.dataset.subset=nobody', "got subset='nobody'"),
        ('train_dataloader.dataset.videos=x_*', "videos='x_\\*' matches none of 9 videos"),
    ],
)
def test_errors_are_one_line(run_script, tmp_path, change, message):
    config = write_set(tmp_path / 'set', white)
    result = run_script('tools/recommend.py', config, '--cfg-options', change)
    assert result.returncode == 1 and re.search(message, result.stderr)
    assert 'Traceback' not in result.stderr and 'error: ' in result.stderr
