"""Time stamps beside the features, against the stride that is assumed."""

from __future__ import annotations

import numpy as np
import pytest

from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.datasets.features.timestamps import check_timestamps, read_timestamps


def stamps(folder, name='v_timestamps_ms.npy', step=0.4, count=50, unit=1e-3, start=0.2):
    path = folder / name
    np.save(path, (start + step * np.arange(count)) / unit)
    return path


def check(path, stride=0.4, count=50, duration=20.0):
    return check_timestamps(dict(v=path), dict(v=count), dict(v=duration), stride)


@pytest.mark.parametrize(
    ('name', 'unit'),
    [('v_t_s.npy', 1.0), ('v_t_ms.npy', 1e-3), ('v_t_us.npy', 1e-6), ('v_t_ns.npy', 1e-9)],
)
def test_units_in_names(tmp_path, name, unit):
    # The length of the video, which is wrong, is not asked where the name says the unit.
    times = read_timestamps(stamps(tmp_path, name, unit=unit), duration=20e3)
    np.testing.assert_allclose(times, 0.2 + 0.4 * np.arange(50))


@pytest.mark.parametrize('unit', [1.0, 1e-3, 1e-6, 1e-9])
def test_units_by_the_length_of_the_video(tmp_path, unit):
    path = stamps(tmp_path, 'v_timestamps.npy', unit=unit)
    np.testing.assert_allclose(read_timestamps(path, 20.0), 0.2 + 0.4 * np.arange(50))


def test_what_fits_is_said(tmp_path):
    (finding,) = check(stamps(tmp_path))
    assert finding.level == 'info'
    assert finding.message == ('the time stamps have a snippet every 0.4 s, as feature_stride says')
    (finding,) = check(stamps(tmp_path), stride=None)
    assert finding.message.endswith('a snippet every 0.4 s: give feature_stride=0.4')


def test_another_stride(tmp_path):
    (finding,) = check(stamps(tmp_path), stride=0.5)
    assert (finding.level, finding.kind, finding.count) == ('error', 'timestamps-stride', 1)
    assert 'another step than feature_stride=0.5: a snippet every 0.4 s' in finding.message


def test_videos_of_another_stride_than_the_others(tmp_path):
    paths = {f'v{n}': stamps(tmp_path, f'v{n}_ms.npy', step=0.4 if n else 0.2) for n in range(5)}
    lengths, durations = dict.fromkeys(paths, 50), dict.fromkeys(paths, 20.0)
    (finding,) = check_timestamps(paths, lengths, durations, None)
    assert (finding.level, finding.count) == ('warning', 1)
    assert finding.examples == ("'v0': 0.2 s",)


def test_number_and_gaps(tmp_path):
    (wrong, _) = check(stamps(tmp_path), count=49)
    assert (wrong.level, wrong.examples) == ('error', ("'v': 50 times for 49 snippets",))
    path = tmp_path / 'v_t_s.npy'
    times = 0.4 * np.arange(50)
    np.save(path, np.where(times > 10, times + 3, times))
    (gap, _) = check(path)
    assert (gap.level, gap.kind) == ('warning', 'timestamps-gaps')
    assert gap.examples == ("'v': 3.4 s instead of 0.4 s after 25",)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (np.array([0.0, 1.0, 1.0, 2.0]), r'increase, got 1 and then 1 \(snippets 1 and 2\)'),
        (np.array([0.0, np.nan, 2.0]), 'finite numbers along one axis'),
        (np.array([1.0]), 'finite numbers along one axis'),
        (np.zeros((4, 2)), r'finite numbers along one axis, got shape \(4, 2\)'),
    ],
)
def test_what_is_no_time(tmp_path, values, message):
    path = tmp_path / 'v_t_s.npy'
    np.save(path, values)
    with pytest.raises(FeatureError, match=rf'v_t_s.npy: .*{message}'):
        read_timestamps(path, 20.0)
    (finding,) = check(path)
    assert (finding.level, finding.kind) == ('error', 'timestamps')


def test_no_such_file(tmp_path):
    (finding,) = check(tmp_path / 'v_none.npy')
    assert finding.level == 'error' and 'v_none.npy' in finding.examples[0]
