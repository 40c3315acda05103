"""The benchmarks run and print their tables."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.conftest import ROOT


def test_features_prints_a_table():
    options = ['--videos', '3', '--channels', '8', '--repeats', '10']
    command = [sys.executable, 'benchmarks/features.py', *options]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    assert '3 videos of 100 to 1000 snippets; median of 10 windows' in output
    for name in (
        'LoadLocalizationFeature, .csv',
        'np.load, .npy',
        'FeatureFolder, .npy',
        'packed, float16',
    ):
        assert re.search(
            rf'\| 8 channels: .*{name} \| [\d.]+ µs \| [\d,.]+ µs \| [\d.]+× \|', output
        )


def test_heads_prints_a_table():
    command = [
        sys.executable,
        'benchmarks/heads.py',
        '--rows',
        'label',
        'checkpoint',
        '--repeats',
        '1',
    ]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    assert 'OMP_WAIT_POLICY=passive; median of 1, interleaved' in output
    assert re.search(r'\| checkpoint \| [\d.]+ MB \| [\d.]+ MB \| 7\.4× \| ≥ 5× \| yes \|', output)
    assert re.search(
        r'\| label generation, batch 8 \| [\d.]+ ms \| [\d.]+ ms \| [\d.]+× \| ≥ 4× \|', output
    )


def test_evaluation_prints_a_table():
    command = [sys.executable, 'benchmarks/evaluation.py', '--videos', '40', '--repeats', '1']
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    assert 'median of 1, interleaved; 361 detections, 40 videos' in output
    assert re.search(
        r'\| mAP, against mmaction2 \| [\d.]+ ms \| [\d.]+ ms \| [\d.]+× \| ≥ 2× \|', output
    )
    assert re.search(r'\| AR@AN, ten times the detections \| .* \| < 12× \|', output)
    (difference,) = re.findall(r'mAP, against mmaction2: figures differ by at most (\S+)', output)
    assert float(difference) < 1e-9
    assert (
        'AR@AN, against ActivityNet: not installed: git clone https://github.com/activitynet'
        in output
    )


def test_long_video_measures_a_row(tmp_path, monkeypatch, capsys):
    """In this process, which has grown already: the row is there, its memory says nothing."""
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    import long_video

    assert long_video.write_features(tmp_path / 'v.npy', hours=0.02) == 225
    long_video.print_row('BMN', str(tmp_path / 'v.npy'))
    loaded, above, seconds = map(float, capsys.readouterr().out.split())
    assert loaded > 100 and above >= 0 and seconds > 0
