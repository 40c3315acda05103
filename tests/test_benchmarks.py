"""The benchmarks run and print their tables."""

from __future__ import annotations

import re
import runpy

import pytest
import torch

from tests.conftest import ROOT, make_dataset
from tests.studies.test_study import write_configs


@pytest.fixture
def printed(run_script, monkeypatch):
    """Function of a benchmark and its options that returns what it prints."""
    monkeypatch.setenv('OMP_WAIT_POLICY', 'passive')  # some set it for good

    def run(name: str, *options: object) -> str:
        done = run_script(f'benchmarks/{name}.py', *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_features_prints_a_table(printed):
    output = printed('features', '--videos', 3, '--channels', 8, '--repeats', 10)
    assert '3 videos of 100 to 1000 snippets; median of 10 windows' in output
    for name in (
        'LoadLocalizationFeature, .csv',
        'np.load, .npy',
        'FeatureFolder, .npy',
        'packed, float16',
        'in a batch of 256, float16, one by one',
    ):
        assert re.search(
            rf'\| 8 channels: .*{name} \| [\d,.]+ µs \| [\d,.]+ µs \| [\d.]+× \|', output
        )


@pytest.mark.slow
def test_heads_prints_a_table(printed):
    output = printed('heads', '--rows', 'label', 'checkpoint', '--repeats', 1, '--threads', 1)
    assert 'OMP_WAIT_POLICY=passive; median of 1, interleaved' in output
    assert re.search(r'\| checkpoint \| [\d.]+ MB \| [\d.]+ MB \| 7\.4× \| ≥ 5× \| yes \|', output)
    assert re.search(
        r'\| label generation, batch 8 \| [\d.]+ ms \| [\d.]+ ms \| [\d.]+× \| ≥ 4× \|', output
    )


def test_similarity_matching_prints_a_table(printed):
    sizes = ('--batch', 4, '--channels', 8, '--hidden', 4, '--steps', 3, '--threads', 1)
    output = printed('similarity_matching', *sizes)
    assert '4 windows of 23 × 8, H = 4; median of 3, interleaved' in output
    for name in ('plain', 'convolution at the used positions', 'as_matmul=True'):
        assert re.search(rf'\| {name} \| [\d.]+ \| [\d.]+× \|', output)


@pytest.mark.slow
def test_pretraining_prints_a_table(printed):
    sizes = dict(videos=6, channels=8, hidden=4, batch=4, iterations=3, threads=1)
    options = (word for name, size in sizes.items() for word in (f'--{name}', size))
    output = printed('pretraining', *options)
    assert '6 videos of 200 × 8, batch 4, H = 4; median of 3 iterations' in output
    for how in ('convolution', 'as_matmul'):
        for name in ('one window at a time', 'from the packed file', 'on the device'):
            assert re.search(
                rf'\| {name}, {how} \| [\d.]+ ms \| [\d.]+ ms \| [\d.]+ µs \| [\d.]+ ms \|', output
            )


@pytest.mark.slow
def test_sampling_prints_a_table(printed):
    sizes = dict(size=9, channels=4, hidden=128, samples=3, repeats=2, threads=1, batch=2)
    output = printed('sampling', *(word for name, n in sizes.items() for word in (f'--{name}', n)))
    assert '9 cells, 3 samples, 4 channels to 128; median of 2, interleaved' in output
    for how in ('float32 | items | 64', 'float32 | csr | 128', 'bf16 | dense | 128'):
        assert re.search(rf'\| 2 \| {re.escape(how)} \| [\d.]+ \| [\d.]+ \| \d+ \|', output)


@pytest.mark.slow
def test_gpu_prints_its_tables_in_a_tiny_form(printed):
    output = printed('gpu', '--tiny', '--repeats', 2)
    number, small = r'[\d,.]+', r'\de-\d\d'
    for name in ('BMN forward, batch 2', 'BMN training step, batch 2'):
        for precision in ('float32', 'bf16'):
            assert re.search(
                rf'\| {name} \| {precision} \| {number} \| {number} \| {number}× \| .* '
                rf'\| \d+ / \d+ \| {small} \| – \|',
                output,
            )
    for name in ('G-TAD forward, batch 2, as released for ActivityNet', 'similarity matching, a'):
        assert f'| {name}' in output
    assert re.search(rf'\| ActionFormer forward, 2 × 60 × 32 \| bf16 \| {number} \|', output)
    for name in ('from the packed file', 'on the device'):
        assert re.search(rf'\| {name}, as_matmul \| {number} ms .*× \| (–|\d+ %) \|', output)


def test_gpu_counts_operations(printed):
    output = printed('gpu', '--count', '--tiny')
    rows = re.findall(r'^\| (.*) \| (\d+) \| (\d+) \| (\d+) \|$', output, re.MULTILINE)
    assert len(rows) == 6
    for name, *counts in rows:
        as_on_a_cpu, *as_on_a_gpu = map(int, counts)
        assert max(as_on_a_gpu) <= as_on_a_cpu, name
        if name.startswith('BMN'):  # the same for every batch
            assert as_on_a_gpu == ([33, 31] if name.endswith('8') else [32, 31])


def test_the_table_of_a_gpu_needs_one_unless_it_is_tiny(run_script):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    done = run_script('benchmarks/gpu.py')
    assert done.returncode == 2 and 'there is no GPU here: --tiny shows' in done.stderr


def test_a_row_that_is_not_equal_is_not_timed(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')
    import gpu_measure

    comparison = gpu_measure.Comparison('x', 'float32', list, None, error=lambda: 0.01)
    with pytest.raises(AssertionError, match='x: differs by 0.01'):
        gpu_measure.row(comparison, repeats=2)


def test_operations_are_counted_without_views(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')
    from operations import operations

    x = torch.ones(2, 3)
    seen = operations(lambda: (x.t().flatten()[:2] + x.view(-1)[:2]).relu_().expand(4, -1))
    assert seen == dict(clone=1, add=1, relu_=1)


@pytest.mark.slow
def test_evaluation_prints_a_table(printed):
    output = printed('evaluation', '--videos', 40, '--repeats', 1)
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


@pytest.mark.slow
def test_long_video_measures_a_row(tmp_path, monkeypatch, capsys):
    """In this process, which has grown already: the row is there, its memory says nothing."""
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    import long_video

    assert long_video.write_features(tmp_path / 'v.npy', hours=0.02) == 225
    long_video.print_row('BMN', str(tmp_path / 'v.npy'))
    loaded, above, seconds = map(float, capsys.readouterr().out.split())
    assert loaded > 100 and above >= 0 and seconds > 0


@pytest.mark.slow
def test_result_file_prints_a_table(printed):
    output = printed('result_file', '--videos', 3, '--per-video', 5, '--repeats', 1)
    assert output.startswith('15 detections, 0.0 MB; median of 1, interleaved\n')
    for name in ('tools/evaluate.py', 'json.load alone'):
        assert re.search(rf'\| {name} \| \d+ MB \| [\d.]+ s \|', output)


@pytest.mark.slow
def test_transform_features_prints_a_table(printed):
    """In processes of their own, which are small here; the bars are not for them."""
    output = printed('transform_features', '--hours', 0.005, '--repeats', 1, '--threads', 1)
    assert re.search(r'\| 0\.005 \| 56 \| 0 \| \d+ \| < 500 \| [\d.]+ \| [\d.]+ \|', output)


@pytest.mark.slow
def test_cluster_prints_a_table(printed, tmp_path):
    pytest.importorskip('distributed', reason='dask is not installed')
    write_configs(tmp_path, make_dataset(tmp_path / 'data'))
    (tmp_path / 'tiny.py').write_text("head = 'head.py'\npretrain = 'pretrain.py'\nseeds = 1\n")
    output = printed('cluster', '--study', tmp_path / 'tiny.py', '--jobs', 1, '--repeats', 1)
    assert re.search(r'\| 1 \| [\d.]+ \| [\d.]+ \| [\d.]+× \| < 1\.1× \| \w+ \| equal \|', output)


@pytest.mark.slow
def test_workers_prints_a_table(printed):
    output = printed('workers', '--heads', 'bmn_watch', '--repeats', 1)
    assert re.search(r'\| bmn_watch \| [\d.]+ \| [\d.]+ \| [\d.]+× \| \d+ \| \d+ \|', output)


@pytest.mark.slow
def test_onnx_files_prints_a_table(printed):
    pytest.importorskip('onnx', reason="onnx is not installed: pip install 'sola_plugin[onnx]'")
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    output = printed('onnx_files', '--rows', 'SoLa', '--repeats', 1, '--threads', 1)
    assert re.search(r'\| SoLa \| 2048 × 2304 \| \d+ \| [\d,.]+ \| [\d,.]+ \| [\d.]+× \|', output)


def test_rows_of_scale(monkeypatch):
    """Without the processes of their own, which take seconds to begin."""
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')
    scale = runpy.run_path(str(ROOT / 'benchmarks/scale.py'), run_name='scale')
    small, large = scale['Measured'](1.0, 1.0, 100.0), scale['Measured'](61.0, 2.0, 110.0)
    line = scale['row']('check_dataset.py', 'what', small, large)
    assert line.endswith('| 2.00× | 1.10× | < 60 s, memory ≤ 1.25× | NO |')
    line = scale['row']('evaluate.py', 'what', small, large)
    assert line.endswith('| < 1,000 MB, CPU ≤ 2.2× | yes |')
