"""ONNX files give PyTorch's values at any length, and detections without PyTorch."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.structures import BaseDataElement
from torch import nn

from sola_plugin.commands.onnx_export import ExportError, describe, export_onnx
from sola_plugin.heads.actionformer.attention import local_attention
from sola_plugin.necks import SoLa, TemporalSmoothing, save_sola
from tests.conftest import CHANNELS, ROOT, TINY_BMN
from tests.processes import environment

#: Packages of the extra ``onnx``.
needs_onnx = pytest.mark.skipif(
    None in map(importlib.util.find_spec, ('onnx', 'onnxruntime')),
    reason="onnx or onnxruntime is not installed: pip install 'sola_plugin[onnx]'",
)

NECK = dict(type='SoLa', hidden_channels=4)
HEADS = {
    'BMN': TINY_BMN,
    'GTAD': dict(
        type='GTAD',
        temporal_dim=20,
        feat_dim=CHANNELS,
        hidden_dim_1d=32,
        hidden_dim_2d=8,
        hidden_dim_3d=8,
        num_samples=4,
        num_context_samples=4,
        groups=4,
        post_process_top_k=20,
    ),
    'ActionFormer': dict(
        type='ActionFormer',
        feat_dim=CHANNELS,
        classes=['run', 'jump'],
        pyramid=dict(channels=8, num_levels=3, num_heads=2, windows=[5, 5, 3]),
        prior=0.4,
        post_processing=dict(pre_nms_top_k=50, top_k=20),
    ),
}


def built(name: str, **changes) -> nn.Module:
    torch.manual_seed(0)
    model = MODELS.build({**HEADS[name], 'neck': NECK, **changes})
    if model.neck is not None:
        nn.init.constant_(model.neck.alpha, 1.0)
    return model.eval()


def session_of(path):
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])


@needs_onnx
@pytest.mark.parametrize(
    'neck',
    [
        SoLa(CHANNELS, 4),
        SoLa(CHANNELS, 4, kernel_sizes=(5, 3), dilations=(2, 1), standardize=True),
    ],
    ids=['SoLa', 'standardized'],
)
def test_a_neck_at_any_length_and_batch(tmp_path, neck):
    nn.init.constant_(neck.alpha, 1.0)
    done = export_onnx(neck.eval(), tmp_path / 'sola.onnx')
    assert list(done['difference']) == [1, 17, 64, 301] and done['outputs'] == ['features_out']
    session = session_of(tmp_path / 'sola.onnx')
    for shape in ((1, CHANNELS, 2), (3, CHANNELS, 40)):
        x = torch.randn(shape)
        (y,) = session.run(None, dict(features=x.numpy()))
        np.testing.assert_allclose(y, neck(x).detach().numpy(), atol=1e-5)
    about = json.loads(session.get_modelmeta().custom_metadata_map['sola_plugin'])
    assert about['type'] == 'SoLa' and about['neck']['hidden_channels'] == 4


def samples(length: int) -> list:
    sample = BaseDataElement()
    sample.set_metainfo(dict(video_name='v', feature_span=(1.0, 1.0 + length / 2), duration=50.0))
    return [sample]


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize('name', HEADS)
def test_detections_without_torch_are_those_of_the_localizer(tmp_path, name):
    """By the code in docs/deploy.md, in a process that cannot import torch."""
    model = built(name)
    export_onnx(model, tmp_path / 'model.onnx')
    page = (ROOT / 'docs/deploy.md').read_text(encoding='utf-8')
    (code,) = re.findall(r'```python\n(.*?)```', page, re.S)
    lengths = (9, 20, 33)
    videos = {str(n): np.random.default_rng(n).normal(size=(CHANNELS, n)) for n in lengths}
    np.savez(tmp_path / 'videos.npz', **videos)
    script = (
        "import sys\nfor name in ('torch', 'mmengine', 'mmaction', 'scipy'):\n"
        f'    sys.modules[name] = None\n{code}\n'
        "videos = np.load('videos.npz')\n"
        'print(json.dumps({n: localize(videos[n], (1.0, 1.0 + int(n) / 2), 50.0) for n in videos}))'
    )
    done = subprocess.run(
        [sys.executable, '-c', script],
        text=True,
        capture_output=True,
        cwd=tmp_path,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for length in lengths:
        inputs = [torch.from_numpy(videos[str(length)]).float()]
        (expected,) = model(inputs, samples(length), 'predict')
        ours, theirs = found[str(length)], expected['proposal_list']
        assert len(ours) == len(theirs) > 3
        np.testing.assert_allclose(
            [item['score'] for item in ours], [item['score'] for item in theirs], rtol=1e-3
        )
        for item, other in zip(ours, theirs):
            if name == 'ActionFormer':
                assert item['label'] in model.classes and other['label'] in model.classes
            assert item.keys() == other.keys()
        np.testing.assert_allclose(
            sorted(item['segment'] for item in ours),
            sorted(item['segment'] for item in theirs),
            rtol=1e-3,
            atol=1e-3,
        )


@needs_onnx
def test_windows_are_two_files(tmp_path):
    model = built('BMN', windows=dict(stride=10))
    with pytest.raises(ExportError, match="has windows, .* part='neck' and part='head'"):
        export_onnx(model, tmp_path / 'all.onnx')
    export_onnx(model, tmp_path / 'neck.onnx', 'neck')
    export_onnx(model, tmp_path / 'head.onnx', 'head')
    x = torch.randn(1, CHANNELS, 45)
    (y,) = session_of(tmp_path / 'neck.onnx').run(None, dict(features=x.numpy()))
    maps = session_of(tmp_path / 'head.onnx').run(None, dict(features=y[:, :, 10:30]))
    with torch.no_grad():
        expected = model._forward(model.neck(x)[:, :, 10:30])
    for ours, theirs in zip(maps, expected):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize('length', [1, 4, 5, 9, 23])
@pytest.mark.parametrize('window', [1, 4, 5])
def test_attention_as_it_is_exported(monkeypatch, window, length):
    query, key, value = torch.randn(3, 2, 2, length, 6).unbind()
    mask = torch.arange(length) < torch.tensor([[length], [max(1, length - 3)]])
    expected = local_attention(query, key, value, mask, window)
    monkeypatch.setattr(torch.onnx, 'is_in_onnx_export', lambda: True)
    ours = local_attention(query, key, value, mask, window)
    real = mask[:, None, :, None].expand_as(ours)
    torch.testing.assert_close(ours[real], expected[real])


@pytest.mark.parametrize('name', ['BMN', 'GTAD'])
def test_maps_as_they_are_exported(monkeypatch, name):
    model = built(name)
    x = torch.randn(1, CHANNELS, 20)
    with torch.no_grad():
        expected = model._forward(x)
        monkeypatch.setattr(torch.onnx, 'is_in_onnx_export', lambda: True)
        for ours, theirs in zip(model._forward(x), expected):
            torch.testing.assert_close(ours, theirs)


class TestRefused:
    @needs_onnx
    @pytest.mark.parametrize(
        ('changes', 'words'),
        [
            (dict(padding=dict(code='authors', length=64)), 'with padding or position_length'),
            (
                dict(pyramid=dict(channels=8, num_levels=2, num_heads=2, position_length=9)),
                'with padding or position_length',
            ),
        ],
    )
    def test_what_depends_on_the_length(self, tmp_path, changes, words):
        pyramid = dict(channels=8, num_levels=2, num_heads=2, windows=[5, 5])
        model = built('ActionFormer', **{'pyramid': pyramid, **changes})
        with pytest.raises(ExportError, match=words):
            export_onnx(model, tmp_path / 'x.onnx')
        assert not list(tmp_path.iterdir())

    @needs_onnx
    def test_other_networks(self, tmp_path):
        with pytest.raises(ExportError, match='expected a neck, BMN, GTAD or .*, got a Linear'):
            export_onnx(nn.Linear(1, 1), tmp_path / 'x.onnx')
        with pytest.raises(ExportError, match='has no neck'):
            export_onnx(built('BMN', neck=None), tmp_path / 'x.onnx', 'neck')
        with pytest.raises(ExportError, match="part is 'tail', expected one of all, neck, head"):
            export_onnx(built('BMN'), tmp_path / 'x.onnx', 'tail')
        with pytest.raises(ExportError, match='in_channels'):
            export_onnx(TemporalSmoothing(), tmp_path / 'x.onnx')

    @needs_onnx
    def test_other_values_are_an_error(self, tmp_path, monkeypatch):
        monkeypatch.setattr('sola_plugin.commands.onnx_export.TOLERANCE', -1.0)
        with pytest.raises(ExportError, match='expected the values of PyTorch'):
            export_onnx(SoLa(CHANNELS, 4), tmp_path / 'x.onnx', lengths=(5,))

    def test_without_the_package(self, tmp_path, monkeypatch, run_script):
        monkeypatch.setitem(sys.modules, 'onnx', None)
        save_sola(tmp_path / 'sola.pth', SoLa(CHANNELS, 4))
        done = run_script('tools/export.py', tmp_path / 'sola.pth', tmp_path / 'x.onnx')
        assert done.returncode == 1 and "pip install 'sola_plugin[onnx]'" in done.stderr


def test_what_is_told_of_each_head():
    for name in HEADS:
        told = json.loads(json.dumps(describe(built(name))))
        assert told['type'] == name and told['neck']['in_channels'] == CHANNELS
    assert told['classes'] == ['run', 'jump'] and told['post_processing']['top_k'] == 20


@needs_onnx
class TestTool:
    def test_a_neck(self, tmp_path, run_script):
        save_sola(tmp_path / 'sola.pth', SoLa(CHANNELS, 4))
        done = run_script('tools/export.py', tmp_path / 'sola.pth', tmp_path / 'x.onnx')
        assert done.returncode == 0, done.stderr
        assert f'features (1, {CHANNELS}, T) to features_out\n' in done.stdout
        assert 'as PyTorch at 1, 17, 64, 301 snippets: ' in done.stdout

    def test_a_localizer(self, tmp_path, run_script):
        model = built('BMN')
        torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'bmn.pth')
        config = Config(dict(model=dict(HEADS['BMN'], neck=NECK), default_scope='mmaction'))
        config.dump(tmp_path / 'bmn.py')
        arguments = (tmp_path / 'bmn.py', tmp_path / 'bmn.pth', tmp_path / 'x.onnx')
        done = run_script('tools/export.py', *arguments)
        assert done.returncode == 0, done.stderr
        assert f'features (1, {CHANNELS}, T) to confidence, start, end' in done.stdout
